"""What a model costs in onnxruntime beside torch: size of its files, and processor time on one thread, in turns.

`python -m benchmarks.onnx` exports collap-mini, or what `--model` names, into a temporary folder. The features are
computed before: they are the same for both. "faster" is the median of the rounds' ratios, torch to onnxruntime.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from evaluation_collap.cli import DEFAULT_MODEL
from evaluation_collap.scorers.collap import load_collap
from release_collap.onnx_export import export_onnx
from release_collap.onnx_runner import AUDIO_GRAPH, TEXT_GRAPH, OnnxCollap

from .comparison import seconds

_WORDS = "A slow piano ballad opens with soft chords, then drums and strings enter and the voice rises."
_LINES = 8  # of a long text


def measure(ways: tuple[Callable[[], Any], Callable[[], Any]], rounds: int) -> list[str]:
    """Medians of the times of both ways, taken in turns, and how many times faster the second is."""
    for way in ways:  # the warm-up
        way()
    times = [[seconds(way) for way in ways] for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    faster = statistics.median(a / b for a, b in times)
    return [*(f"{median * 1e3:,.0f} ms" for median in medians), f"{faster:.2f} x"]


@torch.inference_mode()
def main(
    model: Annotated[str, typer.Option(help="Folder or Hub name.")] = str(DEFAULT_MODEL),
    minutes: Annotated[float, typer.Option(help="Length of the track.")] = 4.0,
    texts: Annotated[int, typer.Option(help="How many.")] = 16,
    rounds: Annotated[int, typer.Option(help="Timed runs of each.")] = 7,
) -> None:
    """Size and time of both towers in onnxruntime relative to torch."""
    torch.set_num_threads(1)
    loaded, processor = load_collap(model)
    loaded = loaded.float()
    rate = processor.feature_extractor.sampling_rate
    track = np.random.default_rng(0).normal(scale=0.1, size=round(minutes * 60 * rate)).astype(np.float32)
    audio = processor(audio=[track], sampling_rate=rate)
    cases = {f"a track of {minutes:g} minutes": audio}
    for name, text in (("short texts", _WORDS), ("long texts", "\n".join([_WORDS] * _LINES))):
        inputs = processor(text=[text] * texts)
        cases[f"{texts} {name} of {inputs['input_ids'].shape[1]} tokens"] = inputs

    table = Table(title=f"{Path(model).name}: one thread, float32")
    for heading in ("", "torch", "onnxruntime", "faster"):
        table.add_column(heading, justify="left" if not heading else "right")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "onnx"
        export_onnx(loaded, processor, output)
        exported = OnnxCollap(output, threads=1)
        for name, inputs in cases.items():
            ways: Any = (loaded.encode_text, exported.encode_text)
            if inputs is audio:
                ways = (loaded.get_audio_features, exported.get_audio_features)
            arrays = {key: rows.numpy() for key, rows in inputs.items()}
            run_torch, run_onnx = ways
            runs = (lambda: run_torch(**inputs), lambda: run_onnx(**arrays))  # noqa: B023  # called before the next case
            table.add_row(name, *measure(runs, rounds))
        weights = sum(rows.numel() * rows.element_size() for rows in loaded.state_dict().values())
        graphs = sum((output / file).stat().st_size for file in (AUDIO_GRAPH, TEXT_GRAPH))
        table.add_row("weights, graphs", f"{weights / 1e6:,.1f} MB", f"{graphs / 1e6:,.1f} MB", "")
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
