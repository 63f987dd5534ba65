"""Captioned tracks: which windows of a song become an example, and with which text."""

import numpy as np
import pytest
import tiny
import torch
from accelerate.utils import find_batch_size, send_to_device
from datasets import Dataset
from torch.utils.data import DataLoader
from torchcodec.decoders import AudioDecoder

from dataset_scripts.schema import dataset_from_rows
from dataset_scripts.structure import crop_caption
from processing_collap import load_audio
from training_collap import CaptionedTracks, CollapCollator

RATE = tiny.RATE
Span = tuple[float, float]


@pytest.fixture(scope="module")
def songs() -> Dataset:
    """Six songs of 3 to 6 s in two sections."""
    return tiny.rows(6)


def cropped(songs: Dataset, windows: int = 2, **options: float) -> CaptionedTracks:
    """Crops in windows of 1 s."""
    return CaptionedTracks(songs, window_seconds=1.0, crop_windows=windows, **options)


def chosen_span(song: Dataset, example: dict) -> Span:
    """Where in its song an example's audio lies, in seconds, found by its samples."""
    whole = load_audio(song["audio"]["bytes"], sampling_rate=RATE).numpy()
    length = len(example["audio"])
    for start in range(0, len(whole) - length + 1, RATE):
        if np.allclose(whole[start : start + length], example["audio"], atol=1e-4):
            return start / RATE, (start + length) / RATE
    raise AssertionError("the example is no run of whole windows of its song")


def test_whole_tracks(songs: Dataset) -> None:
    tracks = CaptionedTracks(songs, sampling_rate=8000)
    example = tracks[2]
    assert len(tracks) == 6
    assert example["id"] == "song-2"
    assert example["caption"] == songs[2]["caption"] == tracks.captions[2]
    assert example["audio"].dtype == np.float32
    expected = load_audio(songs[2]["audio"]["bytes"], sampling_rate=8000)
    assert len(expected) == 5.0 * 8000
    np.testing.assert_array_equal(example["audio"], expected.numpy())


def test_captions_are_shortened_as_often_as_is_asked_for(songs: Dataset) -> None:
    for share, expected in ((0.0, [False] * 6), (1.0, [True] * 6)):
        tracks = CaptionedTracks(songs, sampling_rate=8000, shorten_captions=share)
        examples = [tracks[i] for i in range(6)]
        assert [not example["lines"] for example in examples] == expected
    assert len({example["caption"].count(".") for example in examples}) > 1
    tracks.set_epoch(1)
    assert [tracks[i]["caption"] for i in range(6)] != [example["caption"] for example in examples]


def test_captions_are_read_without_audio() -> None:
    song = {**tiny.row(0), "audio": {"bytes": b"no audio", "path": None}}
    tracks = CaptionedTracks(dataset_from_rows([song]))
    assert tracks.captions == [song["caption"]]
    with pytest.raises(ValueError, match="does not decode"):
        tracks[0]


def test_crops_are_whole_windows_with_the_caption_of_these_seconds(songs: Dataset) -> None:
    tracks, seen = cropped(songs), set()
    for epoch in range(4):
        tracks.set_epoch(epoch)
        for index in range(len(tracks)):
            example = tracks[index]
            start, end = chosen_span(songs[index], example)
            seen.add((index, start))
            assert end - start == 2
            captions = [crop_caption(songs[index], start, end, keep_global=keep) for keep in (True, False)]
            assert example["caption"] in captions
    assert len(seen) > 10


def test_every_window_is_met_and_all_starts_are_alike(songs: Dataset) -> None:
    tracks = cropped(songs.select([3]))  # 6 s: starts 0 to 4
    starts = []
    for epoch in range(60):
        tracks.set_epoch(epoch)
        starts.append(chosen_span(songs[3], tracks[0])[0])
    counts = np.bincount(np.array(starts, dtype=int), minlength=5)
    assert len(counts) == 5
    assert counts.min() >= 4


def test_caption_speaks_of_the_crop_alone(songs: Dataset) -> None:
    tracks = cropped(songs.select([3]))  # low until 3 s, high after
    for epoch in range(20):
        tracks.set_epoch(epoch)
        example = tracks[0]
        start, end = chosen_span(songs[3], example)
        assert ("low tone" in example["caption"]) == (start < 3)
        assert ("high tone" in example["caption"]) == (end > 3)


def test_global_caption_comes_with_half_of_the_crops(songs: Dataset) -> None:
    tracks = cropped(songs.select([3]))
    kept = []
    for epoch in range(100):
        tracks.set_epoch(epoch)
        kept.append("of two tones" in tracks[0]["caption"])
    assert 0.3 < np.mean(kept) < 0.7


@pytest.mark.parametrize(("seconds", "starts"), [(3.25, {0, 1}), (3.75, {0, 1, 2})])
def test_last_window_counts_from_half_of_its_length_on(seconds: float, starts: set[int]) -> None:
    song = dataset_from_rows([tiny.row(0, seconds=seconds)])
    tracks, seen = cropped(song), set()
    for epoch in range(30):
        tracks.set_epoch(epoch)
        start, end = chosen_span(song[0], tracks[0])
        assert end == min(start + 2, seconds)
        seen.add(start)
    assert seen == starts


def test_track_no_longer_than_the_crop_stays_whole(songs: Dataset) -> None:
    tracks = cropped(songs, windows=6)
    for index in range(len(tracks)):
        assert tracks[index]["caption"] == songs[index]["caption"]
        assert len(tracks[index]["audio"]) == songs[index]["duration"] * RATE


def test_track_without_sections_has_its_global_caption() -> None:
    song = {**tiny.row(0), "structure": [], "section_tags": []}
    tracks = cropped(dataset_from_rows([song]))
    assert tracks[0]["caption"] == song["global_caption"]
    assert len(tracks[0]["audio"]) == 2 * RATE


def test_choice_depends_on_seed_epoch_and_index_alone(songs: Dataset) -> None:
    def captions(seed: int, epoch: int, *, backwards: bool = False) -> list[str]:
        tracks = cropped(songs, seed=seed)
        tracks.set_epoch(epoch)
        order = reversed(range(6)) if backwards else range(6)
        by_index = {index: tracks[index]["caption"] for index in order}
        return [by_index[index] for index in range(6)]

    assert captions(0, 3) == captions(0, 3) == captions(0, 3, backwards=True)
    assert captions(0, 3) != captions(1, 3)
    assert captions(0, 3) != captions(0, 4)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_whole_track_share(songs: Dataset, share: float) -> None:
    tracks, whole = cropped(songs.select([3]), whole_track_share=share), []
    for epoch in range(150):
        tracks.set_epoch(epoch)
        whole.append(tracks[0]["caption"] == songs[3]["caption"])
    assert np.mean(whole) == pytest.approx(share, abs=0.12 if 0 < share < 1 else 0)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_see_the_epoch(songs: Dataset, persistent: bool) -> None:
    tracks = cropped(songs)
    expected, seen = [], []
    for epoch in range(3):
        tracks.set_epoch(epoch)
        expected.append([tracks[index]["caption"] for index in range(6)])
    loader = DataLoader(tracks, batch_size=2, num_workers=1, persistent_workers=persistent, collate_fn=list)
    for epoch in range(3):
        tracks.set_epoch(epoch)
        seen.append([example["caption"] for batch in loader for example in batch])
    assert seen == expected
    assert len({str(epoch) for epoch in expected}) == 3


def test_workers_decode_the_crop_alone(songs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks, decoded = cropped(songs), torch.zeros(2).share_memory_()  # calls, samples
    decode = AudioDecoder.get_samples_played_in_range

    def counted(self: AudioDecoder, start: float, stop: float | None) -> object:
        result = decode(self, start, stop)
        decoded[:] += torch.tensor([1, result.data.shape[1]])
        return result

    monkeypatch.setattr(AudioDecoder, "get_samples_played_in_range", counted)
    monkeypatch.setattr(AudioDecoder, "get_all_samples", lambda self: pytest.fail("a whole song was decoded"))
    lengths = [len(example["audio"]) for example in DataLoader(tracks, batch_size=None, num_workers=1)]
    assert lengths == [2 * RATE] * 6
    assert decoded.tolist() == [6, 6 * 2 * RATE]


def test_batch_ends_with_the_ids_of_its_tracks(songs: Dataset) -> None:
    tracks = CaptionedTracks(songs)
    batch = CollapCollator(tiny.processor())([tracks[i] for i in (4, 1)])
    sent = send_to_device(batch, torch.device("cpu"))
    assert list(sent)[-1] == "ids"
    assert sent["ids"] == ["song-4", "song-1"]
    assert find_batch_size(sent) == 2
    anonymous = CollapCollator(tiny.processor())([{"caption": "a song", "audio": tiny.tone(1.0)}])
    assert "ids" not in anonymous
