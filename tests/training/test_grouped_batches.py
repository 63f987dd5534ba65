"""Batches of one group each, and of like length."""

import numpy as np
import pytest
import tiny
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DataLoader

from training_collap import CaptionedTracks, CollapCollator
from training_collap.arguments import CollapTrainingArguments
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


def windows(epoch: int = 0, count: int = 330) -> list[int]:
    """Made lengths, others every epoch: mostly crops of 4 windows, some whole tracks of 5 to 11."""
    rng = np.random.default_rng(epoch)
    return np.where(rng.random(count) < 0.6, 4, rng.integers(5, 12, count)).tolist()


def padding_share(order: list[int], lengths: list[int], batch_size: int) -> float:
    """Share of the windows of padded batches that are padding."""
    cut = np.array(lengths)[order].reshape(-1, batch_size)
    return float(1 - cut.sum() / (cut.max(1) * batch_size).sum())


def test_batches_of_like_length_need_little_padding() -> None:
    lengths = windows()
    by_chance = list(GroupedBatches([""] * len(lengths), 8))
    alike = list(GroupedBatches(None, 8, lengths=lengths))
    assert padding_share(by_chance, lengths, 8) > 0.3
    assert padding_share(alike, lengths, 8) < 0.1
    assert len(set(alike)) == len(alike) == len(by_chance) == 328
    batch_lengths = np.array(lengths)[alike].reshape(-1, 8).mean(1)
    assert abs(np.corrcoef(batch_lengths[:-1], batch_lengths[1:])[0, 1]) < 0.5, "batches come in no order of length"


def test_groups_are_kept_apart_among_like_lengths() -> None:
    lengths = windows()
    groups = [("a", "b", "b")[i % 3] for i in range(len(lengths))]
    order = list(GroupedBatches(groups, 8, lengths=lengths))
    assert len(order) == 110 // 8 * 8 + 220 // 8 * 8
    assert all(len({groups[i] for i in batch}) == 1 for batch in np.reshape(order, (-1, 8)))
    assert padding_share(order, lengths, 8) < 0.15


def test_order_by_length_follows_seed_and_epoch_and_the_epochs_lengths() -> None:
    sampler = GroupedBatches(None, 8, seed=3, lengths=windows)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert padding_share(orders[-1], windows(epoch), 8) < 0.1
    sampler.set_epoch(0)
    assert list(sampler) == orders[0] != orders[1]
    assert list(GroupedBatches(None, 8, seed=4, lengths=windows)) != orders[0]


def test_every_epoch_mixes_its_batches_anew() -> None:
    """Of a few batches with lengths that never change, too."""
    sampler = GroupedBatches(None, 4, lengths=list(range(32)))
    companions: dict[int, set[int]] = {i: set() for i in range(32)}
    for epoch in range(30):
        sampler.set_epoch(epoch)
        for batch in np.reshape(list(sampler), (-1, 4)).tolist():
            for i in batch:
                companions[i].update(batch)
    assert min(len(met) for met in companions.values()) > 16


def test_processes_share_batches_of_like_length() -> None:
    """accelerate deals consecutive batches to the processes: together they must be one batch of the sampler."""
    lengths = list(range(64))  # no two alike: a stretch of four batches spans at most 64, one batch of it far less
    whole = np.reshape(list(GroupedBatches(None, 8, lengths=lengths)), (-1, 8))
    shares = [
        list(BatchSamplerShard(BatchSampler(GroupedBatches(None, 8, lengths=lengths), 4, drop_last=True), 2, process))
        for process in range(2)
    ]
    assert [[*first, *second] for first, second in zip(*shares, strict=True)] == whole.tolist()
    assert any(max(batch[:4]) > min(batch[4:]) for batch in whole), "the longer half is not one process's"


def test_neither_groups_nor_lengths_or_ones_of_different_examples_raise() -> None:
    with pytest.raises(ValueError, match="neither"):
        GroupedBatches(None, 2)
    with pytest.raises(ValueError, match="3 lengths, but groups of 11"):
        GroupedBatches(GROUPS, 2, lengths=[1, 2, 3])


def test_trainer_groups_its_batches(tmp_path) -> None:
    processor = tiny.processor()
    arguments = CollapTrainingArguments(
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
    arguments = CollapTrainingArguments(
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
