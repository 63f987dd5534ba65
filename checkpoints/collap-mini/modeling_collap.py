"""CoLLAP: scores whole tracks against long texts (arXiv 2410.02271)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .alignment import AlignmentScores, alignment_scores
from .audio_encoder import CollapAudioEncoder
from .configuration_collap import BeatsConfig, CollapConfig
from .contrastive_loss import contrastive_loss
from .modeling_beats import BeatsModel

# CLIP's bound (arXiv 2103.00020): beyond a factor of 100 training is unstable.
_MAX_LOG_LOGIT_SCALE = 4.6052
_POSITIONS_AFTER_PADDING = ("camembert", "data2vec-text", "ibert", "longformer", "mpnet")


@dataclass
class CollapOutput(ModelOutput):
    """What `CollapModel` returns.

    Args:
        loss: contrastive loss, eq (8); only with `return_loss=True`.
        logits_per_audio: (N, M), the fused scores of eq (7) times the logit scale.
        logits_per_text: (M, N), their transpose.
        audio_features: (N, T, D), the fused sequences; steps at or past `lengths` mean nothing.
        lengths: (N,), in time steps.
        text_embeds: (M, D).
    """

    loss: Tensor | None = None
    logits_per_audio: Tensor | None = None
    logits_per_text: Tensor | None = None
    audio_features: Tensor | None = None
    lengths: Tensor | None = None
    text_embeds: Tensor | None = None


class CollapPreTrainedModel(PreTrainedModel):
    config: CollapConfig
    base_model_prefix = "collap"
    main_input_name = "input_features"
    input_modalities = ["audio", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["logit_scale", "attention_log_temperature"]  # noqa: RUF012
    _no_split_modules = ["WhisperEncoderLayer", "BeatsEncoderLayer"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CollapModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init)
            if self.config.learn_attention_temperature:
                temperature = torch.tensor(self.config.attention_temperature)
                init.constant_(module.attention_log_temperature, temperature.log().item())


class CollapModel(CollapPreTrainedModel):
    """Text encoder, audio encoder and their alignment.

    Example:
        ```python
        inputs = processor(audio=["song.mp3"], text=["A slow piano ballad ..."], return_tensors="pt")
        scores = model(**inputs).logits_per_audio  # (tracks, texts)
        ```
    """

    def __init__(self, config: CollapConfig):
        super().__init__(config)
        self.text_model = AutoModel.from_config(config.text_config)
        _drop_pooler(self.text_model)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim)
        self.audio_encoder = CollapAudioEncoder(config)
        # Of one element, not none: FSDP shards no scalars.
        logit_scale = torch.tensor([float(config.logit_scale_init)])
        if config.learn_logit_scale:
            self.logit_scale = nn.Parameter(logit_scale)
        else:
            # A buffer: `from_pretrained` would hand back a frozen parameter as a trainable one.
            self.register_buffer("logit_scale", logit_scale)
        if config.learn_attention_temperature:
            self.attention_log_temperature = nn.Parameter(torch.zeros(1))
        self.post_init()

    @classmethod
    def from_backbones(
        cls,
        text: str = "gpt2",
        whisper: str | None = "openai/whisper-base",
        beats: str | None = "BEATs_iter3_plus_AS2M.pt",
        **config: Any,
    ) -> "CollapModel":
        """A model whose encoders are pretrained and whose projections are new, in evaluation mode.

        Args:
            text: Hub name or folder of a text backbone.
            whisper: Hub name or folder of a Whisper model, or `None` to leave the branch out.
            beats: a checkpoint file of the original BEATs code, a folder or Hub name in this project's format, or
                `None`.
            config: further fields of `CollapConfig`.
        """
        # Training starts from float32, whatever precision a backbone was published in.
        text_model = AutoModel.from_pretrained(text, dtype=torch.float32)
        whisper_model = AutoModel.from_pretrained(whisper, dtype=torch.float32) if whisper is not None else None
        beats_model: Any = None
        if beats is not None:
            original = str(beats).endswith((".pt", ".pth"))
            beats_model = (
                BeatsModel.from_original_checkpoint(beats)
                if original
                else BeatsModel.from_pretrained(beats, dtype=torch.float32)
            )
        model = cls(
            CollapConfig(
                text_config=text_model.config,
                whisper_config=whisper_model.config if whisper_model is not None else None,
                beats_config=beats_model.config if beats_model is not None else None,
                **config,
            )
        )
        _drop_pooler(text_model)
        model.text_model.load_state_dict(text_model.state_dict())
        encoder = model.audio_encoder
        if whisper_model is not None and encoder.whisper is not None:
            encoder.whisper.load_state_dict(whisper_model.encoder.state_dict())
        if beats_model is not None and encoder.beats is not None:
            encoder.beats.load_state_dict(beats_model.state_dict())
        return model.eval()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    @property
    def attention_temperature(self) -> Tensor | float:
        """Factor on the similarities inside both attentions of eqs (3) and (4)."""
        if self.config.learn_attention_temperature:
            return self.attention_log_temperature[0].exp()
        return self.config.attention_temperature

    @property
    def logit_factor(self) -> Tensor:
        """Factor on the fused scores in the loss, at most 100."""
        return self.logit_scale[0].float().clamp(max=_MAX_LOG_LOGIT_SCALE).exp()

    def get_audio_features(
        self,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        fbank: Tensor | None = None,
        fbank_lengths: Tensor | None = None,
        whisper_states: Tensor | None = None,
        beats_states: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """h_A of every track: features (N, T, D) and lengths (N,) in time steps. See `CollapAudioEncoder.forward`."""
        return self.audio_encoder(
            input_features, input_features_lengths, fbank, fbank_lengths, whisper_states, beats_states
        )

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Tensor:
        """One vector per text.

        Args:
            input_ids: (M, L), padded on either side.
            attention_mask: (M, L), 1 for tokens and 0 for padding; all ones by default.

        Returns:
            (M, D).

        Raises:
            ValueError: if L is beyond what the text backbone can read, or a text has no token.
        """
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        limit = text_limit(self.config.text_config)
        if limit is not None and input_ids.shape[1] > limit:
            raise ValueError(
                f"the texts have {input_ids.shape[1]} tokens, but {self.config.text_config.model_type} reads at most "
                f"{limit}; let the processor truncate them."
            )
        counts = attention_mask.sum(1)  # (M,)
        if not bool((counts > 0).all()):
            raise ValueError(f"text {int((counts == 0).nonzero()[0])} of the batch has no token.")
        # Every backbone numbers positions its own way; with the padding moved to the right all of them agree.
        order = attention_mask.argsort(dim=1, descending=True, stable=True)
        input_ids, attention_mask = input_ids.gather(1, order), attention_mask.gather(1, order)
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (M, L, d)
        return self.text_projection(self._pool_text(states, attention_mask, counts))

    def _pool_text(self, states: Tensor, attention_mask: Tensor, counts: Tensor) -> Tensor:
        if self.config.text_pooling == "first":
            return states[:, 0]  # (M, d)
        if self.config.text_pooling == "last":
            return states[torch.arange(len(states), device=states.device), counts - 1]  # (M, d)
        states = states.masked_fill(attention_mask[..., None] == 0, 0.0)
        return states.sum(1) / counts[:, None]  # (M, d)

    def score(self, audio_features: Tensor, lengths: Tensor, text_embeds: Tensor) -> AlignmentScores:
        """Alignment of encoded tracks and texts with this model's settings, eqs (1)-(7); each score is (N, M)."""
        config = self.config
        return alignment_scores(
            audio_features,
            lengths,
            text_embeds,
            kernel_size=config.kernel_size,
            stride=config.stride,
            gamma_kernel=config.gamma_kernel,
            gamma_temporal=config.gamma_temporal,
            normalization=config.normalization,
            attention_temperature=self.attention_temperature,
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        fbank: Tensor | None = None,
        fbank_lengths: Tensor | None = None,
        whisper_states: Tensor | None = None,
        beats_states: Tensor | None = None,
        return_loss: bool = False,
    ) -> CollapOutput:
        """Scores every track of the batch against every text. The inputs are what `CollapProcessor` returns.

        States of the audio encoders that were computed before may stand for their features, see `get_audio_features`.

        Args:
            return_loss: also compute eq (8), where the i-th text describes the i-th track.
        """
        if input_ids is None:
            raise ValueError("input_ids are missing; for audio alone call get_audio_features.")
        audio_features, lengths = self.get_audio_features(
            input_features, input_features_lengths, fbank, fbank_lengths, whisper_states, beats_states
        )
        text_embeds = self.get_text_features(input_ids, attention_mask)  # (M, D)
        fused = self.score(audio_features, lengths, text_embeds).fused  # (N, M)
        logits = fused * self.logit_factor  # (N, M)
        return CollapOutput(
            loss=contrastive_loss(logits, symmetric=self.config.symmetric_loss) if return_loss else None,
            logits_per_audio=logits,
            logits_per_text=logits.T,
            audio_features=audio_features,
            lengths=lengths,
            text_embeds=text_embeds,
        )


def text_limit(config: Any) -> int | None:
    """Tokens that a text backbone of this configuration reads at most; `None` where it names no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return None
    # RoBERTa and its kin count positions from the one after the padding token's id, and lose those before.
    kin = "roberta" in config.model_type or config.model_type in _POSITIONS_AFTER_PADDING
    return positions - config.pad_token_id - 1 if kin else positions


def _drop_pooler(text_model: Any) -> None:
    """The pooler of BERT-like backbones is never used here; its weights would be dead in every checkpoint."""
    if getattr(text_model, "pooler", None) is not None:
        text_model.pooler = None


CollapModel.register_for_auto_class("AutoModel")

__all__ = ["BeatsConfig", "CollapConfig", "CollapModel", "CollapOutput", "CollapPreTrainedModel", "text_limit"]
