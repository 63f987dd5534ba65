"""Alignment scores against the plain reading of the paper, which writes every frame out.

`python -m benchmarks.alignment` runs both in turns, in one process on one thread, in float32. Times are medians; memory
is the most held at once beyond the inputs, gradients included; "apart" is the largest difference between fused scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from modeling_collap.alignment import AlignmentScores, alignment_scores

from .comparison import compare, headings


@dataclass(frozen=True)
class Case:
    steps: int  # T; 50 steps are one second
    kernel_size: int
    stride: int
    backward: bool


CASES = [
    Case(steps, kernel_size, stride, backward)
    for steps, kernel_size, stride in ((4500, 500, 50), (14400, 500, 250), (14400, 17, 17))
    for backward in (False, True)
]


def unfolded_scores(
    audio_features: Tensor, lengths: Tensor, text_embeds: Tensor, *, kernel_size: int, stride: int
) -> AlignmentScores:
    """The baseline: equations 1-7 on the unfolded audio, for tracks of equal lengths."""
    frames = audio_features.unfold(1, kernel_size, stride).transpose(2, 3)  # (N, W, H, D)
    frames, texts = F.normalize(frames, dim=-1), F.normalize(text_embeds, dim=-1)
    similarity = torch.einsum("nwhd,md->nmwh", frames, texts)  # (N, M, W, H)
    kernel = (similarity * similarity.softmax(-1)).sum(-1).mean(-1)
    temporal = (similarity * similarity.softmax(-2)).sum(-2).mean(-1)
    return AlignmentScores(kernel, temporal, 0.5 * (kernel + temporal))


def measure(case: Case, tracks: int, texts: int, size: int, rounds: int) -> list[str]:
    """One row of the table."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(tracks, case.steps, size, generator=generator, requires_grad=case.backward)
    text = torch.randn(texts, size, generator=generator, requires_grad=case.backward)
    lengths = torch.full((tracks,), case.steps)

    def run(scores: Callable[..., AlignmentScores]) -> Tensor:
        fused = scores(audio, lengths, text, kernel_size=case.kernel_size, stride=case.stride).fused
        if case.backward:
            torch.autograd.grad(fused.sum(), (audio, text))
        return fused.detach()

    return [
        f"{case.steps}",
        f"{case.kernel_size}",
        f"{case.stride}",
        "forward + backward" if case.backward else "forward",
        *compare(partial(run, unfolded_scores), partial(run, alignment_scores), rounds),
    ]


def main(
    tracks: Annotated[int, typer.Option(help="N")] = 16,
    texts: Annotated[int, typer.Option(help="M")] = 16,
    size: Annotated[int, typer.Option(help="D")] = 512,
    rounds: Annotated[int, typer.Option(help="timed runs of each")] = 3,
) -> None:
    """Time and memory of `alignment_scores` against unfolding, as ratios in one run."""
    torch.set_num_threads(1)
    table = Table(title=f"Alignment scores, N = {tracks}, M = {texts}, D = {size}, float32, one thread")
    for heading in ("T", "H", "S", "pass", *headings("unfolded")):
        table.add_column(heading, justify="right")
    console = Console(width=150)
    for case in track(CASES, "measuring", console=console):
        table.add_row(*measure(case, tracks, texts, size, rounds))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
