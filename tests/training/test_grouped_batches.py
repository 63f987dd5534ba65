"""Batches of one group each."""

import pytest
import tiny
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from training_collap import CaptionedTracks, CollapCollator
from training_collap.grouped_batches import GroupedBatches
from training_collap.trainer import CollapTrainer

GROUPS = ["a", "b", "a", "a", "b", "a", "b", "a", "b", "b", "b"]  # 5 of a, 6 of b


def batches(sampler: GroupedBatches, size: int = 2) -> list[list[int]]:
    return list(DataLoader(range(len(GROUPS)), batch_size=size, sampler=sampler, collate_fn=list))


def test_a_batch_holds_one_group_and_no_example_comes_twice() -> None:
    found = batches(GroupedBatches(GROUPS, 2))
    assert all(len({GROUPS[i] for i in batch}) == 1 for batch in found)
    indices = [i for batch in found for i in batch]
    assert len(set(indices)) == len(indices) == len(GroupedBatches(GROUPS, 2)) == 10


def test_epochs_differ_and_repeat() -> None:
    sampler = GroupedBatches(GROUPS, 2, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_every_example_has_its_turn() -> None:
    sampler = GroupedBatches(GROUPS, 2)
    seen = set()
    for epoch in range(20):
        sampler.set_epoch(epoch)
        seen.update(sampler)
    assert seen == set(range(len(GROUPS)))


def test_groups_too_small_raise() -> None:
    with pytest.raises(ValueError, match="no group"):
        GroupedBatches(GROUPS, 7)


def test_trainer_groups_its_batches(tmp_path) -> None:
    processor = tiny.processor()
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=2,
        use_cpu=True,
        remove_unused_columns=False,
        dataloader_drop_last=True,
        report_to="none",
    )
    trainer = CollapTrainer(
        model=tiny.model(),
        args=arguments,
        processing_class=processor,
        data_collator=CollapCollator(processor),
        train_dataset=CaptionedTracks(tiny.rows(6), window_seconds=tiny.WINDOW_SECONDS),
        batch_groups=["x", "y", "x", "y", "x", "y"],
    )
    trainer.data_collator = lambda examples: {"ids": [example["id"] for example in examples]}
    found = [batch["ids"] for batch in trainer.get_train_dataloader()]
    assert found
    for ids in found:
        assert len({int(name.removeprefix("song-")) % 2 for name in ids}) == 1


def test_trainer_moves_the_order_on_with_every_epoch(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[tuple[int, list[int]]] = []
    order_of = GroupedBatches.__iter__

    def record(sampler: GroupedBatches):
        order = list(order_of(sampler))
        orders.append((sampler.epoch, order))
        return iter(order)

    monkeypatch.setattr(GroupedBatches, "__iter__", record)
    processor = tiny.processor()
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=2,
        num_train_epochs=3,
        save_strategy="no",
        use_cpu=True,
        remove_unused_columns=False,
        dataloader_drop_last=True,
        report_to="none",
    )
    CollapTrainer(
        model=tiny.model(),
        args=arguments,
        processing_class=processor,
        data_collator=CollapCollator(processor),
        train_dataset=CaptionedTracks(tiny.rows(8), window_seconds=tiny.WINDOW_SECONDS),
        batch_groups=["x", "y"] * 4,
    ).train()
    assert [epoch for epoch, _ in orders] == [0, 1, 2]
    assert len({tuple(order) for _, order in orders}) == 3
