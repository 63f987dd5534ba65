"""BEATs' attention against the way the original writes it: logits, bias and weights of all pairs of tokens at once.

`python -m benchmarks.attention` runs the whole encoder at full size with either attention, in turns in one process,
over windows of noise with the same random weights: neither changes the time. On the CPU times are processor seconds,
which leave out what the machine's other work takes; where there is a GPU, bfloat16 runs against float32 as well. Memory
is the most held at once beyond weights and input; "apart" is the largest difference between outputs, whose values are
of the order of 1.
"""

import copy
from contextlib import nullcontext
from typing import Annotated, cast

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from modeling_collap import BeatsConfig
from modeling_collap.modeling_beats import BeatsAttention, BeatsModel, BeatsRelativePositionBias

from .comparison import compare, headings

_SHRINK = 32  # the original divides the logits by it and multiplies them again, against overflow in float16


class WrittenOutBias(nn.Module):
    """The position bias of every pair of tokens of every item, which the first layer makes for all of them."""

    def __init__(self, bias: BeatsRelativePositionBias, items: int):
        super().__init__()
        self.bias = bias
        self.items = items

    def forward(self, num_tokens: int) -> Tensor:
        """(items * heads, tokens, tokens)."""
        tokens = torch.arange(num_tokens, device=self.bias.table.weight.device)
        values = self.bias.table(self.bias._bucket(tokens[None, :] - tokens[:, None]))  # (tokens, tokens, heads)
        return values.permute(2, 0, 1).repeat(self.items, 1, 1)


class EagerAttention(nn.Module):
    """The original's steps one after another, on the weights of a `BeatsAttention`."""

    def __init__(self, attention: BeatsAttention):
        super().__init__()
        self.attention = attention

    def forward(self, hidden: Tensor, position_bias: Tensor, padding: None) -> Tensor:
        """(batch, tokens, hidden) to the same; the bias is (batch * heads, tokens, tokens)."""
        attention = self.attention
        query, key, value = (
            projection(hidden).unflatten(-1, (attention.num_heads, attention.head_dim)).transpose(1, 2).flatten(0, 1)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )  # each (batch * heads, tokens, head_dim)
        logits = torch.bmm(query * (attention.head_dim**-0.5 / _SHRINK), key.transpose(1, 2))
        logits = (logits - logits.max(dim=-1, keepdim=True)[0]) * _SHRINK
        gate = attention._gate(query.unflatten(0, (-1, attention.num_heads))).flatten(
            0, 1
        )  # (batch * heads, tokens, 1)
        gated_bias = gate * position_bias
        logits = logits + gated_bias
        weights = logits.softmax(dim=-1)
        attended = torch.bmm(weights, value).unflatten(0, (-1, attention.num_heads))
        return attention.out_proj(attended.transpose(1, 2).flatten(2))


def eager_copy(model: BeatsModel, items: int) -> BeatsModel:
    """The same model, its weights included, with the original's attention, for batches of `items` without padding."""
    model = copy.deepcopy(model)
    assert model.encoder.relative_position_bias is not None
    model.encoder.relative_position_bias = WrittenOutBias(  # type: ignore[assignment]
        model.encoder.relative_position_bias, items
    )
    for layer in model.encoder.layers:
        layer.self_attn = EagerAttention(cast(BeatsAttention, layer.self_attn))
    return model


@torch.no_grad()
def measure(config: BeatsConfig, device: str, precision: str, windows: int, frames: int, rounds: int) -> list[str]:
    """One row of the table: ours in `precision` against the original's attention in float32."""
    torch.manual_seed(0)
    ours = BeatsModel(config).eval().to(device)
    assert ours.encoder.relative_position_bias is not None
    ours.encoder.relative_position_bias.table.weight.normal_()  # of a size at which a wrong bias would show
    eager = eager_copy(ours, windows)
    fbank = torch.randn(windows, frames, config.num_mel_bins).to(device)
    autocast = torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()

    def run_ours() -> Tensor:
        with autocast:
            return ours(fbank).last_hidden_state

    def run_eager() -> Tensor:
        return eager(fbank).last_hidden_state

    return [device, precision, *compare(run_eager, run_ours, rounds, device)]


def main(
    seconds_per_window: Annotated[float, typer.Option(help="length of a window, in seconds")] = 30.0,
    layers: Annotated[int, typer.Option(help="layers of the encoder; 12 is BEATs base")] = 12,
    threads: Annotated[int, typer.Option(help="threads on the CPU")] = 1,
    gpu_windows: Annotated[int, typer.Option(help="windows in a batch on the GPU; on the CPU it is one")] = 8,
    rounds: Annotated[int, typer.Option(help="timed runs of each; the median counts")] = 3,
) -> None:
    """Time and memory of the BEATs encoder against the original's attention, as ratios in one run."""
    torch.set_num_threads(threads)
    config = BeatsConfig(num_hidden_layers=layers)
    frames = round(seconds_per_window * 100) - 2  # a frame of 25 ms every 10 ms
    tokens = frames // config.patch_size * config.num_frequency_patches
    table = Table(
        title=f"BEATs, {layers} layers of {config.hidden_size}, {seconds_per_window:g} s ({tokens} tokens), forward, "
        f"CPU threads: {threads}; the original's attention in float32 against ours"
    )
    for heading in ("on", "ours in", *headings("original's")):
        table.add_column(heading, justify="right")
    table.add_row(*measure(config, "cpu", "float32", 1, frames, rounds))
    if torch.cuda.is_available():
        for precision in ("float32", "bfloat16"):
            table.add_row(*measure(config, "cuda", precision, gpu_windows, frames, 5 * rounds))
    Console(width=130).print(table)


if __name__ == "__main__":
    typer.run(main)
