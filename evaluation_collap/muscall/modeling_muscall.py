"""MusCALL: one vector per window of audio and one per text (arXiv 2208.12208).

The model offers what `CollapModel` offers to training and evaluation; its time steps are whole windows.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel, ResNetModel
from transformers import initialization as init

from modeling_collap import CollapOutput, CollapTextFeatures, contrastive_loss
from modeling_collap.modeling_collap import text_limit

from .attention_pooling import AttentionPooling
from .configuration_muscall import MuscallConfig

# CLIP's bound (arXiv 2103.00020): beyond a factor of 100 training is unstable.
_MAX_LOG_LOGIT_SCALE = 4.6052


class MuscallModel(PreTrainedModel):
    """A ResNet with attention pooling over log-mel windows, and a small transformer over the text.

    It departs from the released code in the ResNet's stem and downsampling: `transformers.ResNetModel` has the original
    ones (arXiv 1512.03385), MusCALL those of CLIP.

    The inputs are what `CollapProcessor` returns when its feature extractor has no BEATs branch.
    """

    config: MuscallConfig
    base_model_prefix = "muscall"
    main_input_name = "input_features"
    input_modalities = ["audio", "text"]  # noqa: RUF012
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["logit_scale"]  # noqa: RUF012

    def __init__(self, config: MuscallConfig):
        super().__init__(config)
        width = config.audio_width
        self.audio_model = ResNetModel(config.audio_config)
        self.audio_pooling = AttentionPooling(width, *config.positions, config.pooling_heads)
        self.audio_projection = nn.Linear(width, config.projection_dim, bias=False)
        self.text_model = AutoModel.from_config(config.text_config)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        # Of one element, not none: FSDP shards no scalars.
        self.logit_scale = nn.Parameter(torch.tensor([float(config.logit_scale_init)]))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, AttentionPooling):
            init.normal_(module.position_embeddings, std=module.position_embeddings.shape[1] ** -0.5)
        elif isinstance(module, MuscallModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init)

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    @property
    def logit_factor(self) -> Tensor:
        """Factor on the scores in the loss, at most 100."""
        return self.logit_scale[0].float().clamp(max=_MAX_LOG_LOGIT_SCALE).exp()

    def get_audio_features(
        self, input_features: Tensor | None = None, input_features_lengths: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """One vector per window.

        A vector is as long as the seconds of audio that its window holds, so that in the sum over a track's windows
        each counts by its length.

        Args:
            input_features: log-mel windows (N, K, mel bins, frames).
            input_features_lengths: frames of each window that hold audio (N, K), 0 past a track's last window; what the
                other frames hold does not matter. By default all frames do.

        Returns:
            features (N, K, D) and lengths (N,) in windows; a track's windows come first.

        Raises:
            ValueError: if the windows are missing or of another shape than the model's, or a track has none.
        """
        config = self.config
        expected = (config.num_mel_bins, config.frames_per_window)
        if input_features is None or input_features.ndim != 4 or input_features.shape[2:] != expected:
            found = "missing" if input_features is None else f"of shape {tuple(input_features.shape)}"
            raise ValueError(f"input_features must be windows (N, K, {expected[0]}, {expected[1]}); they are {found}.")
        if input_features_lengths is None:
            input_features_lengths = input_features.new_full(input_features.shape[:2], expected[1], dtype=torch.int64)
        present = input_features_lengths > 0  # (N, K)
        lengths = present.sum(1)  # (N,)
        if not bool((lengths > 0).all()):
            raise ValueError(f"track {int((lengths == 0).nonzero()[0])} of the batch has no valid window.")
        windows, frames = input_features[present], input_features_lengths[present]  # (P, mels, frames), (P,)
        # Batch norm is to see the whole batch in training; in use, memory must not grow with the track.
        chunk = len(windows) if self.training else config.windows_per_chunk
        chunks = zip(windows.split(chunk), frames.split(chunk), strict=True)
        units = torch.cat([self._encode_windows(*part) for part in chunks])  # (P, D)
        seconds = frames * (config.window_seconds / config.frames_per_window)  # (P,)
        features = units.new_zeros(*present.shape, config.projection_dim)
        features[present] = units * seconds[:, None].to(units.dtype)
        return features, lengths

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Tensor:
        """One vector per text, from the state of its last token, which has read all of it.

        Args:
            input_ids: (M, L), padded on either side.
            attention_mask: (M, L), 1 for tokens and 0 for padding; all ones by default.

        Returns:
            (M, D).

        Raises:
            ValueError: if L is beyond what the text encoder can read, or a text has no token.
        """
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        limit = text_limit(self.config.text_config)
        if limit is not None and input_ids.shape[1] > limit:
            raise ValueError(f"the texts have {input_ids.shape[1]} tokens, but MusCALL reads at most {limit}.")
        counts = attention_mask.sum(1)  # (M,)
        if not bool((counts > 0).all()):
            raise ValueError(f"text {int((counts == 0).nonzero()[0])} of the batch has no token.")
        order = attention_mask.argsort(dim=1, descending=True, stable=True)  # padding to the right
        input_ids, attention_mask = input_ids.gather(1, order), attention_mask.gather(1, order)
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (M, L, d)
        return self.text_projection(states[torch.arange(len(states), device=states.device), counts - 1])

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> CollapTextFeatures:
        """What tracks are scored against: a vector per text, and no passages."""
        return CollapTextFeatures(self.get_text_features(input_ids, attention_mask, **inputs))

    def fused_score(self, audio_features: Tensor, lengths: Tensor, text: Tensor | CollapTextFeatures) -> Tensor:
        """Cosine of every track, the sum of its windows, with every text, (N, M); see `CollapModel.fused_score`."""
        text_embeds = text.text_embeds if isinstance(text, CollapTextFeatures) else text
        valid = torch.arange(audio_features.shape[1], device=audio_features.device) < lengths[:, None]  # (N, K)
        tracks = audio_features.float().masked_fill(~valid[..., None], 0.0).sum(1)  # (N, D)
        return F.normalize(tracks, dim=-1) @ F.normalize(text_embeds.float(), dim=-1).T

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        return_loss: bool = False,
        **_: Any,
    ) -> CollapOutput:
        """Scores every track of the batch against every text. What else the processor returns is passed over.

        Args:
            return_loss: also compute the contrastive loss, where the i-th text describes the i-th track.
        """
        if input_ids is None:
            raise ValueError("input_ids are missing; for audio alone call get_audio_features.")
        audio_features, lengths = self.get_audio_features(input_features, input_features_lengths)
        text_embeds = self.get_text_features(input_ids, attention_mask)  # (M, D)
        logits = self.fused_score(audio_features, lengths, text_embeds) * self.logit_factor  # (N, M)
        return CollapOutput(
            loss=contrastive_loss(logits, symmetric=self.config.symmetric_loss) if return_loss else None,
            logits_per_audio=logits,
            logits_per_text=logits.T,
            audio_features=audio_features,
            lengths=lengths,
            text_embeds=text_embeds,
        )

    def _encode_windows(self, windows: Tensor, frames: Tensor) -> Tensor:
        """Unit vectors (P, D) of windows (P, mels, frames)."""
        beyond = torch.arange(windows.shape[-1], device=frames.device) >= frames[:, None]  # (P, frames)
        # Zeros, as the convolutions themselves see beyond every edge.
        windows = windows.masked_fill(beyond[:, None], 0.0).to(self.audio_projection.weight.dtype)
        feature_map = self.audio_model(windows[:, None]).last_hidden_state  # (P, C, rows, columns)
        columns = -(-frames // self.config.downsampling)  # (P,)
        return F.normalize(self.audio_projection(self.audio_pooling(feature_map, columns)), dim=-1)
