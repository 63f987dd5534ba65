"""A benchmark from rows to a result: which items are right, what is written, and that it is the same twice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import PITCHES, RATE, FakeScorer, sound
from tiny import row
from torchcodec.encoders import AudioEncoder

from dataset_scripts.schema import dataset_from_rows
from evaluation_collap.benchmarks import Benchmark
from evaluation_collap.embeddings import BrokenTracksError
from evaluation_collap.results import RetrievalResult, markdown, terminal_tables
from evaluation_collap.runner import RunSettings, evaluate_retrieval


class DeafScorer(FakeScorer):
    """Gives every pair the same score."""

    def score(self, tracks: Any, texts: Any) -> torch.Tensor:
        return torch.zeros(len(tracks), len(texts))


def recording(*pitches: str) -> dict[str, Any]:
    content = AudioEncoder(torch.from_numpy(sound(*pitches))[None], sample_rate=RATE).to_tensor("flac")
    return {"bytes": content.numpy().tobytes(), "path": None}


def benchmark(*songs: tuple[str, ...], captions: dict[int, str] | None = None) -> Benchmark:
    """Songs of pitches, whose captions name them."""
    items = [
        {**row(i), "audio": recording(*pitches), "caption": (captions or {}).get(i, " then ".join(pitches))}
        for i, pitches in enumerate(songs)
    ]
    data = dataset_from_rows(items)
    return Benchmark("pitches", "Pitches", "the pitches of each song", lambda: data)


def settings(folder: Path, **options: Any) -> RunSettings:
    options = {"resamples": 50, "progress": False, **options}
    return RunSettings(folder / "cache", folder / "results", **options)


def values(result: RetrievalResult, direction: str) -> dict[str, float]:
    return {name: figure.value for name, figure in result.metrics[direction].items()}


SONGS = [(name,) for name in PITCHES] + [("low", "high"), ("middle", "shrill")]


def test_a_model_that_hears_all_finds_all(tmp_path: Path) -> None:
    result = evaluate_retrieval(FakeScorer(), benchmark(*SONGS), settings(tmp_path))
    for direction in ("text_to_audio", "audio_to_text"):
        expected = {"R@1": 100.0, "R@5": 100.0, "mAP@10": 100.0, "MRR": 100.0, "median_rank": 1.0}
        assert values(result, direction) == expected  # six tracks: R@20 and R@100 would say nothing
        first = result.metrics[direction]["R@1"]
        assert (first.low, first.high) == (100.0, 100.0)
        assert first.chance == pytest.approx(100 / 6, abs=1)
        assert result.metrics[direction]["R@5"].chance == pytest.approx(500 / 6, abs=1)


def test_ties_count_against_the_model(tmp_path: Path) -> None:
    result = evaluate_retrieval(DeafScorer(), benchmark(*SONGS), settings(tmp_path))
    assert values(result, "text_to_audio") == {
        "R@1": 0.0,
        "R@5": 0.0,
        "mAP@10": pytest.approx(100 / 6),
        "MRR": pytest.approx(100 / 6),
        "median_rank": 6.0,
    }


def test_equal_recordings_are_one_track_and_equal_texts_one_text(tmp_path: Path) -> None:
    data = benchmark(
        ("low",), ("low",), ("high",), ("low", "high"), ("shrill",), captions={1: "low low", 3: "high", 4: "shrill"}
    )
    result = evaluate_retrieval(FakeScorer(), data, settings(tmp_path))
    assert (result.benchmark["rows"], result.benchmark["tracks"], result.benchmark["texts"]) == (5, 4, 4)
    pairs = json.loads((tmp_path / "results" / "Pitches--fake.pairs.json").read_text())
    assert pairs == {
        "tracks": ["song-0", "song-2", "song-3", "song-4"],
        "texts": ["low", "low low", "high", "shrill"],
        "tracks_of_text": [[0], [0], [1, 2], [3]],
    }
    # "high" finds both its tracks first: two right items, no rank lost to either.
    assert values(result, "text_to_audio")["mAP@10"] == 100.0
    assert values(result, "text_to_audio")["R@1"] == 100.0


def test_scores_are_written_in_the_order_of_the_pairs(tmp_path: Path) -> None:
    scorer, data = FakeScorer(), benchmark(*SONGS)
    evaluate_retrieval(scorer, data, settings(tmp_path))
    scores = np.load(tmp_path / "results" / "Pitches--fake.scores.npy")
    tracks = [scorer.encode_track(sound(*pitches)) for pitches in SONGS]
    texts = [scorer.encode_text(" then ".join(pitches)) for pitches in SONGS]
    np.testing.assert_allclose(scores, scorer.score(tracks, texts).numpy(), atol=1e-4)


def test_the_same_run_twice_gives_the_same_but_encodes_nothing(tmp_path: Path) -> None:
    data, first, second = benchmark(*SONGS), FakeScorer(), FakeScorer()
    one = evaluate_retrieval(first, data, settings(tmp_path))
    other = evaluate_retrieval(second, data, settings(tmp_path))
    assert (first.tracks_encoded, second.tracks_encoded) == (6, 0)
    assert (one.run["tracks_encoded"], other.run["tracks_encoded"]) == (6, 0)
    assert (one.metrics, one.benchmark, one.protocol) == (other.metrics, other.benchmark, other.protocol)


def test_the_revision_of_the_data_changes_with_captions_and_recordings(tmp_path: Path) -> None:
    def revision(*songs: tuple[str, ...], **options: Any) -> tuple[str, str]:
        about = evaluate_retrieval(FakeScorer(), benchmark(*songs, **options), settings(tmp_path)).benchmark
        return about["rows_sha256"], about["audio_sha256"]

    rows_of, audio_of = revision(*SONGS)
    assert revision(*SONGS, captions={0: "low low low"})[0] != rows_of
    assert revision(*SONGS, captions={0: "low low low"})[1] == audio_of
    swapped = revision(*SONGS[:-1], ("shrill", "middle"), captions={5: "middle then shrill"})
    assert (swapped[0] == rows_of, swapped[1] == audio_of) == (True, False)


def test_results_say_all_and_can_be_read_back(tmp_path: Path) -> None:
    result = evaluate_retrieval(FakeScorer(), benchmark(*SONGS), settings(tmp_path, seed=3, limit=5))
    path = tmp_path / "results" / "Pitches--fake.json"
    assert RetrievalResult.from_json(path.read_text()) == result
    assert result.run["seed"] == 3
    assert result.run["seconds"] > 0
    assert result.run["versions"]["torch"] == torch.__version__
    assert result.model["fingerprint"] == "fake-1"
    assert (result.benchmark["limit"], result.benchmark["rows"]) == (5, 5)
    text = path.with_suffix(".md").read_text()
    assert "5 tracks and 5 texts from the first 5 rows" in text
    for words in ("cosine of pitches", "the pitches of each song", "stands before it", "95% percentile bootstrap"):
        assert words in text


def test_rows_of_a_table(tmp_path: Path) -> None:
    results = [
        evaluate_retrieval(scorer, benchmark(*SONGS), settings(tmp_path))
        for scorer in (FakeScorer(), DeafScorer(name="deaf"))
    ]
    lines = markdown(results).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][3:] == ["R@1", "R@5", "R@20", "R@100", "mAP@10", "MRR", "median rank"]
    assert [line[0] for line in cells[2:]] == ["by chance"] * 2 + ["fake"] * 2 + ["deaf"] * 2
    assert cells[4][3:6] == ["100.0 [100.0, 100.0]", "100.0 [100.0, 100.0]", "–"]
    assert cells[6][-1] == "6.0 [6.0, 6.0]"
    assert len({len(line) for line in cells}) == 1
    assert len(list(terminal_tables(results))) == 2  # one for each direction


def test_broken_tracks(tmp_path: Path) -> None:
    whole = benchmark(*SONGS)
    items = whole.load().to_list()
    items[2]["audio"]["bytes"] = b"this is no sound"
    data = dataset_from_rows(items)
    broken = Benchmark("pitches", "Pitches", "all", lambda: data)
    with pytest.raises(BrokenTracksError, match=r"row 2 \(song-2\)"):
        evaluate_retrieval(FakeScorer(), broken, settings(tmp_path))
    assert not (tmp_path / "results").exists()
    result = evaluate_retrieval(FakeScorer(), broken, settings(tmp_path, skip_broken=True))
    assert result.broken.keys() == {"song-2"}
    assert result.benchmark["tracks"] == 5
    assert "left out: song-2" in (tmp_path / "results" / "Pitches--fake.md").read_text()


def test_too_little_to_rank(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leaves 1 tracks and 1 texts"):
        evaluate_retrieval(FakeScorer(), benchmark(("low",), ("low",)), settings(tmp_path))
    with pytest.raises(ValueError, match="must be at least 1"):
        settings(tmp_path, limit=0)
