"""BEATs, the audio encoder of arXiv 2212.09058, as a transformers model that reads the released checkpoints.

Differs from the original in one point on purpose: padding is excluded exactly, so that an item gives the same features
alone and in a padded batch.
"""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import ParametrizationList
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput

from .configuration_collap import BeatsConfig
from .convert_beats import convert_original_weights, read_original_checkpoint


class _ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by a constant."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None


class DeepNormLinear(nn.Linear):
    """Linear layer that knows how DeepNorm wants it initialised (arXiv 2203.00555, section 4).

    Without `deep_norm` in the configuration it is initialised like any other. `scaled` marks what decides the size of a
    sub-layer's output: these start smaller, by beta = (8 * layers) ** -0.25; queries and keys do not.
    """

    def __init__(self, config: BeatsConfig, in_features: int, out_features: int, scaled: bool) -> None:
        super().__init__(in_features, out_features)
        gain = (8 * config.num_hidden_layers) ** -0.25 if scaled else 1.0
        self.init_gain = gain if config.deep_norm else None


class BeatsRelativePositionBias(nn.Module):
    """T5's bucketed relative position bias, one value per head and bucket, shared by all layers."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.max_distance = config.max_distance
        self.table = nn.Embedding(config.num_buckets, config.num_attention_heads)

    def forward(self, num_tokens: int) -> Tensor:
        """Bias of every distance key - query, from 1 - tokens to tokens - 1: (heads, 2 * tokens - 1)."""
        distances = torch.arange(1 - num_tokens, num_tokens, device=self.table.weight.device)
        return self.table(self._bucket(distances)).T

    def _bucket(self, distances: Tensor) -> Tensor:
        """Half of the buckets per sign; in each, half for exact distances and half spaced by logarithm."""
        per_sign = self.table.num_embeddings // 2
        num_exact = per_sign // 2
        magnitude = distances.abs()
        log_ratio = torch.log(magnitude.clamp(min=1).float() / num_exact) / math.log(self.max_distance / num_exact)
        coarse = (num_exact + log_ratio * (per_sign - num_exact)).long().clamp(max=per_sign - 1)
        return torch.where(magnitude < num_exact, magnitude, coarse) + per_sign * (distances > 0)


class BeatsAttention(nn.Module):
    """Multi-head self-attention with a relative position bias that every query gates for itself (from WavLM)."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.dropout = config.attention_dropout
        self.q_proj = DeepNormLinear(config, config.hidden_size, config.hidden_size, scaled=False)
        self.k_proj = DeepNormLinear(config, config.hidden_size, config.hidden_size, scaled=False)
        self.v_proj = DeepNormLinear(config, config.hidden_size, config.hidden_size, scaled=True)
        self.out_proj = DeepNormLinear(config, config.hidden_size, config.hidden_size, scaled=True)
        self.gated = config.relative_position_embedding and config.gated_relative_position
        if self.gated:  # "grep": gated relative position
            self.grep_linear = nn.Linear(self.head_dim, 8)
            self.grep_a = nn.Parameter(torch.ones(1, self.num_heads, 1, 1))

    def forward(self, hidden: Tensor, position_bias: Tensor | None, padding: Tensor | None) -> Tensor:
        """Attends among the tokens of each item.

        Args:
            hidden: (batch, tokens, hidden).
            position_bias: (heads, 2 * tokens - 1), by distance as from `BeatsRelativePositionBias`, or None for none.
            padding: (batch, 1, 1, tokens), True at the keys that no query may see, or None for none.

        Returns:
            (batch, tokens, hidden).
        """
        query, key, value = (
            projection(hidden).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )  # each (batch, heads, tokens, head_dim)
        # From the last query to the first: see _attention_mask.
        query = query.flip(2)
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self._attention_mask(query, position_bias, padding),
            dropout_p=self.dropout if self.training else 0.0,
        ).flip(2)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _attention_mask(self, query: Tensor, position_bias: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """Summand of the attention logits in the queries' dtype, broadcasting to (batch, heads, tokens, tokens).

        `query` runs from the last token to the first. Then row i of the bias is the window of `position_bias` that
        begins at i: a view, where in the other order every head's square would have to be written out.
        """
        ignored = None
        if padding is not None:
            # The lowest finite number, not -inf: a row of nothing but padding then averages instead of giving NaN.
            # It must be that of the queries' dtype, for float32's own turns into -inf in bfloat16.
            ignored = torch.zeros_like(padding, dtype=query.dtype).masked_fill(padding, torch.finfo(query.dtype).min)
        if position_bias is None:
            return ignored
        # (heads, tokens, tokens), over the numbers of (heads, 2 * tokens - 1)
        bias = position_bias.to(query.dtype).unfold(dimension=-1, size=query.shape[2], step=1)
        if not self.gated:
            return bias.contiguous() if ignored is None else ignored + bias
        gate = self._gate(query).to(query.dtype)
        # In one pass: this is the only tensor of (batch, heads, tokens, tokens) that attention holds.
        return gate * bias if ignored is None else torch.addcmul(ignored, gate, bias)

    def _gate(self, query: Tensor) -> Tensor:
        """Factor on the position bias, per query: (batch, heads, tokens, 1)."""
        update, reset = self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, dim=-1)
        return update * (reset * self.grep_a - 1.0) + 2.0


class BeatsEncoderLayer(GradientCheckpointingLayer):
    """Transformer layer; post-norm ones scale their residuals where the configuration asks for DeepNorm."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.layer_norm_first = config.layer_norm_first
        # alpha of arXiv 2203.00555; DeepNorm is a form of post-norm, so pre-norm layers know no scale
        scaled = config.deep_norm and not config.layer_norm_first
        self.residual_scale = (2 * config.num_hidden_layers) ** 0.25 if scaled else 1.0
        self.self_attn = BeatsAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.hidden_size)
        self.fc1 = DeepNormLinear(config, config.hidden_size, config.intermediate_size, scaled=True)
        self.fc2 = DeepNormLinear(config, config.intermediate_size, config.hidden_size, scaled=True)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.activation_dropout = nn.Dropout(config.activation_dropout)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden: Tensor, position_bias: Tensor | None, padding: Tensor | None) -> Tensor:
        """(batch, tokens, hidden) to the same; the other arguments are `BeatsAttention`'s."""
        if self.layer_norm_first:
            hidden = hidden + self._attend(self.self_attn_layer_norm(hidden), position_bias, padding)
            return hidden + self._feed_forward(self.final_layer_norm(hidden))
        attended = self._attend(hidden, position_bias, padding)
        hidden = self.self_attn_layer_norm(hidden * self.residual_scale + attended)
        return self.final_layer_norm(hidden * self.residual_scale + self._feed_forward(hidden))

    def _attend(self, hidden: Tensor, position_bias: Tensor | None, padding: Tensor | None) -> Tensor:
        return self.dropout(self.self_attn(hidden, position_bias, padding))

    def _feed_forward(self, hidden: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.activation_dropout(self.activation(self.fc1(hidden)))))


class BeatsPositionalConvEmbedding(nn.Module):
    """Position embedding from a wide grouped convolution over the tokens, with weight normalisation per tap."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        kernel_size = config.conv_pos_kernel_size
        conv = nn.Conv1d(
            config.hidden_size,
            config.hidden_size,
            kernel_size,
            padding=kernel_size // 2,
            groups=config.conv_pos_groups,
        )
        self.conv = weight_norm(conv, dim=2)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, hidden) to the same."""
        positions = self.conv(hidden.transpose(1, 2))[
            ..., : hidden.shape[1]
        ]  # an even kernel gives one output too many
        return F.gelu(positions).transpose(1, 2)


class BeatsEncoder(nn.Module):
    """The transformer: convolutional position embedding, then the layers under one shared relative position bias."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.layer_norm_first = config.layer_norm_first
        self.layerdrop = config.layerdrop
        self.gradient_decay = config.layer_wise_gradient_decay_ratio
        self.pos_conv = BeatsPositionalConvEmbedding(config)
        self.relative_position_bias = BeatsRelativePositionBias(config) if config.relative_position_embedding else None
        self.layers = nn.ModuleList(BeatsEncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden: Tensor, token_mask: Tensor | None, output_hidden_states: bool) -> BaseModelOutput:
        """Runs the layers over (batch, tokens, hidden); `token_mask` (batch, tokens) is True at tokens to be heard."""
        padding = None
        if token_mask is not None:
            hidden = hidden.masked_fill(~token_mask[..., None], 0.0)  # the convolution must see silence past the end
            padding = ~token_mask[:, None, None, :]
        hidden = hidden + self.pos_conv(hidden)
        if not self.layer_norm_first:
            hidden = self.layer_norm(hidden)
        hidden = self.dropout(hidden)
        position_bias = None if self.relative_position_bias is None else self.relative_position_bias(hidden.shape[1])

        states = [hidden]
        for layer in self.layers:
            if self.training and self.gradient_decay != 1.0:
                hidden = _ScaleGradient.apply(hidden, self.gradient_decay)
            # torch's generator, so that whoever replays its state (gradient caching) drops the same layers again
            if not (self.training and torch.rand(()) < self.layerdrop):
                hidden = layer(hidden, position_bias, padding)
            if output_hidden_states:  # nothing else holds a layer's output until the last one's
                states.append(hidden)
        if self.layer_norm_first:
            hidden = states[-1] = self.layer_norm(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if output_hidden_states else None)


class BeatsModel(PreTrainedModel):
    """BEATs encoder: a normalised Kaldi fbank to one feature per square patch of it.

    Attention always runs through `torch.nn.functional.scaled_dot_product_attention`, whatever `attn_implementation`.
    Training on several processes with `layerdrop` above 0 leaves parameters without gradients now and then:
    DistributedDataParallel then needs `find_unused_parameters=True`.
    """

    config_class = BeatsConfig
    base_model_prefix = "beats"
    main_input_name = "fbank"
    input_modalities = "audio"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["BeatsEncoderLayer"]  # noqa: RUF012

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__(config)
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(
                f"hidden_size {config.hidden_size} must be divisible by num_attention_heads "
                f"{config.num_attention_heads}."
            )
        self.patch_embedding = nn.Conv2d(
            1, config.patch_embed_dim, config.patch_size, stride=config.patch_size, bias=config.conv_bias
        )
        self.layer_norm = nn.LayerNorm(config.patch_embed_dim)
        same_width = config.patch_embed_dim == config.hidden_size
        self.post_extract_proj = nn.Identity() if same_width else nn.Linear(config.patch_embed_dim, config.hidden_size)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.encoder = BeatsEncoder(config)
        self.post_init()

    @classmethod
    def from_original_checkpoint(cls, path: str | Path) -> "BeatsModel":
        """Loads a checkpoint released by microsoft/unilm (pre-trained or fine-tuned), in evaluation mode.

        Raises:
            FileNotFoundError: `path` is no file.
            ValueError: the file is no such checkpoint, or a weight is missing, left over or of another shape.
        """
        checkpoint = read_original_checkpoint(path)
        with init.no_init_weights():  # the checkpoint is held to give every weight
            model = cls(checkpoint.config)
        model.load_state_dict(convert_original_weights(checkpoint, model.state_dict()))
        return model.eval()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def forward(
        self, fbank: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Encodes a batch of fbanks.

        Args:
            fbank: (batch, frames, num_mel_bins), Kaldi fbank of the 16 kHz waveform scaled by 2**15, a frame every
                10 ms, normalised as (x - 15.41663) / (2 * 6.55582). Frames past the last whole patch are ignored.
            attention_mask: (batch, frames), non-zero at frames of the recording; None if there is no padding. A token
                takes part if every frame of its time patch does.
            output_hidden_states: whether to return the first layer's input and every layer's output too.

        Returns:
            `last_hidden_state` (batch, frames // patch_size * num_frequency_patches, hidden), the frequency patch
            running fastest; what it holds at padding is finite and means nothing. `hidden_states`: layers + 1 tensors
            of that shape, or None.

        Raises:
            ValueError: the shape of `fbank` or `attention_mask` is wrong, or there are fewer frames than one patch has.
        """
        self._check_shapes(fbank, attention_mask)
        patches = self.patch_embedding(fbank[:, None].to(self.patch_embedding.weight.dtype))  # (batch, dim, time, 8)
        hidden = self.layer_norm(patches.flatten(2).transpose(1, 2))  # (batch, time * 8, dim)
        hidden = self.input_dropout(self.post_extract_proj(hidden))  # (batch, tokens, hidden)
        token_mask = None if attention_mask is None else self._token_mask(attention_mask)
        return self.encoder(hidden, token_mask, output_hidden_states)

    def _check_shapes(self, fbank: Tensor, attention_mask: Tensor | None) -> None:
        num_mel_bins, patch_size = self.config.num_mel_bins, self.config.patch_size
        if fbank.ndim != 3 or fbank.shape[2] != num_mel_bins:
            raise ValueError(f"fbank must have shape (batch, frames, {num_mel_bins}), not {tuple(fbank.shape)}.")
        if fbank.shape[1] < patch_size:
            raise ValueError(f"fbank has {fbank.shape[1]} frames, fewer than the {patch_size} of one patch.")
        if attention_mask is not None and attention_mask.shape != fbank.shape[:2]:
            raise ValueError(
                f"attention_mask must have the shape of fbank's frames {tuple(fbank.shape[:2])}, "
                f"not {tuple(attention_mask.shape)}."
            )

    def _token_mask(self, attention_mask: Tensor) -> Tensor:
        """(batch, frames) to (batch, tokens): True where a token's time patch lies wholly inside the recording."""
        patch_size = self.config.patch_size
        num_patches = attention_mask.shape[1] // patch_size
        frames = attention_mask[:, : num_patches * patch_size].bool()
        whole_patches = frames.unflatten(1, (num_patches, patch_size)).all(-1)  # (batch, time)
        return whole_patches.repeat_interleave(self.config.num_frequency_patches, dim=1)

    def _init_weights(self, module: nn.Module) -> None:
        """Fresh weights for a run from scratch.

        Outside of its own code, transformers 5 asks only for modules that hold a parameter themselves: hence each case
        below is about a leaf, not about the layer around it.
        """
        super()._init_weights(module)
        if isinstance(module, DeepNormLinear) and module.init_gain is not None:
            init.xavier_normal_(module.weight, gain=module.init_gain)
        elif isinstance(module, BeatsAttention) and module.gated:
            init.ones_(module.grep_a)
        elif isinstance(module, ParametrizationList):  # the weight norm of the position embedding's convolution
            gain = module.get_parameter("original0")  # (1, 1, kernel)
            direction = module.get_parameter("original1")  # (hidden, hidden / groups, kernel)
            init.normal_(direction, std=math.sqrt(4 / (direction.shape[2] * direction.shape[0])))
            init.copy_(gain, direction.norm(dim=(0, 1), keepdim=True))  # so that the weight starts as its direction
