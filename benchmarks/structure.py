"""What the structure term costs beside the paper's two.

`python -m benchmarks.structure` scores the same tracks and texts with two terms and with all three, in turns, in one
process on one thread, in float32. "time" and "memory" are those of all terms relative to the two's; "alone" is the
time of the structure term without the paper's, which is what collap-mini computes. The text as a whole counts for one
passage.
"""

import statistics
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from modeling_collap import alignment_scores, structure_scores

from .comparison import peak_bytes, seconds

STEPS_PER_SECOND = 50
CASES = (4500, 14400)  # T: a minute and a half, and the paper's average of 288 s


def measure(steps: int, backward: bool, tracks: int, texts: int, passages: int, size: int, rounds: int) -> list[str]:
    """One row of the table."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(tracks, steps, size, generator=generator, requires_grad=backward)
    text = torch.randn(texts, size, generator=generator, requires_grad=backward)
    embeds = torch.randn(texts, passages, size, generator=generator, requires_grad=backward)
    places = ((torch.arange(passages) + 0.5) / passages).expand(texts, passages)
    sharpness = torch.full((texts, passages), 20.0)
    lengths = torch.full((tracks,), steps)

    def two() -> Tensor:
        return alignment_scores(audio, lengths, text, kernel_size=500, stride=50).fused

    def structure() -> Tensor:
        return structure_scores(
            audio,
            lengths,
            embeds,
            places,
            sharpness,
            temperature=10.0,
            text_embeds=text,
            text_weight=1.0,
            pool=STEPS_PER_SECOND,
        )

    def run(scores: Tensor) -> None:
        if backward:
            scores.sum().backward()

    ways = (lambda: run(two()), lambda: run(two() + structure()), lambda: run(structure()))
    for way in ways:  # the warm-up
        way()
    times = [[seconds(way) for way in ways] for _ in range(rounds)]
    ratio, alone = (statistics.median(row[i] / row[0] for row in times) for i in (1, 2))
    memory = [peak_bytes(way) for way in ways[:2]]
    return [
        f"{steps}",
        "forward + backward" if backward else "forward",
        f"{statistics.median(row[0] for row in times) * 1e3:,.0f} ms",
        f"{ratio:.2f} x",
        f"{memory[1] / memory[0]:.2f} x",
        f"{alone:.2f} x",
    ]


def main(
    tracks: Annotated[int, typer.Option(help="N")] = 16,
    texts: Annotated[int, typer.Option(help="M")] = 16,
    passages: Annotated[int, typer.Option(help="P, of each text")] = 8,
    size: Annotated[int, typer.Option(help="D")] = 512,
    rounds: Annotated[int, typer.Option(help="timed runs of each")] = 5,
) -> None:
    """Time and memory of scoring with all terms relative to two."""
    torch.set_num_threads(1)
    table = Table(title=f"All three terms relative to two: N = {tracks}, M = {texts}, P = {passages}, D = {size}")
    for heading in ("T", "pass", "two terms", "time", "memory", "alone"):
        table.add_column(heading, justify="right")
    for steps in CASES:
        for backward in (False, True):
            table.add_row(*measure(steps, backward, tracks, texts, passages, size, rounds))
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
