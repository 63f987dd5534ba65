"""What a run leaves behind: TensorBoard's events, and `metrics.json`, from which it can be repeated."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import transformers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerControl, TrainerState, TrainingArguments

from training_collap import Recipe, load_recipe, run
from training_collap.reports import TrainingClock, resolved

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float], Recipe]:
    """A finished run: its folder, its metrics and its recipe."""
    folder = tmp_path_factory.mktemp("reports")
    dataset = tiny.write_dataset(folder / "tones", train=6, validation=5)
    content = tiny.recipe(dataset, folder / "run", max_steps=3, gradient_accumulation_steps=2)
    del content["training"]["output_dir"]
    path = tiny.write_recipe(folder / "recipe.yaml", content)
    recipe = load_recipe(path, [f"training.output_dir={folder / 'run'}", "training.learning_rate=2e-3"])
    return folder / "run", run(recipe), recipe


@pytest.fixture
def report(finished: tuple[Path, dict[str, float], Recipe]) -> dict[str, Any]:
    return json.loads((finished[0] / "metrics.json").read_text())


def test_tensorboard_is_the_default(finished: tuple[Path, dict[str, float], Recipe]) -> None:
    folder, metrics, recipe = finished
    assert recipe.training.report_to == ["tensorboard"]
    events = EventAccumulator(str(folder / "runs")).Reload()
    assert {"train/loss", "train/grad_norm", "eval/loss", "eval/text_to_audio_R@5"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert events.Scalars("eval/loss")[-1].value == pytest.approx(metrics["eval_loss"])


def test_metrics_file(finished: tuple[Path, dict[str, float], Recipe], report: dict[str, Any]) -> None:
    assert report["evaluation"] == finished[1]
    assert (report["steps"], report["tracks_per_step"], report["processes"]) == (3, 6, 1)
    assert report["epochs"] == 3
    assert report["seconds"] > 0
    assert report["tracks_per_second"] == pytest.approx(18 / report["seconds"])
    assert (report["device"], report["seed"]) == ("cpu", 0)
    assert report["versions"]["torch"] == torch.__version__
    assert report["versions"]["transformers"] == transformers.__version__


def test_revision(report: dict[str, Any]) -> None:
    if not (ROOT / ".git").exists():
        assert report["versions"]["revision"] is None
        return
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert report["versions"]["revision"].removesuffix("-dirty") == head.strip()


def test_the_reported_recipe_repeats_the_run(
    finished: tuple[Path, dict[str, float], Recipe], report: dict[str, Any], tmp_path: Path
) -> None:
    recipe = finished[2]
    again = load_recipe(tiny.write_recipe(tmp_path / "again.yaml", report["recipe"]))
    assert (again.model, again.data, again.objective) == (recipe.model, recipe.data, recipe.objective)
    assert again.training.to_dict() == recipe.training.to_dict()
    assert again.training.learning_rate == 0.002
    assert "hub_token" not in report["recipe"]["training"]
    assert resolved(again) == resolved(recipe)


def test_clock_adds_up_the_starts_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    arguments, control = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"), TrainerControl()
    first, state = TrainingClock(), TrainerState()
    first.on_train_begin(arguments, state, control)
    now += 7
    state.stateful_callbacks["TrainingClock"] = first.state()  # as a checkpoint keeps it
    now += 5  # lost by a kill
    second = TrainingClock()
    second.on_train_begin(arguments, state, control)
    now += 3
    second.on_train_end(arguments, state, control)
    now += 50
    assert second.seconds == 10
