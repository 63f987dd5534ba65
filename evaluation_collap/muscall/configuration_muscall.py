"""Configuration of MusCALL: a narrow ResNet-50 for the audio and a small transformer for the text."""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig, ResNetConfig

# The released configuration of MusCALL: a quarter of ResNet-50's width, and CLIP's text transformer with a third of
# its layers.
_TEXT: dict[str, Any] = {
    "model_type": "clip_text_model",
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "attention_dropout": 0.2,
}
_AUDIO: dict[str, Any] = {"embedding_size": 16, "hidden_sizes": [64, 128, 256, 512], "depths": [3, 4, 6, 3]}


class MuscallConfig(PreTrainedConfig):
    """A text encoder and a ResNet over log-mel windows, in one space (arXiv 2208.12208).

    Args:
        text_config: configuration (or its dict, with `model_type`) of a causal `AutoModel` text backbone. By default
            CLIP's, with 4 layers of width 512, 8 heads and 77 tokens.
        audio_config: a `ResNetConfig` or its dict; by default ResNet-50 at a quarter of its width. It always reads one
            channel.
        projection_dim: D, the size of the shared space.
        window_seconds: length of a window, in seconds; a whole number of hops.
        sampling_rate, num_mel_bins, n_fft, hop_length: the log-mel spectrogram of a window, in Hz, bins and samples.
        pooling_heads: heads of the attention pooling; they divide the last of the ResNet's hidden sizes.
        logit_scale_init: logarithm of the initial factor on the scores in the loss.
        symmetric_loss: average of both directions.
        windows_per_chunk: windows encoded at once outside of training; bounds the memory that a long track takes.
        initializer_range: standard deviation of freshly initialised linear layers.

    Raises:
        ValueError: if a size is not positive, or the heads do not divide the ResNet's last hidden size.
    """

    model_type = "muscall"
    sub_configs = {"text_config": AutoConfig, "audio_config": ResNetConfig}  # noqa: RUF012
    attribute_map = {"hidden_size": "projection_dim"}  # noqa: RUF012

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        audio_config: ResNetConfig | dict[str, Any] | None = None,
        projection_dim: int = 512,
        window_seconds: float = 20.0,
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        n_fft: int = 1024,
        hop_length: int = 512,
        pooling_heads: int = 8,
        logit_scale_init: float = 2.6592,
        symmetric_loss: bool = True,
        windows_per_chunk: int = 16,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ):
        if not isinstance(text_config, PreTrainedConfig):
            options = {**(_TEXT if _is_clip(text_config) else {}), **(text_config or {})}
            text_config = AutoConfig.for_model(options.pop("model_type"), **options)
        if not isinstance(audio_config, ResNetConfig):
            audio_config = ResNetConfig(**{**_AUDIO, **(audio_config or {}), "num_channels": 1})
        self.text_config = text_config
        self.audio_config: Any = audio_config
        self.projection_dim = projection_dim
        self.window_seconds = window_seconds
        self.sampling_rate = sampling_rate
        self.num_mel_bins = num_mel_bins
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.pooling_heads = pooling_heads
        self.logit_scale_init = logit_scale_init
        self.symmetric_loss = symmetric_loss
        self.windows_per_chunk = windows_per_chunk
        self.initializer_range = initializer_range
        for name in ("projection_dim", "window_seconds", "num_mel_bins", "hop_length", "windows_per_chunk"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}.")
        if pooling_heads < 1 or self.audio_width % pooling_heads:
            raise ValueError(
                f"pooling_heads={pooling_heads} must divide the ResNet's last hidden size, {self.audio_width}."
            )
        super().__init__(**kwargs)

    @property
    def frames_per_window(self) -> int:
        """Log-mel frames in a full window."""
        return round(self.window_seconds * self.sampling_rate) // self.hop_length

    @property
    def extraction(self) -> dict[str, Any]:
        """Fields of the `CollapFeatureExtractor` that makes such windows."""
        return {
            "sampling_rate": self.sampling_rate,
            "window_seconds": self.window_seconds,
            "feature_size": self.num_mel_bins,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "return_beats": False,
        }

    @property
    def audio_width(self) -> int:
        """Channels of the ResNet's last feature map."""
        return self.audio_config.hidden_sizes[-1]

    @property
    def downsampling(self) -> int:
        """Log-mel frames, and mel bins, to one position of the ResNet's last feature map."""
        halvings = 2 + len(self.audio_config.depths) - 1 + self.audio_config.downsample_in_first_stage
        return 2**halvings

    @property
    def positions(self) -> tuple[int, int]:
        """Size of that feature map of a whole window: rows (frequency) and columns (time)."""
        return -(-self.num_mel_bins // self.downsampling), -(-self.frames_per_window // self.downsampling)


def _is_clip(text_config: dict[str, Any] | None) -> bool:
    return (text_config or {}).get("model_type", _TEXT["model_type"]) == _TEXT["model_type"]
