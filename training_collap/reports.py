"""What a run leaves behind for people to read: curves, and `metrics.json` beside the model."""

import json
import platform
import subprocess
import time
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import ExportableState

from dataset_scripts.whole_files import whole_file

from .recipe import Recipe

METRICS_FILE = "metrics.json"


class LossWithEverySave(TrainerCallback):
    """Logs the loss whenever the run saves or evaluates.

    What the Trainer logs is the mean since its last log, and a checkpoint does not keep the sum so far: a run that goes
    on from between two logs would show a mean over fewer steps. Now no checkpoint lies between two logs.
    """

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_log |= control.should_save or control.should_evaluate

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        control.should_log |= control.should_save or control.should_evaluate


class TrainingClock(TrainerCallback, ExportableState):
    """Seconds of training over all starts of a run, evaluation and saving included; what was lost by a kill is not."""

    def __init__(self) -> None:
        self.earlier = 0.0
        self.started: float | None = None

    @property
    def seconds(self) -> float:
        return self.earlier + (0.0 if self.started is None else time.monotonic() - self.started)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        states: Any = state.stateful_callbacks  # by name
        saved = states.setdefault(type(self).__name__, self.state())
        self.earlier = saved["attributes"]["earlier"]
        self.started = time.monotonic()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.earlier, self.started = self.seconds, None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"earlier": self.seconds}}


class OneTensorBoard(TensorBoardCallback):
    """TensorBoard events of all starts of a run in one folder, `runs` in its output folder, as one curve.

    Steps that a killed run had logged after its last checkpoint are taken back when it goes on from there.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and self.tb_writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.logging_dir = self.logging_dir or str(Path(args.output_dir or "") / "runs")
            self.tb_writer = SummaryWriter(self.logging_dir, purge_step=state.global_step + 1)
        super().on_train_begin(args, state, control, **kwargs)


def add_reports(trainer: Trainer) -> TrainingClock:
    """Gives a trainer the callbacks of this file; to be called before training."""
    trainer.add_callback(LossWithEverySave())
    if trainer.pop_callback(TensorBoardCallback) is not None:
        trainer.add_callback(OneTensorBoard())
    clock = TrainingClock()
    trainer.add_callback(clock)
    return clock


def write_metrics(trainer: Trainer, recipe: Recipe, metrics: dict[str, float], seconds: float) -> None:
    """Writes `metrics.json`: the result of a run, and all that is needed to repeat it. One process does.

    Args:
        metrics: of the last evaluation.
        seconds: of training.
    """
    if not trainer.is_world_process_zero():
        return
    arguments, steps = trainer.args, trainer.state.global_step
    batch = arguments.train_batch_size * arguments.world_size * arguments.gradient_accumulation_steps
    report = {
        "evaluation": metrics,
        "steps": steps,
        "epochs": trainer.state.epoch,
        "tracks_per_step": batch,
        "seconds": seconds,
        "tracks_per_second": steps * batch / seconds if seconds else None,
        "processes": arguments.world_size,
        "device": _device_name(arguments.device),
        "seed": arguments.seed,
        "versions": versions(),
        "recipe": resolved(recipe),
    }
    with whole_file(Path(arguments.output_dir or "") / METRICS_FILE) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")


def resolved(recipe: Recipe) -> dict[str, Any]:
    """A recipe with its overrides and all defaults as the content of a YAML file; access tokens are left out."""
    sections = {f.name: asdict(getattr(recipe, f.name)) for f in fields(recipe) if f.name != "training"}
    training = {name: value for name, value in recipe.training.to_dict().items() if not name.endswith("_token")}
    return {**sections, "training": training}


def versions() -> dict[str, str | None]:
    """Of what results depend on, and the commit of this checkout."""
    return {
        "collap": _collap_version(),
        "revision": _revision(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def _collap_version() -> str | None:
    try:
        return version("collap")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _revision() -> str | None:
    """The commit of this checkout, with `-dirty` where files differ from it; `None` outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
