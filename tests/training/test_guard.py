"""A loss that is no number stops training and names the items."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from training_collap import CaptionedTracks, CollapCollator, CollapTrainer
from training_collap.arguments import CollapTrainingArguments
from training_collap.guard import check_finite

IDS = ["song-0", "song-1", "song-2"]
NAN = torch.tensor(torch.nan)


def test_finite_losses_pass() -> None:
    check_finite(torch.tensor(0.5), torch.full((3, 3), torch.nan), IDS)
    check_finite(torch.tensor(0.5), None, IDS)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_the_item_is_named(value: float) -> None:
    scores = torch.zeros(3, 6)
    scores[1] = value
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) at step 7: it comes from song-1\.$"):
        check_finite(torch.tensor(value), scores, IDS, step=7)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.full((3, 3), torch.nan), "rather weights than items: song-0, song-1, song-2"),
        (None, "rather weights than items: song-0, song-1, song-2"),
        (torch.zeros(3, 6), "no item of this process's batch .* song-0, song-1, song-2"),
    ],
)
def test_all_items_are_named_where_none_stands_out(scores: torch.Tensor | None, message: str) -> None:
    with pytest.raises(FloatingPointError, match=message):
        check_finite(NAN, scores, IDS)


class DamagedCollator(CollapCollator):
    """As from a store that was damaged: one song's features are no numbers."""

    def __call__(self, examples: list[dict[str, Any]]) -> Any:
        batch = super().__call__(examples)
        batch["fbank"][batch["ids"].index("song-1"), 0, 3] = torch.nan
        return batch


def make_trainer(folder: Path, collator: type[CollapCollator], chunk: int | None) -> CollapTrainer:
    processor = tiny.processor()
    return CollapTrainer(
        model=tiny.model(),
        args=CollapTrainingArguments(**tiny.training_options(folder, max_steps=2, cached_batch_chunk=chunk)),
        processing_class=processor,
        data_collator=collator(processor),
        train_dataset=CaptionedTracks(tiny.rows(3)),
    )


@pytest.mark.parametrize("chunk", [None, 2])
def test_training_stops_at_an_item(tmp_path: Path, chunk: int | None) -> None:
    with pytest.raises(FloatingPointError, match=r"it comes from song-1\.$"):
        make_trainer(tmp_path, DamagedCollator, chunk).train()


def test_training_stops_at_a_weight(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, CollapCollator, None)
    with torch.no_grad():
        trainer.collap_model.text_projection.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"rather weights than items: .*song-") as caught:
        trainer.train()
    assert all(name in str(caught.value) for name in IDS)
