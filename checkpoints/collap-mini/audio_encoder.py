"""A track of any length as one sequence: Whisper and BEATs window by window, fused and projected by the adapter h_A."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from .configuration_collap import CollapConfig
from .modeling_beats import BeatsModel


class CollapAudioEncoder(nn.Module):
    """Encodes the windows of a batch of tracks and joins them in time.

    Every stream passes a layer norm of its own, the shorter one is zero-padded after its norm, then both are
    concatenated as Whisper | BEATs and projected by the adapter, as in SALMONN (arXiv 2310.13289).
    """

    def __init__(self, config: CollapConfig):
        super().__init__()
        self.windows_per_chunk = config.windows_per_chunk
        self.pool_bands = config.beats_time_alignment == "pooled"
        self.whisper: WhisperEncoder | None = None
        self.beats: BeatsModel | None = None
        fused_size = 0
        if config.whisper_config is not None:
            self.whisper = WhisperEncoder._from_config(config.whisper_config)
            self.whisper_norm = nn.LayerNorm(config.whisper_config.d_model)
            fused_size += config.whisper_config.d_model
        if config.beats_config is not None:
            self.beats = BeatsModel._from_config(config.beats_config)
            self.beats_norm = nn.LayerNorm(config.beats_config.hidden_size)
            fused_size += config.beats_config.hidden_size
        self.adapter = nn.Linear(fused_size, config.projection_dim)

    def forward(
        self,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        fbank: Tensor | None = None,
        fbank_lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fused sequence of every track.

        Args:
            input_features: log-mel windows (N, K, mel bins, frames); needed while the Whisper branch is on.
            input_features_lengths: valid frames of each window (N, K); 0 marks a window that is padding.
            fbank: Kaldi filter-bank windows (N, K, frames, mel bins); needed while the BEATs branch is on.
            fbank_lengths: valid frames of each window (N, K).

        Returns:
            features (N, T, D) and lengths (N,) in time steps; steps at or past a track's length mean nothing.

        Raises:
            ValueError: if the input of an active branch is missing, or a track has no valid step.
        """
        streams: list[_Stream] = []
        if self.whisper is not None:
            windows, frames = _given(input_features, input_features_lengths, "input_features", "Whisper")
            streams.append(_Stream(windows, (frames + 1) // 2, self._encode_whisper))
        if self.beats is not None:
            windows, frames = _given(fbank, fbank_lengths, "fbank", "BEATs")
            patch, bands = self.beats.config.patch_size, self.beats.config.num_frequency_patches
            frame_mask = torch.arange(windows.shape[2], device=windows.device) < frames[..., None]  # (N, K, F)
            streams.append(_Stream(windows, frames // patch * bands, self._encode_beats, frame_mask))

        window_lengths = torch.stack([stream.lengths for stream in streams]).amax(0)  # (N, K)
        lengths = window_lengths.sum(1)  # (N,)
        if not bool((lengths > 0).all()):
            raise ValueError(f"track {int((lengths == 0).nonzero()[0])} of the batch has no valid window.")
        present = window_lengths > 0  # (N, K)
        for stream in streams:
            stream.keep(present)

        # The encoders see a few windows at a time: what they hold in between never grows with the track.
        fused = torch.cat(
            [
                self._fuse([stream.encode(slice(start, start + self.windows_per_chunk)) for stream in streams])
                for start in range(0, int(present.sum()), self.windows_per_chunk)
            ]
        )  # (windows, P, D)
        return _join_in_time(fused, present, window_lengths), lengths

    def _encode_whisper(self, windows: Tensor, lengths: Tensor, mask: Tensor | None) -> Tensor:
        assert self.whisper is not None
        hidden = self.whisper(windows.to(self.adapter.weight.dtype)).last_hidden_state  # (windows, P, d_Whisper)
        return self.whisper_norm(hidden)

    def _encode_beats(self, windows: Tensor, lengths: Tensor, mask: Tensor | None) -> Tensor:
        assert self.beats is not None
        hidden = self.beats(windows.to(self.adapter.weight.dtype), mask).last_hidden_state  # (windows, Q, d_BEATs)
        if self.pool_bands:
            bands = self.beats.config.num_frequency_patches
            hidden = hidden.unflatten(1, (-1, bands)).mean(2).repeat_interleave(bands, dim=1)  # (windows, Q, d_BEATs)
        hidden = self.beats_norm(hidden)
        # A window's last steps may have no BEATs token: they are zeros, as if the stream had ended there.
        ended = torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
        return hidden.masked_fill(ended[..., None], 0.0)

    def _fuse(self, streams: list[Tensor]) -> Tensor:
        steps = max(stream.shape[1] for stream in streams)
        padded = [F.pad(stream, (0, 0, 0, steps - stream.shape[1])) for stream in streams]
        return self.adapter(torch.cat(padded, dim=-1))  # (windows, P, D)


class _Stream:
    """One branch's windows, how many steps each of them yields, and the encoder for them."""

    def __init__(self, windows: Tensor, lengths: Tensor, encoder: Callable[..., Tensor], mask: Tensor | None = None):
        self.windows, self.lengths, self.encoder, self.mask = windows, lengths, encoder, mask

    def keep(self, present: Tensor) -> None:
        """Drops the windows that are padding: (N, K, ...) becomes (windows, ...)."""
        self.windows, self.lengths = self.windows[present], self.lengths[present]
        self.mask = None if self.mask is None else self.mask[present]

    def encode(self, chunk: slice) -> Tensor:
        mask = None if self.mask is None else self.mask[chunk]
        return self.encoder(self.windows[chunk], self.lengths[chunk], mask)


def _join_in_time(windows: Tensor, present: Tensor, window_lengths: Tensor) -> Tensor:
    """Puts the windows (windows, P, D) of every track one after another: (N, T, D)."""
    tracks, slots = present.shape
    starts = window_lengths.cumsum(1) - window_lengths  # (N, K): the step at which a window begins
    steps = int(window_lengths.sum(1).max())
    full = windows.shape[1]
    regular = bool((starts == torch.arange(slots, device=starts.device) * full)[present].all())
    if not regular:
        raise ValueError("only the last window of a track may be shorter than the others.")
    if bool(present.all()):
        return windows.view(tracks, slots * full, -1)[:, :steps]
    joined = windows.new_zeros(tracks, slots, full, windows.shape[-1])
    joined[present] = windows
    return joined.view(tracks, slots * full, -1)[:, :steps]


def _given(windows: Tensor | None, lengths: Tensor | None, name: str, branch: str) -> tuple[Tensor, Tensor]:
    if windows is None or lengths is None:
        raise ValueError(
            f"the {branch} branch needs {name} and {name}_lengths, but they are missing; the processor returns them, "
            f"or switch the branch off with {branch.lower()}_config=None."
        )
    return windows, lengths
