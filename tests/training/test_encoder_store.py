"""States of frozen encoders that are computed once say what the live encoders say."""

import multiprocessing
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from dataset_scripts.schema import dataset_from_rows
from modeling_collap import CollapModel
from training_collap import CaptionedTracks, CollapCollator, encoder_store
from training_collap.encoder_store import EncoderStore

BRANCHES = {"both": {}, "whisper": {"beats_config": None}, "beats": {"whisper_config": None}}
EXTRACTOR = tiny.processor().feature_extractor


def frozen_model(**options: Any) -> CollapModel:
    """In training mode, with dropout in BEATs: whoever forgets that frozen encoders do without it is found out."""
    model = tiny.model(**{"beats_config": tiny.beats_config(hidden_dropout=0.5), **options})
    for encoder in (model.audio_encoder.whisper, model.audio_encoder.beats):
        if encoder is not None:
            encoder.requires_grad_(False)
    return model.train()


@pytest.fixture(scope="module")
def songs() -> Dataset:
    """Five songs of 3.4 to 6.4 s: the last window of each is a short one."""
    items = [tiny.row(i, seconds=3.4 + i % 4) for i in range(5)]
    return dataset_from_rows(items)


@pytest.fixture(scope="module")
def store(songs: Dataset, tmp_path_factory: pytest.TempPathFactory) -> EncoderStore:
    """In three files."""
    folder = tmp_path_factory.mktemp("store")
    return EncoderStore.build(folder, songs, frozen_model(), EXTRACTOR, tracks_per_file=2)


def batch(songs: Dataset, features: EncoderStore | None = None, **crops: Any) -> Any:
    tracks = CaptionedTracks(songs, window_seconds=tiny.WINDOW_SECONDS, features=features, **crops)
    return CollapCollator(tiny.processor())([tracks[i] for i in range(len(tracks))])


@pytest.mark.parametrize("branch", BRANCHES)
def test_features_are_those_of_the_live_encoders(songs: Dataset, tmp_path: Path, branch: str) -> None:
    model = frozen_model(**BRANCHES[branch])
    store = EncoderStore.build(tmp_path, songs.select(range(2)), model, EXTRACTOR)
    assert all(module.training for module in model.modules())
    model.eval()
    for crops in ({}, {"crop_windows": 2, "seed": 1}):
        expected, lengths = model.get_audio_features(**batch(songs.select(range(2)), **crops))
        found, found_lengths = model.get_audio_features(**batch(songs.select(range(2)), store, **crops))
        assert torch.equal(lengths, found_lengths)
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
        assert expected.std() > 0.1  # the tolerance is small beside what is compared


def test_encoders_are_not_run_and_the_rest_is_trained(
    songs: Dataset, store: EncoderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs = frozen_model(), batch(songs, store)
    for encoder in (model.audio_encoder.whisper, model.audio_encoder.beats):
        monkeypatch.setattr(encoder, "forward", lambda *_: pytest.fail("a frozen encoder was run"))
    assert inputs.pop("ids") == [f"song-{i}" for i in range(5)]
    del inputs["passage_spans"]  # as the ids, for training alone
    model(**inputs, return_loss=True).loss.backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert {"audio_encoder.adapter.weight", "audio_encoder.beats_norm.weight"} <= trained


def test_a_crop_reads_its_windows_alone(store: EncoderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.read(3)
    assert {name: tuple(values.shape) for name, values in whole.items()} == {
        "whisper_states": (7, tiny.WHISPER_STEPS, 16),
        "input_features_lengths": (7,),
        "beats_states": (7, tiny.BEATS_STEPS, 16),
        "fbank_lengths": (7,),
    }
    groups: list[int] = []
    read = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda self, some, **rest: groups.extend(some) or read(self, some, **rest)
    )
    crop = store.read(3, 2, 4)
    assert groups == [6 + 2, 6 + 3]  # song 3 lies in its file behind the 6 windows of song 2
    for name, values in whole.items():
        assert torch.equal(crop[name], values[2:4])
    assert len(store.read(0, 2, 9)["beats_states"]) == 2  # never the next track's


def test_workers_read_the_same(songs: Dataset, store: EncoderStore) -> None:
    tracks = CaptionedTracks(songs, window_seconds=tiny.WINDOW_SECONDS, features=store, crop_windows=2)
    loader = DataLoader(tracks, batch_size=None, num_workers=1)
    for here, there in zip((tracks[i] for i in range(5)), loader, strict=True):
        assert torch.equal(here["features"]["whisper_states"], there["features"]["whisper_states"])
    again = pickle.loads(pickle.dumps(store))
    assert torch.equal(again.read(4)["beats_states"], store.read(4)["beats_states"])


def test_a_complete_store_is_kept(songs: Dataset, store: EncoderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_store, "_write_file", lambda *_: pytest.fail("a file was written anew"))
    again = EncoderStore.build(store.folder, songs, frozen_model(), EXTRACTOR, tracks_per_file=2)
    assert again.ids == store.ids == list(songs["id"])


def test_a_store_of_something_else_is_refused_with_what_differs(songs: Dataset, store: EncoderStore) -> None:
    def refused(message: str, **changes: Any) -> None:
        wanted = {"rows": songs, "model": frozen_model(), "feature_extractor": EXTRACTOR, **changes}
        with pytest.raises(ValueError, match=message):
            EncoderStore.build(store.folder, **wanted, tracks_per_file=2)

    other = frozen_model()
    next(other.audio_encoder.beats.parameters()).data += 1e-3
    refused("made from something else: weights.beats is .* there and .* here; remove it", model=other)
    refused("ids is a list of 5 there and a list of 4 here", rows=songs.select(range(4)))
    refused(
        "feature_extractor.fbank_mean is 15.41663 there and 3.0 here",
        feature_extractor=tiny.processor(fbank_mean=3.0).feature_extractor,
    )
    heads = tiny.beats_config(hidden_dropout=0.5, num_attention_heads=4)
    refused("encoders.beats.num_attention_heads is 2 there and 4 here", model=frozen_model(beats_config=heads))
    refused("encoders.whisper is {.* there and None here", model=frozen_model(whisper_config=None))
    with pytest.raises(ValueError, match="other rows"):
        CaptionedTracks(songs.select(range(2)), features=store)


def test_settings_of_training_alone_may_change(songs: Dataset, store: EncoderStore) -> None:
    model = frozen_model(beats_config=tiny.beats_config(hidden_dropout=0.0), beats_time_alignment="pooled")
    assert len(EncoderStore.build(store.folder, songs, model, EXTRACTOR, tracks_per_file=2)) == 5


@pytest.mark.parametrize("branch", ["whisper", "beats"])
def test_an_encoder_that_is_trained_is_refused(songs: Dataset, tmp_path: Path, branch: str) -> None:
    model = frozen_model()
    getattr(model.audio_encoder, branch).requires_grad_(True)
    with pytest.raises(ValueError, match=f"the {branch} encoder is trained"):
        EncoderStore.build(tmp_path / "store", songs, model, EXTRACTOR)
    assert not (tmp_path / "store").exists()


def test_states_that_the_live_encoders_deny_are_found(songs: Dataset, store: EncoderStore) -> None:
    rerecorded = songs.map(lambda row: {"audio": tiny.row(7, seconds=3.4)["audio"]} if row["id"] == "song-4" else row)
    with pytest.raises(ValueError, match=r"off by .*% in window \d for track 'song-4'"):
        store.verify(frozen_model(), rerecorded)
    cut = songs.map(lambda row: {"audio": tiny.row(0, seconds=2.0)["audio"]} if row["id"] == "song-0" else row)
    with pytest.raises(ValueError, match="4 windows instead of 2 for track 'song-0'"):
        EncoderStore.build(store.folder, cut, frozen_model(), EXTRACTOR, tracks_per_file=2)
    store.verify(frozen_model(), songs, count=len(songs))


def test_states_beyond_half_precision_are_refused(songs: Dataset, tmp_path: Path) -> None:
    model = frozen_model(beats_config=None)
    model.audio_encoder.whisper.layer_norm.weight.data *= 1e6
    with pytest.raises(ValueError, match="track 'song-0': whisper_states leave the range of half precision"):
        EncoderStore.build(tmp_path, songs, model, EXTRACTOR)


def test_a_build_that_was_killed_goes_on(songs: Dataset, store: EncoderStore, tmp_path: Path) -> None:
    """Killed in the second of three files: the first is kept, the second begun anew."""

    def build(**options: Any) -> EncoderStore:
        return EncoderStore.build(tmp_path, songs, frozen_model(), EXTRACTOR, tracks_per_file=2, **options)

    def build_until_killed() -> None:
        torch.set_num_threads(1)
        encode, tracks = encoder_store._encode, iter(range(len(songs)))

        def encode_or_die(*args: Any) -> Any:
            if next(tracks) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(*args)

        encoder_store._encode = encode_or_die
        build()

    child = multiprocessing.get_context("fork").Process(target=build_until_killed)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["states-00000.parquet", "states-00001.parquet.partial"]
    with pytest.raises(FileNotFoundError, match="no complete encoder store"):
        EncoderStore(tmp_path)
    with pytest.raises(ValueError, match="tracks_per_file is 2 there and 3 here"):
        EncoderStore.build(tmp_path, songs, frozen_model(), EXTRACTOR, tracks_per_file=3)
    written = (tmp_path / "states-00000.parquet").stat().st_mtime_ns
    resumed = build()
    assert (tmp_path / "states-00000.parquet").stat().st_mtime_ns == written
    assert not list(tmp_path.glob("*.partial"))
    for track in range(len(songs)):
        for name, values in store.read(track).items():
            # Windows may meet in other batches, and half precision may round the last bit otherwise.
            torch.testing.assert_close(resumed.read(track)[name], values, atol=5e-3, rtol=5e-3)
