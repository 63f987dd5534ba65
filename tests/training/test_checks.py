"""Bad input: one clear sentence before any model is built."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from datasets import Dataset

from training_collap import checks, load_recipe, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_gpu_and_nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)

    def build(*args: Any) -> None:
        raise AssertionError("a model was built before the input was checked")

    monkeypatch.setattr(sys.modules["training_collap.run"], "build", build)


def refuse(recipe: Path, *overrides: str) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        run(load_recipe(recipe, list(overrides)))
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A tiny recipe with songs of which some columns are left out."""

    def write(*dropped: str, train: int = 6, validation: int = 2, **training: Any) -> Path:
        folder = tmp_path / "songs"
        (folder / "data").mkdir(parents=True)
        for split, count in (("train", train), ("validation", validation)):
            rows: Dataset = tiny.rows(max(count, 1), split=split).select(range(count)).remove_columns(list(dropped))
            rows.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
        return tiny.write_recipe(tmp_path / "recipe.yaml", tiny.recipe(folder, tmp_path / "run", **training))

    return write


def test_a_good_recipe_gets_as_far_as_building(write: Callable[..., Path]) -> None:
    with pytest.raises(AssertionError, match="built"):
        run(load_recipe(write(), ["data.crop_windows=2", "data.batch_by=source"]))


@pytest.mark.parametrize(
    ("dropped", "overrides", "named"),
    [
        (("id", "caption"), (), "'train' .* lacks the columns caption, id"),
        (("structure", "duration"), ("data.crop_windows=2",), "lacks the columns duration, structure"),
        (("source",), ("data.validation_source=tones",), "needs the column source"),
        (("source",), ("data.batch_by=source",), "batch_by names 'source'"),
    ],
)
def test_missing_columns(
    write: Callable[..., Path], dropped: tuple[str, ...], overrides: tuple[str, ...], named: str
) -> None:
    message = refuse(write(*dropped), *overrides)
    assert re.search(named, message), message


@pytest.mark.parametrize(("counts", "split"), [((0, 2), "train"), ((6, 0), "validation")])
def test_empty_split(write: Callable[..., Path], counts: tuple[int, int], split: str) -> None:
    train, validation = counts
    assert f"the split {split!r}" in (message := refuse(write(train=train, validation=validation)))
    assert message.endswith("is empty.")


def test_absent_dataset_and_split(write: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write()
    assert "nothing" in refuse(recipe, f"data.dataset={tmp_path / 'nothing'}")
    assert "names no dataset" in refuse(recipe, "data.dataset=''")
    assert "no split 'dev'; it has train, validation" in refuse(recipe, "data.validation_split=dev")


def test_a_batch_of_one(write: Callable[..., Path]) -> None:
    recipe, one = write(), "training.per_device_train_batch_size=1"
    assert "a batch of one has no negatives" in refuse(recipe, one)
    assert "a batch of one has no negatives" in refuse(recipe, one, "objective.name=sigmoid")
    with pytest.raises(AssertionError, match="built"):
        run(load_recipe(recipe, [one, "objective.name=slap"]))


def test_fewer_tracks_than_a_batch(write: Callable[..., Path]) -> None:
    message = refuse(write(), "training.per_device_train_batch_size=7")
    assert "fills no batch: it has 6 tracks, but a batch takes 7 in each of 1 processes" in message


def test_no_group_fills_a_batch(write: Callable[..., Path]) -> None:
    assert "the largest group of song_id, 'song-0', fills no batch: it has 1" in refuse(
        write(), "data.batch_by=song_id"
    )


@pytest.mark.parametrize(
    ("training", "asking"),
    [({"use_cpu": False}, "training.use_cpu=false"), ({"bf16": True}, "training.bf16=true")],
)
def test_a_gpu_asked_for_and_absent(training: dict[str, Any], asking: str) -> None:
    with pytest.raises(ValueError, match=f"{asking} asks for a GPU, but torch sees none .*training.use_cpu=true"):
        checks.check_device(training)


def test_devices_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for training in ({}, {"use_cpu": True, "bf16": True}, {"bf16": False}):
        checks.check_device(training)
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        checks.check_device({"use_cpu": True, "fp16": True})
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    checks.check_device({"use_cpu": False, "bf16": True, "fp16": True})


def test_a_recipe_that_asks_for_a_gpu(write: Callable[..., Path]) -> None:
    assert "training.use_cpu=false asks for a GPU" in refuse(write(), "training.use_cpu=false")


def test_one_process_on_several_gpus(write: Callable[..., Path]) -> None:
    recipe = load_recipe(write())
    recipe.training._n_gpu = 4
    with pytest.raises(ValueError, match="one process sees 4 GPUs"):
        checks.check_settings(recipe)


def test_adapters_are_not_sharded(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(write(), ["model.lora.r=2"])
    checks.check_settings(recipe)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # as `accelerate launch` sets it
    with pytest.raises(ValueError, match=r"model\.lora does not go with FSDP"):
        checks.check_settings(recipe)


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_reports_that_are_not_installed(write: Callable[..., Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks._REPORTS, name, lambda: False)
    message = refuse(write(), f"training.report_to={name}")
    assert f"report_to={name}" in message
    assert f"pip install 'collap[{name}]'" in message


def test_unknown_report(write: Callable[..., Path]) -> None:
    assert "paper is not supported" in refuse(write(), "training.report_to=paper")


@pytest.mark.parametrize("field", ["data.whole_track_share", "data.vary_captions", "data.shorten_captions"])
@pytest.mark.parametrize("share", ["-0.1", "1.5"])
def test_shares_of_the_examples(write: Callable[..., Path], field: str, share: str) -> None:
    assert f"{field} is a share of the examples, from 0 to 1, not {share}" in refuse(write(), f"{field}={share}")


@pytest.mark.parametrize("field", ["training.output_dir", "data.feature_store", "data.encoder_store"])
def test_folders_that_cannot_be_made(write: Callable[..., Path], tmp_path: Path, field: str) -> None:
    (tmp_path / "file").write_text("")
    assert f"{field} is {tmp_path / 'file' / 'run'}" in refuse(write(), f"{field}={tmp_path / 'file' / 'run'}")


def test_stores_that_do_not_go_together(write: Callable[..., Path], tmp_path: Path) -> None:
    recipe, encoder_store = write(), f"data.encoder_store={tmp_path / 'states'}"
    assert "exclude each other" in refuse(recipe, encoder_store, f"data.feature_store={tmp_path / 'features'}")
    assert "audio_self_supervision" in refuse(recipe, encoder_store, "objective.audio_self_supervision=0.3")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "lacks the columns caption"),
        (("training.learning_rat=1",), "learning_rat"),
        (("training.load_best_model_at_end=true", "training.save_steps=3"), "round multiple"),
    ],
)
def test_train_says_it_in_one_line(
    write: Callable[..., Path],
    overrides: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = runpy.run_path(str(ROOT / "train.py"))["main"]
    monkeypatch.setattr(sys, "argv", ["train.py", str(write("caption")), *overrides])
    assert main() == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_train_lets_real_bugs_show_themselves(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    main = runpy.run_path(str(ROOT / "train.py"))["main"]
    monkeypatch.setattr(sys, "argv", ["train.py", str(write())])
    with pytest.raises(AssertionError, match="built"):
        main()
