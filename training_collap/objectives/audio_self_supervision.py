"""Self-supervision of the audio encoder beside another objective, as in MusCALL."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, mean_steps

from .base import AddedObjective, Embeddings, Objective

_TEMPERATURE = 0.1
_MASKS = 2
_MAX_TIME_SHARE, _MAX_BAND_SHARE = 0.2, 0.15
_MAX_GAIN = 1.0


class AudioSelfSupervision(AddedObjective):
    """Adds SimCLR's loss (arXiv 2002.05709) between each track and a distorted view of it.

    The total is `(1 - weight) * base + weight * SimCLR`, as in MusCALL (arXiv 2208.12208). MusCALL distorts the
    waveform; here the view is made from the spectrograms, so that it costs no decoding and works from a feature store:
    a random gain and SpecAugment's masks in time and frequency (arXiv 1904.08779).

    Args:
        base: the objective that tracks and texts are trained with.
        weight: share of the self-supervised loss, between 0 and 1.
        embedding_size: D of the model.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float, embedding_size: int):
        super().__init__(base, weight, "audio_self_supervision")
        self.head = nn.Sequential(
            nn.Linear(embedding_size, embedding_size), nn.ReLU(), nn.Linear(embedding_size, embedding_size)
        )

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        view = distorted_view(audio)
        return {
            **super().track_extras(model, audio, features, lengths, texts),
            "view_embeds": mean_steps(*model.get_audio_features(**view)),  # (n, D)
        }

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        views = torch.cat([self.head(embeddings["audio_embeds"]), self.head(embeddings["view_embeds"])])  # (2N, D)
        return simclr_loss(views)


def simclr_loss(views: Tensor, temperature: float = _TEMPERATURE) -> Tensor:
    """NT-Xent: each of the views (2N, D) picks its partner, N rows away, among all others. A scalar in float32."""
    units = F.normalize(views.float(), dim=-1)
    logits = (units @ units.T / temperature).fill_diagonal_(float("-inf"))  # (2N, 2N)
    half = len(views) // 2
    partners = torch.arange(len(views), device=views.device).roll(half)
    return F.cross_entropy(logits, partners)


def distorted_view(audio: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inputs of `CollapModel.get_audio_features` with gain and masks changed at random; lengths stay.

    Raises:
        ValueError: if there is no spectrogram to distort, as where the states of frozen encoders are read instead.
    """
    view = dict(audio)
    if "input_features" in audio:
        view["input_features"] = _distort(audio["input_features"].transpose(2, 3)).transpose(2, 3)
    if "fbank" in audio:
        view["fbank"] = _distort(audio["fbank"])
    if "input_features" not in audio and "fbank" not in audio:
        raise ValueError("audio_self_supervision needs spectrograms; it does not go with an encoder store.")
    return view


def _distort(windows: Tensor) -> Tensor:
    """Windows (N, K, frames, bands) with a gain per track, and masks per window that are set to the window's mean."""
    tracks, slots, frames, bands = windows.shape
    gain = (
        (2 * torch.rand(tracks, 1, 1, 1, device=windows.device) - 1)
        * _MAX_GAIN
        * windows.std(dim=(1, 2, 3), keepdim=True)
    )
    mean = windows.mean(dim=(2, 3), keepdim=True)  # (N, K, 1, 1)
    masked = torch.zeros(tracks, slots, frames, bands, dtype=torch.bool, device=windows.device)
    for size, share, dim in ((frames, _MAX_TIME_SHARE, 2), (bands, _MAX_BAND_SHARE, 3)):
        for _ in range(_MASKS):
            length = torch.rand(tracks, slots, 1, device=windows.device) * share * size
            start = torch.rand(tracks, slots, 1, device=windows.device) * (size - length)
            position = torch.arange(size, device=windows.device)
            inside = (position >= start) & (position < start + length)  # (N, K, size)
            masked |= inside[..., None] if dim == 2 else inside[:, :, None, :]
    return torch.where(masked, mean, windows) + gain
