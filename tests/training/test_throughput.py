"""Tracks per second and the wait for data, by a clock that only moves when told."""

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from training_collap.throughput import Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


class Processes:
    """Stands for accelerate on several processes; the others' rows are given."""

    device = torch.device("cpu")

    def __init__(self, *others: list[float]):
        self.others = others

    def gather(self, mine: Tensor) -> Tensor:
        return torch.cat([mine, *(torch.tensor([other]) for other in self.others)])


def step(throughput: Throughput, clock: Clock, *, tracks: int, wait: float, work: float) -> None:
    with throughput.waiting():
        clock.pass_seconds(wait)
    throughput.count(tracks)
    clock.pass_seconds(work)
    throughput.on_step_end(None, None, None)  # type: ignore[arg-type]


def test_steps_count_and_what_lies_between_them_does_not() -> None:
    clock = Clock()
    throughput, alone = Throughput(clock), Processes()
    clock.pass_seconds(50)  # setting up
    step(throughput, clock, tracks=8, wait=1, work=4)
    clock.pass_seconds(100)  # an evaluation
    step(throughput, clock, tracks=8, wait=0, work=3)
    assert throughput.take(alone) == pytest.approx({"tracks_per_second": 2.0, "data_wait_share": 1 / 8})  # type: ignore[arg-type]
    step(throughput, clock, tracks=6, wait=2, work=0)
    assert throughput.take(alone) == pytest.approx({"tracks_per_second": 3.0, "data_wait_share": 1.0})  # type: ignore[arg-type]


def test_work_still_queued_at_the_end_of_a_step_counts_when_the_loss_is_read() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, tracks=8, wait=1, work=1)
    clock.pass_seconds(2)
    figures = throughput.take(Processes())  # type: ignore[arg-type]
    assert figures == pytest.approx({"tracks_per_second": 2.0, "data_wait_share": 0.25})


def test_tracks_of_all_processes_and_the_wait_of_the_slowest() -> None:
    """The others wait for it among themselves, which looks like work on their side."""
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, tracks=8, wait=0, work=4)
    others = [8.0, 3.0, 4.0], [4.0, 1.0, 4.0]  # tracks, seconds waited, seconds
    figures = throughput.take(Processes(*others))  # type: ignore[arg-type]
    assert figures == pytest.approx({"tracks_per_second": 5.0, "data_wait_share": 0.75})


class Items(Dataset):
    """Each takes a second to load."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        self.clock.pass_seconds(1)
        return {"input_ids": torch.ones(1)}


class TimedTrainer(Trainer):
    """The hooks as `CollapTrainer` has them, a training step of 3 s and an evaluation of 100 s."""

    def __init__(self, clock: Clock, **options: Any):
        super().__init__(**options)
        self.clock, self.throughput = clock, Throughput(clock)
        self.add_callback(self.throughput)

    def get_batch_samples(self, *args: Any) -> Any:
        with self.throughput.waiting():
            batches, items = super().get_batch_samples(*args)
        self.throughput.count(sum(len(batch["input_ids"]) for batch in batches))
        return batches, items

    def log(self, logs: dict[str, float], *args: Any) -> None:
        if "loss" in logs:
            logs.update(self.throughput.take(self.accelerator))
        super().log(logs, *args)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *args: Any, **options: Any) -> Tensor:
        self.clock.pass_seconds(3)
        return model(inputs["input_ids"]).mean()

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        self.clock.pass_seconds(100)
        return {}


def test_trainer_logs_both(tmp_path: Any) -> None:
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        per_device_train_batch_size=2,
        remove_unused_columns=False,
        num_train_epochs=1,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = TimedTrainer(clock, model=nn.Linear(1, 1), args=arguments, train_dataset=Items(clock), eval_dataset=[])
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "tracks_per_second" in entry]
    # accelerate loads a batch ahead: 4 s for the first two batches of 2 s, then 2 s, 2 s and nothing.
    waits = [4, 2, 2, 0]
    assert [entry["data_wait_share"] for entry in logs] == pytest.approx([wait / (wait + 3) for wait in waits])
    assert [entry["tracks_per_second"] for entry in logs] == pytest.approx([2 / (wait + 3) for wait in waits])
    assert isinstance(trainer.accelerator, Accelerator)
