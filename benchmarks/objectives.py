"""`python -m benchmarks.objectives`: collap-mini trained shortly with one line of its recipe changed at a time.

Two tables. Objectives: from random weights, eq (8) alone and with each option. Tuning: from the first row's model, what
is trained further. Every run has the same data, steps and seed, and is compared with the others only: it is far shorter
than that of the shipped model. A run that was cut short goes on, and a finished one is not repeated.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
# Crops of one minute make a step cheap; neither caption nor loss is that of the shipped model.
PROTOCOL = (
    "data.validation_source=pop909",
    "data.crop_windows=2",
    "data.whole_track_share=0",
    "training.eval_strategy='no'",
    "training.save_steps=100",
    "training.save_total_limit=1",
)
PLAIN = {"order_negatives": 0, "sections": 0.0, "global_vector": 0.0}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "eq (8)": {},
    "content_weighting=0.01": {"content_weighting": 0.01},
    "name=sigmoid": {"name": "sigmoid"},
    "name=slap": {"name": "slap"},
    "global_vector=0.25": {"global_vector": 0.25},
    "audio_self_supervision=0.3": {"audio_self_supervision": 0.3},
    "order_negatives=4": {"order_negatives": 4},
    "sections=0.4": {"sections": 0.4},
    "the recipe's three": {"order_negatives": 4, "sections": 0.4, "global_vector": 0.25},
}
TUNING = {
    "everything": (),
    "all but the audio encoders": ("model.freeze=[whisper,beats]",),
    "all but the text encoder": ("model.freeze=[text]",),
    "LoRA, r = 8": ("model.lora={r: 8}",),
}
FIGURES = ("R@1", "R@5", "R@20", "median_rank")
DIRECTIONS = ("text_to_audio", "audio_to_text")


def objectives(
    output: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/objectives"),
    steps: Annotated[int, typer.Option(help="Of each run from random weights; tuning has half as many.")] = 400,
    threads: Annotated[int, typer.Option(help="Of the training process.")] = 2,
) -> None:
    """Trains every row of both tables and prints R@k on the validation songs."""
    found: dict[str, dict[str, dict[str, float]]] = {"objective": {}, "tuned": {}}
    for name, changed in OBJECTIVES.items():
        overrides = [f"objective.{key}={value}" for key, value in {**PLAIN, **changed}.items()]
        found["objective"][name] = train(output / folder_name(name), steps, threads, *overrides)
    start = output / folder_name(next(iter(OBJECTIVES)))
    for name, options in TUNING.items():
        overrides = [f"objective.{key}={value}" for key, value in PLAIN.items()]
        # A model that is trained further brings its own configuration, features and tokenizer.
        brought = ("model.config={}", "model.feature_extractor={}", "model.vocab_size=null", "model.position_scale=1.0")
        overrides += [f"model.pretrained={start}", *brought, *options]
        found["tuned"][name] = train(output / f"tuned-{folder_name(name)}", steps // 2, threads, *overrides)
    for title, rows in found.items():
        print_table(title, rows)
    (output / "figures.json").write_text(json.dumps(found, indent=2) + "\n")


def train(folder: Path, steps: int, threads: int, *overrides: str) -> dict[str, float]:
    """The validation figures of one run, trained where it was not before."""
    metrics = folder / "metrics.json"
    if not metrics.exists():
        command = [
            str(Path(sys.executable).parent / "accelerate"),
            "launch",
            f"--num_cpu_threads_per_process={threads}",
        ]
        command += ["train.py", "recipes/collap-mini.yaml", *PROTOCOL, *overrides]
        command += [f"training.max_steps={steps}", f"training.output_dir={folder}"]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    evaluation: dict[str, float] = json.loads(metrics.read_text())["evaluation"]
    return evaluation


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    table = Table(title, *(f"{direction.replace('_', ' ')} {name}" for direction in DIRECTIONS for name in FIGURES))
    for name, metrics in rows.items():
        table.add_row(
            name, *(f"{metrics[f'eval_{direction}_{figure}']:g}" for direction in DIRECTIONS for figure in FIGURES)
        )
    Console(width=160).print(table)


def folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")


if __name__ == "__main__":
    typer.run(objectives)
