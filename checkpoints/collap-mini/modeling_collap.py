"""CoLLAP: scores whole tracks against long texts (arXiv 2410.02271)."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .alignment import AlignmentScores, alignment_scores
from .audio_encoder import CollapAudioEncoder
from .configuration_collap import BeatsConfig, CollapConfig
from .contrastive_loss import contrastive_loss
from .modeling_beats import BeatsModel
from .scores import CollapScores
from .structure import passages_share, structure_scores
from .text_features import CollapTextFeatures, as_text_features, passages_of, pool_passages, pool_texts

# CLIP's bound (arXiv 2103.00020): beyond a factor of 100 training is unstable.
_MAX_LOG_LOGIT_SCALE = 4.6052
# A passage this sharp reads 1% of the track; beyond, its attention has no gradient left.
_MAX_LOG_SHARPNESS = 9.2103
_POSITIONS_AFTER_PADDING = ("camembert", "data2vec-text", "ibert", "longformer", "mpnet")


@dataclass
class CollapOutput(ModelOutput):
    """What `CollapModel` returns.

    Args:
        loss: contrastive loss, eq (8); only with `return_loss=True`.
        logits_per_audio: (N, M), the fused scores of eq (7), the structure term included, times the logit scale.
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


class Framing(NamedTuple):
    """Lengths in time steps of a track."""

    kernel_size: int  # H of eq (1)
    stride: int  # S of eq (1)
    structure_pool: int  # steps that become one before passages attend to them


class CollapPreTrainedModel(PreTrainedModel):
    config: CollapConfig
    base_model_prefix = "collap"
    main_input_name = "input_features"
    input_modalities = ["audio", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["logit_scale", "attention_log_temperature", "structure_log_temperature"]  # noqa: RUF012
    _no_split_modules = ["WhisperEncoderLayer", "BeatsEncoderLayer"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CollapModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init)
            if self.config.learn_attention_temperature:
                temperature = torch.tensor(self.config.attention_temperature)
                init.constant_(module.attention_log_temperature, temperature.log().item())
            if self.config.gamma_structure:
                init.constant_(module.structure_log_temperature, math.log(self.config.structure_temperature))
                # Every passage starts with the same sharpness.
                init.zeros_(module.passage_sharpness.weight)
                init.constant_(module.passage_sharpness.bias, math.log(self.config.structure_sharpness))


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
        if config.gamma_structure:
            self.structure_log_temperature = nn.Parameter(torch.zeros(1))
            self.passage_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim)
            self.passage_sharpness = nn.Linear(config.text_config.hidden_size, 1)
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
    def dtype(self) -> torch.dtype:
        """Of the weights, and not of the first: that is the logit scale, which stays in float32."""
        return self.text_projection.weight.dtype

    @property
    def attention_temperature(self) -> Tensor | float:
        """Factor on the similarities inside both attentions of eqs (3) and (4)."""
        if self.config.learn_attention_temperature:
            return self.attention_log_temperature[0].exp()
        return self.config.attention_temperature

    @property
    def structure_temperature(self) -> Tensor:
        """tau of the structure term's attention; only with `gamma_structure`."""
        return self.structure_log_temperature[0].exp()

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
        """One vector per text, (M, D); see `encode_text`."""
        states, _order, attention_mask = self._text_states(input_ids, attention_mask)
        return self.text_projection(pool_texts(states, attention_mask, self.config.text_pooling))

    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        passage_ids: Tensor | None = None,
        passage_places: Tensor | None = None,
        passage_seconds: Tensor | None = None,
        **_: Any,
    ) -> CollapTextFeatures:
        """All that tracks are scored against: one vector per text and, with `gamma_structure`, one per passage.

        Args:
            input_ids: (M, L), padded on either side.
            attention_mask: (M, L), 1 for tokens and 0 for padding; all ones by default.
            passage_ids: (M, L), the number of each token's passage, -1 for none. A text is one passage by default.
            passage_places: (M, P), as `CollapProcessor` returns them.
            passage_seconds: (M, P), the same; by default the texts do not tell.

        Raises:
            ValueError: if L is beyond what the text backbone can read, a text has no token, or passages are given
                without their places.
        """
        states, order, attention_mask = self._text_states(input_ids, attention_mask)  # (M, L, d)
        text_embeds = self.text_projection(pool_texts(states, attention_mask, self.config.text_pooling))  # (M, D)
        if not self.config.gamma_structure:
            return CollapTextFeatures(text_embeds)
        if (passage_ids is None) != (passage_places is None):
            raise ValueError("passage_ids and passage_places belong together, but one of them is missing.")
        if passage_ids is None or passage_places is None:
            passage_ids = attention_mask - 1
            passage_places = states.new_full((len(states), 1), 0.5, dtype=torch.float32)
        else:
            passage_ids = passage_ids.gather(1, order)
        if passage_seconds is None:
            passage_seconds = torch.full_like(passage_places, -1.0)
        numbers = torch.arange(passage_places.shape[1], device=states.device)
        members = (passage_ids[:, None] == numbers[:, None]) & (attention_mask[:, None] > 0)  # (M, P, L)
        counts = members.sum(-1)  # (M, P)
        pooled = pool_passages(states, members)  # (M, P, d)
        passage_places = passage_places.masked_fill(counts == 0, -1.0)  # one that truncation has cut off is none
        log_sharpness = self.passage_sharpness(pooled).squeeze(-1).float()  # (M, P)
        sharpness = log_sharpness.clamp(max=_MAX_LOG_SHARPNESS).exp()
        # The only passage of a text has its place by no one's choice.
        alone = (passage_places >= 0).sum(1, keepdim=True) == 1
        return CollapTextFeatures(
            text_embeds,
            self.passage_projection(pooled),
            passage_places,
            sharpness.masked_fill(alone, 0.0),
            passage_seconds.masked_fill((counts == 0) | alone, -1.0),
        )

    def _text_states(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Last hidden states (M, L, d) with the padding on the right, how tokens were reordered for it, their mask."""
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        limit = text_limit(self.config.text_config)
        if limit is not None and input_ids.shape[1] > limit:
            raise ValueError(
                f"the texts have {input_ids.shape[1]} tokens, but {self.config.text_config.model_type} reads at most "
                f"{limit}; let the processor truncate them."
            )
        counts = attention_mask.sum(1)  # (M,)
        # A graph that is being exported cannot look at values.
        if not torch.compiler.is_exporting() and not bool((counts > 0).all()):
            raise ValueError(f"text {int((counts == 0).nonzero()[0])} of the batch has no token.")
        # Every backbone numbers positions its own way; with the padding moved to the right all of them agree.
        tokens = input_ids.shape[1]
        places = torch.arange(tokens, device=input_ids.device)
        order = torch.where(attention_mask > 0, places, places + tokens).argsort(dim=1)  # (M, L)
        input_ids, attention_mask = input_ids.gather(1, order), attention_mask.gather(1, order)
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states, order, attention_mask

    def framing(self, pool: int = 1) -> Framing:
        """What `score` counts in steps, each standing for `pool` of the model's: the nearest numbers, at least 1.

        Raises:
            ValueError: if `pool` is below 1, or beyond the stride, where the frames of eq (1) would be skipped.
        """
        config = self.config
        if not 1 <= pool <= config.stride:
            raise ValueError(
                f"pool must lie within 1 and the {config.stride} steps of this model's stride "
                f"({config.seconds_per_stride:g} s), not {pool}"
            )
        return Framing(*(max(round(n / pool), 1) for n in (config.kernel_size, config.stride, config.structure_pool)))

    def score(
        self, audio_features: Tensor, lengths: Tensor, text: Tensor | CollapTextFeatures, *, pool: int = 1
    ) -> CollapScores:
        """Alignment of encoded tracks and texts with this model's settings, eqs (1)-(7); each score is (N, M).

        Args:
            audio_features, lengths: as `get_audio_features` returns them.
            text: as `encode_text` returns it; without the structure term `get_text_features` is enough.
            pool: how many of the model's time steps each given one stands for, as in an index that keeps means of them.
                Tracks that do not change within such a step score as they do in full, as long as `pool` divides kernel,
                stride and structure step.

        Raises:
            ValueError: if the model scores passages, and there are none; or if `pool` does not fit, see `framing`.
        """
        config = self.config
        framing = self.framing(pool)
        features = as_text_features(text)
        structure = None
        if config.gamma_structure:
            structure = self._structure_scores(audio_features, lengths, features, pool)
        scores = alignment_scores(
            audio_features,
            lengths,
            features.text_embeds,
            kernel_size=framing.kernel_size,
            stride=framing.stride,
            gamma_kernel=config.gamma_kernel,
            gamma_temporal=config.gamma_temporal,
            normalization=config.normalization,
            attention_temperature=self.attention_temperature,
        )
        if config.normalization == "paper" and pool > 1:
            # Of these sums, eq (5) is divided by H, and eq (6) is over H softmaxes: both count steps of the model.
            kernel, temporal = scores.kernel / pool, scores.temporal * pool
            scores = AlignmentScores(kernel, temporal, config.gamma_kernel * kernel + config.gamma_temporal * temporal)
        return CollapScores.of(scores, structure, config.gamma_structure)

    def fused_score(
        self, audio_features: Tensor, lengths: Tensor, text: Tensor | CollapTextFeatures, *, pool: int = 1
    ) -> Tensor:
        """r of eq (7) and nothing else, (N, M): the `fused` of `score`, but terms without weight are not computed."""
        if self.config.weighs_frames:
            return self.score(audio_features, lengths, text, pool=pool).fused
        structure = self._structure_scores(audio_features, lengths, as_text_features(text), pool)
        return self.config.gamma_structure * structure

    def _structure_scores(self, audio_features: Tensor, lengths: Tensor, text: CollapTextFeatures, pool: int) -> Tensor:
        """r_S, (N, M)."""
        return structure_scores(
            audio_features,
            lengths,
            **passages_of(text),
            temperature=self.structure_temperature,
            text_embeds=text.text_embeds,
            text_weight=self.config.whole_text_weight,
            pool=self.framing(pool).structure_pool,
            steps_per_second=self.config.steps_per_second / pool,
        )

    def text_vectors(self, text: Tensor | CollapTextFeatures) -> Tensor:
        """What each text is looked for with in a single moment, or in the mean of a track: (M, D).

        Were all attentions of the fused score even, it would be the product of this vector with the mean of the track's
        unit steps, but for a factor. It is the mean of the text's embedding and its passages', each of unit length and
        weighted as it is in the score; of the paper's model, the text's embedding.

        Args:
            text: as in `score`.
        """
        config, text = self.config, as_text_features(text)
        vectors = F.normalize(text.text_embeds.float(), dim=-1)
        if not config.gamma_structure:
            return vectors
        passages = passages_of(text)
        there = passages["passage_places"] >= 0  # (M, P)
        units = F.normalize(passages["passage_embeds"].float(), dim=-1)  # (M, P, D)
        means = units.masked_fill(~there[..., None], 0.0).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        shares = passages_share(passages["passage_places"], config.whole_text_weight)[:, None]  # (M, 1)
        of_text = config.gamma_kernel + config.gamma_temporal
        return torch.lerp(vectors, means, shares * config.gamma_structure / (config.gamma_structure + of_text))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        passage_ids: Tensor | None = None,
        passage_places: Tensor | None = None,
        passage_seconds: Tensor | None = None,
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
        text = self.encode_text(input_ids, attention_mask, passage_ids, passage_places, passage_seconds)
        fused = self.fused_score(audio_features, lengths, text)  # (N, M)
        logits = fused * self.logit_factor  # (N, M)
        return CollapOutput(
            loss=contrastive_loss(logits, symmetric=self.config.symmetric_loss) if return_loss else None,
            logits_per_audio=logits,
            logits_per_text=logits.T,
            audio_features=audio_features,
            lengths=lengths,
            text_embeds=text.text_embeds,
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

__all__ = [
    "BeatsConfig",
    "CollapConfig",
    "CollapModel",
    "CollapOutput",
    "CollapPreTrainedModel",
    "CollapTextFeatures",
    "text_limit",
]
