"""Configurations of CoLLAP: BEATs' own, and the composite of text encoder, Whisper and BEATs."""

import math
from typing import Any

from transformers import AutoConfig, PreTrainedConfig, WhisperConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from .pipeline_collap import CollapZeroShotAudioClassificationPipeline

# floor(1500 * 10 / 30) is exactly 500 on paper, but may fall a rounding error below it in floating point.
_FLOOR_EPSILON = 1e-6


class BeatsConfig(PreTrainedConfig):
    """Shape of a BEATs encoder (arXiv 2212.09058); the defaults are the released base models' (AS2M, iter 3+).

    Args:
        hidden_size: width of the transformer.
        num_hidden_layers, num_attention_heads, intermediate_size: its depth, heads and feed-forward width.
        patch_embed_dim: channels of the patch convolution, before the projection to `hidden_size`.
        patch_size: side of the square patches cut from the fbank, in frames and mel bins.
        num_mel_bins: mel bins of the fbank; `num_mel_bins // patch_size` patches share one time step.
        conv_bias: whether the patch convolution has a bias.
        conv_pos_kernel_size, conv_pos_groups: the convolutional position embedding.
        relative_position_embedding, num_buckets, max_distance: the bucketed relative position bias, one table shared by
            all layers; distances are in tokens.
        gated_relative_position: whether every layer gates that bias with its own queries (`gru_rel_pos` there).
        deep_norm: scales residuals by (2 * layers) ** 0.25 (arXiv 2203.00555).
        layer_norm_first: pre-norm layers; the released models are post-norm.
        hidden_act: activation of the feed-forward; "gelu" is the exact one.
        hidden_dropout, attention_dropout, activation_dropout, input_dropout: dropout rates while training.
        layerdrop: probability of skipping a whole layer while training.
        layer_wise_gradient_decay_ratio: gradients shrink by this factor per layer towards the input; 1.0 leaves them.
        initializer_range: standard deviation of freshly initialised weights.
    """

    model_type = "collap_beats"
    base_config_key = "beats_config"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    patch_embed_dim: int = 512
    patch_size: int = 16
    num_mel_bins: int = 128
    conv_bias: bool = False
    conv_pos_kernel_size: int = 128
    conv_pos_groups: int = 16
    relative_position_embedding: bool = True
    num_buckets: int = 320
    max_distance: int = 800
    gated_relative_position: bool = True
    deep_norm: bool = True
    layer_norm_first: bool = False
    hidden_act: str = "gelu"
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    input_dropout: float = 0.0
    layerdrop: float = 0.05
    layer_wise_gradient_decay_ratio: float = 1.0
    initializer_range: float = 0.02

    @property
    def num_frequency_patches(self) -> int:
        return self.num_mel_bins // self.patch_size


class CollapConfig(PreTrainedConfig):
    """A text encoder, a Whisper encoder and a BEATs encoder, and how their outputs are aligned (arXiv 2410.02271).

    Args:
        text_config: configuration (or its dict, with `model_type`) of any `AutoModel` text backbone; GPT-2 by default.
        whisper_config: a `WhisperConfig`, or `None` to switch the branch off. By default `WhisperConfig()`.
        beats_config: a `BeatsConfig`, or `None` to switch the branch off. By default `BeatsConfig()`, the base size.
        projection_dim: D, the size of the shared space.
        window_seconds: length of the windows that both audio encoders see, in seconds.
        steps_per_second: time steps of the fused sequence; by default what Whisper gives, `max_source_positions` a
            window, or 50 where it is off. Only encoders with another hop and no Whisper branch need it set.
        seconds_per_kernel, seconds_per_stride: eta_K and eta_S, length and hop of a frame of eq (1), in seconds.
        gamma_kernel, gamma_temporal: gamma_K and gamma_T of eq (7).
        gamma_structure: weight of the structure-aware term beside the two of eq (7), see `structure`; 0, the paper,
            leaves it out, and its parameters with it.
        whole_text_weight: how many passages the text as a whole counts for in that term; 0 leaves it out.
        structure_temperature: initial factor on the similarities inside its attention, trained.
        structure_sharpness: initial weight of the places inside its attention, trained and read from every passage.
        seconds_per_structure_step: time steps are averaged over this long before passages attend to them.
        normalization: `"mean"` divides eqs (5) and (6) by W and by H, so that both scores are weighted averages;
            `"paper"` divides by H and by W as printed.
        attention_temperature: factor on the similarities inside the softmaxes of eqs (3) and (4); 1 is the paper.
        learn_attention_temperature: makes that factor a trained parameter that starts there.
        logit_scale_init: logarithm of the initial factor on the fused scores in the loss.
        learn_logit_scale: whether that factor is trained; the paper has none (`logit_scale_init=0.0`, not learned).
        symmetric_loss: average of both directions; `False` is eq (8), each track against all texts.
        beats_time_alignment: `"interleaved"` takes BEATs' tokens one after another as time steps (the paper);
            `"pooled"` averages the frequency patches of a time patch and repeats the average.
        text_pooling: state that stands for the text: `"last"`, `"first"` or `"mean"`. By default the last one of a
            decoder such as GPT-2 and the first one of an encoder such as RoBERTa.
        windows_per_chunk: windows encoded at once; bounds the memory that a long track takes.
        initializer_range: standard deviation of freshly initialised projections.

    Raises:
        ValueError: if no audio branch is left, or an option has a value that it cannot have.
    """

    model_type = "collap"
    sub_configs = {"text_config": AutoConfig, "whisper_config": WhisperConfig, "beats_config": BeatsConfig}  # noqa: RUF012
    attribute_map = {"hidden_size": "projection_dim"}  # noqa: RUF012

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        whisper_config: WhisperConfig | dict[str, Any] | str | None = "default",
        beats_config: BeatsConfig | dict[str, Any] | str | None = "default",
        projection_dim: int = 512,
        window_seconds: float = 30.0,
        steps_per_second: float | None = None,
        seconds_per_kernel: float = 10.0,
        seconds_per_stride: float = 1.0,
        gamma_kernel: float = 0.5,
        gamma_temporal: float = 0.5,
        gamma_structure: float = 0.0,
        whole_text_weight: float = 0.0,
        structure_temperature: float = 10.0,
        structure_sharpness: float = 20.0,
        seconds_per_structure_step: float = 1.0,
        normalization: str = "mean",
        attention_temperature: float = 1.0,
        learn_attention_temperature: bool = False,
        logit_scale_init: float = 2.6592,
        learn_logit_scale: bool = True,
        symmetric_loss: bool = True,
        beats_time_alignment: str = "interleaved",
        text_pooling: str | None = None,
        windows_per_chunk: int = 4,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ):
        self.text_config = _text_config(text_config)
        self.whisper_config = _sub_config(whisper_config, WhisperConfig)
        self.beats_config = _sub_config(beats_config, BeatsConfig)
        self.projection_dim = projection_dim
        self.window_seconds = window_seconds
        self.steps_per_second = steps_per_second or self._default_steps_per_second()
        self.seconds_per_kernel = seconds_per_kernel
        self.seconds_per_stride = seconds_per_stride
        self.gamma_kernel = gamma_kernel
        self.gamma_temporal = gamma_temporal
        self.gamma_structure = gamma_structure
        self.whole_text_weight = whole_text_weight
        self.structure_temperature = structure_temperature
        self.structure_sharpness = structure_sharpness
        self.seconds_per_structure_step = seconds_per_structure_step
        self.normalization = normalization
        self.attention_temperature = attention_temperature
        self.learn_attention_temperature = learn_attention_temperature
        self.logit_scale_init = logit_scale_init
        self.learn_logit_scale = learn_logit_scale
        self.symmetric_loss = symmetric_loss
        self.beats_time_alignment = beats_time_alignment
        self.text_pooling = text_pooling or _default_pooling(self.text_config.model_type)
        self.windows_per_chunk = windows_per_chunk
        self.initializer_range = initializer_range
        self._check()
        super().__init__(**kwargs)

    def _check(self) -> None:
        if self.whisper_config is None and self.beats_config is None:
            raise ValueError(
                "CollapConfig needs at least one audio branch: whisper_config and beats_config are both None."
            )
        if not (self.weighs_frames or self.gamma_structure):
            raise ValueError("gamma_kernel, gamma_temporal and gamma_structure are all 0: no score is left.")
        if self.whole_text_weight < 0:
            raise ValueError(f"whole_text_weight must be at least 0, not {self.whole_text_weight}.")
        choices = {
            "normalization": ("mean", "paper"),
            "beats_time_alignment": ("interleaved", "pooled"),
            "text_pooling": ("last", "first", "mean"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}.")
        for name in (
            "window_seconds",
            "steps_per_second",
            "seconds_per_kernel",
            "seconds_per_stride",
            "attention_temperature",
            "structure_temperature",
            "structure_sharpness",
            "seconds_per_structure_step",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}.")
        if self.kernel_size < 1 or self.stride < 1:
            raise ValueError(
                f"seconds_per_kernel={self.seconds_per_kernel} and seconds_per_stride={self.seconds_per_stride} must "
                f"each span at least one time step ({1 / self.steps_per_second:.3f} s)."
            )

    @property
    def weighs_frames(self) -> bool:
        """Whether the terms of eqs (5) and (6) count, or the structure term alone."""
        return bool(self.gamma_kernel or self.gamma_temporal)

    def _default_steps_per_second(self) -> float:
        if self.whisper_config is not None:
            return self.whisper_config.max_source_positions / self.window_seconds
        return 50.0

    @property
    def kernel_size(self) -> int:
        """H, in time steps; printed above eq (1) of the paper, with T the steps of one window."""
        return math.floor(self.steps_per_second * self.seconds_per_kernel + _FLOOR_EPSILON)

    @property
    def stride(self) -> int:
        """S, in time steps; printed above eq (1) of the paper, with T the steps of one window."""
        return math.floor(self.steps_per_second * self.seconds_per_stride + _FLOOR_EPSILON)

    @property
    def structure_pool(self) -> int:
        """Time steps that become one before passages attend to them, at least 1."""
        return max(math.floor(self.steps_per_second * self.seconds_per_structure_step + _FLOOR_EPSILON), 1)

    @property
    def custom_pipelines(self) -> dict[str, dict[str, Any]]:
        """What `transformers.pipeline` runs for a task, from the code beside the weights.

        Made anew every time, and no part of `config.json`: transformers puts classes, which JSON cannot hold, into it.
        """
        pipeline = CollapZeroShotAudioClassificationPipeline
        code = f"{pipeline.__module__.rpartition('.')[2]}.{pipeline.__name__}"
        return {"zero-shot-audio-classification": {"impl": code, "pt": ("AutoModel",), "type": "multimodal"}}


def _text_config(value: PreTrainedConfig | dict[str, Any] | None) -> PreTrainedConfig:
    if isinstance(value, PreTrainedConfig):
        return value
    options = dict(value or {})
    return AutoConfig.for_model(options.pop("model_type", "gpt2"), **options)


def _sub_config(value: PreTrainedConfig | dict[str, Any] | str | None, kind: type[PreTrainedConfig]) -> Any:
    if value == "default":
        return kind()
    return kind(**value) if isinstance(value, dict) else value


def _default_pooling(model_type: str) -> str:
    return "first" if model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES else "last"


CollapConfig.register_for_auto_class()
