"""A run that is killed goes on as if nothing had happened, and never from half a checkpoint."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, SeedableRandomSampler, skip_first_batches
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import BatchSampler
from transformers import TrainerControl, TrainerState, TrainingArguments

from training_collap import checkpoints, load_recipe, run
from training_collap.checkpoints import (
    SealedCheckpoints,
    is_whole,
    last_whole_checkpoint,
    seal_checkpoint,
    set_aside_unfinished,
)
from training_collap.epochs import EpochTeller

ROOT = Path(__file__).resolve().parents[2]
SECONDS_UNTIL_KILLED = 300


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_dataset(tmp_path_factory.mktemp("songs") / "tones", train=12, validation=3)


def shown(folder: Path) -> list[Any]:
    """The losses that TensorBoard shows of a run."""
    return EventAccumulator(str(folder / "runs")).Reload().Scalars("train/loss")


def start(recipe: Path, folder: Path) -> tuple[subprocess.Popen, Path]:
    """`train.py` in a process group of its own, and the file that it prints to."""
    output = folder.with_suffix(".out")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "train.py", str(recipe), f"training.output_dir={folder}"]
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    return process, output


def kill_at(process: subprocess.Popen, output: Path, losses: int) -> None:
    """SIGKILL for the run and its workers as soon as it has printed so many losses."""
    deadline = time.monotonic() + SECONDS_UNTIL_KILLED
    while output.read_text().count("'loss'") < losses:
        assert process.poll() is None, output.read_text()[-3000:]
        assert time.monotonic() < deadline, f"no step {losses} in {SECONDS_UNTIL_KILLED} s"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_run_goes_on_exactly(dataset: Path, tmp_path: Path) -> None:
    """12 songs in batches of 2, two a step, are 3 steps an epoch: checkpoint 4 lies within the second epoch."""
    content = tiny.recipe(
        dataset,
        tmp_path / "run",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        dataloader_num_workers=1,
        max_steps=8,
        save_steps=4,
        eval_steps=4,
        report_to="tensorboard",
    )
    content["data"]["crop_windows"] = 2
    content["model"]["config"]["whisper_config"].update(dropout=0.1)
    content["model"]["config"]["beats_config"].update(layerdrop=0.3)
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", content)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process, output = start(recipe, killed)
    kill_at(process, output, losses=5)
    assert (killed / "checkpoint-4").is_dir()
    assert not (killed / "model.safetensors").exists()
    runs = [start(recipe, folder) for folder in (whole, killed)]
    for process, output in runs:
        assert process.wait(timeout=SECONDS_UNTIL_KILLED) == 0, output.read_text()[-3000:]
    assert f"going on from {killed / 'checkpoint-4'}" in runs[1][1].read_text()
    for name in ("loss", "grad_norm", "learning_rate", "eval_loss", "epoch"):
        expected, got = tiny.logged(whole, name), tiny.logged(killed, name)
        assert got == pytest.approx(expected, abs=1e-6), name
    assert set(tiny.logged(killed)) == set(range(1, 9))
    expected_weights, weights = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    torch.testing.assert_close(weights, expected_weights, atol=1e-6, rtol=0)
    assert [event.step for event in shown(killed)] == list(range(1, 9)), "step 5 was logged twice and counts once"
    assert {event.step: event.value for event in shown(killed)} == pytest.approx(tiny.logged(whole), abs=1e-6)


@pytest.fixture
def train(dataset: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    """Runs the tiny recipe in this process."""

    def train(folder: str, **training: Any) -> dict[str, float]:
        content = tiny.recipe(dataset, tmp_path / folder, **{"max_steps": 3, "save_steps": 1, **training})
        return run(load_recipe(tiny.write_recipe(tmp_path / f"{folder}.yaml", content)))

    return train


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_truncated_checkpoint_is_set_aside(train: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    metrics, losses = train("run"), tiny.logged(folder)
    truncate(folder / "checkpoint-3" / "optimizer.pt")
    assert train("run") == pytest.approx(metrics, abs=1e-6)
    assert tiny.logged(folder) == pytest.approx(losses, abs=1e-6)
    assert (folder / "unfinished-checkpoint-3").is_dir()
    assert is_whole(folder / "checkpoint-3"), "made anew from the second"


def test_finished_run_is_not_trained_further(train: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    """Step 3 lies within an epoch, where the Trainer alone would take a fourth step."""
    metrics = train("run", save_total_limit=1)
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-3"]
    assert train("run", save_total_limit=1) == pytest.approx(metrics, abs=1e-6)
    assert set(tiny.logged(tmp_path / "run")) == {1, 2, 3}
    assert not (tmp_path / "run" / "checkpoint-4").exists()


def test_every_checkpoint_lies_on_a_logged_loss(train: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    """Otherwise the sum of losses since the last log would be lost with the process."""
    train("run", logging_steps=3, save_steps=2, eval_strategy="no", max_steps=4)
    assert set(tiny.logged(tmp_path / "run")) == {2, 3, 4}


def test_order_within_an_epoch_on_several_processes(tmp_path: Path) -> None:
    """The second of two processes goes on after two batches of the fourth epoch."""

    def loader() -> DataLoaderShard:
        batches = BatchSampler(SeedableRandomSampler(range(24), data_seed=5), batch_size=2, drop_last=True)
        return DataLoaderShard(range(24), batch_sampler=BatchSamplerShard(batches, 2, 1), collate_fn=list)

    whole = loader()
    whole.set_epoch(3)
    expected = list(whole)
    resumed, state = loader(), TrainerState(epoch=3.25)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    EpochTeller().on_epoch_begin(arguments, state, TrainerControl(), train_dataloader=resumed)
    rest = skip_first_batches(resumed, 2)
    rest.set_epoch(3)
    assert list(rest) == expected[2:]


def make_checkpoint(output: Path, step: int, seal: bool = True) -> Path:
    folder = output / f"checkpoint-{step}"
    (folder / "shards").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / "shards" / "0.distcp").write_bytes(bytes(500))
    if seal:
        seal_checkpoint(folder)
    return folder


def test_newest_whole_checkpoint(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path / "absent") is None
    for step in (5, 20, 100):  # 100 sorts before 20 as text
        make_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-300").write_text("no folder")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    make_checkpoint(tmp_path, 200, seal=False)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    truncate(tmp_path / "checkpoint-100" / "shards" / "0.distcp")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    (tmp_path / "checkpoint-20" / "model.safetensors").unlink()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-5"


def test_unfinished_checkpoints_are_renamed_not_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_checkpoint(tmp_path, 1)
    for _ in range(2):  # it may happen again at the same step
        make_checkpoint(tmp_path, 2, seal=False)
        set_aside_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-1", "unfinished-checkpoint-2"}
    assert (tmp_path / "unfinished-checkpoint-2" / "model.safetensors").is_file()
    assert "checkpoint-2 is not whole" in caplog.text


def test_the_last_whole_checkpoint_outlives_the_saving_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), save_total_limit=1, use_cpu=True, report_to="none")
    callback, state, control = SealedCheckpoints(), TrainerState(), TrainerControl()
    callback.on_train_begin(arguments, state, control)
    assert arguments.save_total_limit is None, "the Trainer deletes nothing by itself"
    make_checkpoint(tmp_path, 1)
    make_checkpoint(tmp_path, 2, seal=False)
    state.global_step = 2
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "seal_checkpoint", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            callback.on_save(arguments, state, control)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-1"
    callback.on_save(arguments, state, control)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    callback.on_train_end(arguments, state, control)
    assert arguments.save_total_limit == 1
