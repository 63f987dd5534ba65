"""Search in memory: the order, ties, unequal lengths, and files that cannot be read."""

from pathlib import Path

import pytest
import torch
from sounds import write_folder, write_sound
from tiny import model, processor

from retrieval_collap import TrackLibrary, library

TEXTS = ["a slow piano ballad", "fast drums and guitar"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tracks"))


@pytest.fixture
def tracks(folder: Path) -> TrackLibrary:
    tracks = TrackLibrary(model(), processor())
    names = ("low.wav", "album one/middle.ogg", "broken.mp3", "album one/high & clear.flac", "absent.wav")
    failures = tracks.add((name, folder / name) for name in names)
    assert [failure.id for failure in failures] == ["broken.mp3", "absent.wav"]
    assert "does not decode" in failures[0].reason
    assert "no such file" in failures[1].reason
    return tracks


def test_tracks_keep_their_own_length_and_duration(tracks: TrackLibrary) -> None:
    assert [track.id for track in tracks] == ["album one/high & clear.flac", "album one/middle.ogg", "low.wav"]
    assert [track.duration for track in tracks] == pytest.approx([6.1, 4.0, 2.4], abs=0.01)
    for track in tracks:
        assert len(track.features) == pytest.approx(50 * track.duration, abs=3)


def test_scores_are_those_of_each_track_alone(tracks: TrackLibrary, folder: Path) -> None:
    collap, prepare = model(), processor()
    scores = tracks.scores(TEXTS)
    assert scores.shape == (2, 3)
    for column, track in zip(scores.T, tracks, strict=True):
        with torch.inference_mode():
            out = collap(**prepare(audio=str(folder / track.id), text=TEXTS))
            alone = out.logits_per_audio[0] / collap.logit_scale.exp()
        torch.testing.assert_close(column, alone, rtol=1e-4, atol=1e-5)


def test_search_orders_by_score(tracks: TrackLibrary) -> None:
    results = tracks.search(TEXTS, top=2)
    everything = tracks.scores(TEXTS)
    for matches, row in zip(results, everything, strict=True):
        assert [match.rank for match in matches] == [1, 2]
        assert [match.score for match in matches] == row.sort(descending=True).values[:2].tolist()
    assert len(tracks.search(TEXTS[:1], top=10)[0]) == 3


def test_equal_scores_are_ordered_by_id(folder: Path) -> None:
    tracks = TrackLibrary(model(), processor())
    tracks.add((name, folder / "low.wav") for name in ("b", "c", "a"))
    assert [match.track.id for match in tracks.search(TEXTS[:1])[0]] == ["a", "b", "c"]


def test_groups_change_nothing(tracks: TrackLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    together = tracks.scores(TEXTS)
    monkeypatch.setattr(library, "_STEPS_PER_GROUP", 1)
    torch.testing.assert_close(tracks.scores(TEXTS), together, rtol=1e-5, atol=1e-6)


def test_spans_lie_in_the_track(tracks: TrackLibrary) -> None:
    for track in tracks:
        location = tracks.locate(track.id, TEXTS[0])
        assert location.attention.shape == location.similarity.shape == (len(track.features),)
        for span in location.spans:
            assert 0 <= span.start < span.end <= track.duration


def test_adding_a_known_id_replaces_it(tracks: TrackLibrary, tmp_path: Path) -> None:
    assert tracks.add([("low.wav", write_sound(tmp_path / "new.wav", 1.5, 300.0).read_bytes())]) == []
    assert len(tracks) == 3
    assert tracks["low.wav"].duration == pytest.approx(1.5)


def test_clear_errors(tracks: TrackLibrary) -> None:
    with pytest.raises(KeyError, match="no track 'absent'"):
        tracks.locate("absent", TEXTS[0])
    with pytest.raises(ValueError, match="empty"):
        TrackLibrary(model(), processor()).search(TEXTS)
    with pytest.raises(ValueError, match="no text"):
        tracks.search([])
    with pytest.raises(ValueError, match="top"):
        tracks.search(TEXTS, top=0)
