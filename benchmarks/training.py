"""Tracks per second of full training steps, and the share of their time that goes into waiting for data.

`python -m benchmarks.training` trains collap-mini by its recipe on made songs, a few steps each with every way of
getting at the audio's features. The songs are tones under noise, 2 to 5 minutes long, encoded as the songbook's are; a
run's first half warms up, and its data outlasts it, so that the workers never run dry. What is logged in training is
what is measured here, wall-clock time with all that the machine does besides: compare rows of one run.
"""

import logging
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from datasets import disable_progress_bars
from rich.console import Console
from rich.table import Table
from torchcodec.encoders import AudioEncoder
from transformers import PrinterCallback

from dataset_scripts.schema import dataset_from_rows
from training_collap import load_recipe
from training_collap.run import prepare

_RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "collap-mini.yaml"
_RATE = 16000
_SECTION_SECONDS = 20.0
_RECORDINGS = 8  # songs share them: neither decoding nor training gets faster by having heard one before
_WORDS = ("slow", "fast", "soft", "loud", "warm", "bright", "piano", "guitar", "drums", "strings", "rises", "falls")


def write_songs(folder: Path, train: int, validation: int) -> Path:
    """A dataset in the schema of `dataset_scripts.schema` whose recordings lie beside it as FLAC files."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir(parents=True)
    recordings = []
    for index, seconds in enumerate(np.linspace(120, 300, _RECORDINGS).round()):
        time = np.arange(round(seconds * _RATE)) / _RATE
        samples = 0.3 * np.sin(2 * np.pi * 110 * 1.3**index * time) + 0.05 * rng.normal(size=time.shape)
        path = folder / f"recording-{index}.flac"
        AudioEncoder(torch.from_numpy(samples.astype(np.float32))[None], sample_rate=_RATE).to_file(str(path))
        recordings.append((str(path), float(seconds)))
    for split, count in {"train": train, "validation": validation}.items():
        rows = [_song(f"{split}-{i}", split, *recordings[i % _RECORDINGS], rng) for i in range(count)]
        songs = dataset_from_rows(rows)
        songs.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def _song(name: str, split: str, path: str, seconds: float, rng: np.random.Generator) -> dict[str, Any]:
    sections = [
        {
            "start": start,
            "end": min(start + _SECTION_SECONDS, seconds),
            "label": "verse",
            "caption": " ".join(rng.choice(_WORDS, 20)),
        }
        for start in np.arange(0.0, seconds, _SECTION_SECONDS).tolist()
    ]
    opening = " ".join(rng.choice(_WORDS, 20))
    return {
        "id": name,
        "song_id": name,
        "audio": {"bytes": None, "path": path},
        "duration": seconds,
        "caption": "\n".join([opening, *(section["caption"] for section in sections)]),
        "global_caption": opening,
        "structure": sections,
        "source": "tones",
        "licence": "CC0-1.0",
        "split": split,
    }


def measure(songs: Path, folder: Path, *options: str) -> tuple[float, float]:
    """Tracks per second and share of the time waiting for data, in the second half of a run by collap-mini's recipe."""
    recipe = load_recipe(_RECIPE, [f"data.dataset={songs}", f"training.output_dir={folder}", *options])
    trainer = prepare(recipe)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "tracks_per_second" in entry]
    return log[1]["tracks_per_second"], log[1]["data_wait_share"]


def main(
    steps: Annotated[int, typer.Option(help="measured steps of each run, after as many that warm up")] = 4,
    batch_size: Annotated[int, typer.Option(help="tracks in a batch; 32 in the recipe")] = 32,
    workers: Annotated[int, typer.Option(help="processes that get at the features")] = 2,
    threads: Annotated[int, typer.Option(help="threads of the training process")] = 2,
) -> None:
    """Full training steps of collap-mini on the CPU, or on a GPU where there is one."""
    torch.set_num_threads(threads)
    logging.disable(logging.WARNING)
    disable_progress_bars()
    table = Table(title=f"collap-mini, batches of {batch_size}, {workers} workers, CPU threads: {threads}")
    table.add_column("features")
    table.add_column("tracks per second", justify="right")
    table.add_column("waiting for data", justify="right")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        songs = write_songs(folder / "songs", train=3 * steps * batch_size, validation=1)
        common = [
            f"data.feature_store={folder / 'features'}",
            f"training.use_cpu={not torch.cuda.is_available()}",
            f"training.per_device_train_batch_size={batch_size}",
            f"training.dataloader_num_workers={workers}",
            f"training.max_steps={2 * steps}",
            f"training.logging_steps={steps}",
            "training.eval_strategy='no'",
            "training.save_strategy='no'",
            "training.report_to=none",
            "training.disable_tqdm=true",
        ]
        ways = {
            "decoded in every epoch": ["data.feature_store=null"],
            "feature store": [],
        }
        for name, options in ways.items():
            rate, share = measure(songs, folder / "run", *common, *options)
            table.add_row(name, f"{rate:.2f}", f"{share:.1%}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
