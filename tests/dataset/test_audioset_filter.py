"""Recordings that cannot be used fall out with a reason, and two encodings of one recording count once."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from audioset_stages import melody

from dataset_scripts.audioset.duplicates import Duplicates, candidate_pairs, compare, sketch
from dataset_scripts.audioset.filter import Filter, listen, probe
from dataset_scripts.audioset.stage import Dropped, ItemError, Row
from dataset_scripts.songbook.render import encode

RATE = 16_000
TUNE = melody(0, 12)


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


def flac(path: Path, samples: np.ndarray) -> Path:
    path.write_bytes(encode(samples, RATE))
    return path


def heard(work: Path, name: str, **options: float) -> Row | Dropped:
    stage = Filter(work, **({"min_seconds": 5.0, "max_seconds": 20.0} | options))
    return stage.process({"id": "track", "path": name})


def reason(result: Row | Dropped) -> str:
    assert isinstance(result, Dropped)
    assert (result.id, result.stage) == ("track", "filter")
    return result.reason


def test_a_recording_gets_its_length_and_fingerprint(tmp_path: Path) -> None:
    flac(tmp_path / "a.flac", TUNE)
    row = heard(tmp_path, "a.flac")
    assert isinstance(row, dict)
    assert row["duration"] == 12.0
    assert 60 < len(np.frombuffer(row["fingerprint"], "<u4")) < 100
    assert heard(tmp_path, "a.flac") == row


@pytest.mark.parametrize(("seconds", "kind"), [(4.0, "too short: 4.0 s, less than 5 s"), (21.0, "too long: 21.0 s")])
def test_length(tmp_path: Path, seconds: float, kind: str) -> None:
    flac(tmp_path / "a.flac", np.resize(TUNE, round(seconds * RATE)))
    assert reason(heard(tmp_path, "a.flac")).startswith(kind)


def test_length_of_a_file_that_does_not_tell_it(tmp_path: Path) -> None:
    """Raw streams have no header with a length; then it is decoded, up to what may be kept."""
    flac(tmp_path / "a.flac", np.resize(TUNE, 30 * RATE))
    ffmpeg("-i", str(tmp_path / "a.flac"), "-c:a", "libopus", "-f", "matroska", "-live", "1", str(tmp_path / "a.mkv"))
    audio = probe(tmp_path / "a.mkv")
    assert audio is not None
    assert audio.seconds is None
    assert reason(heard(tmp_path, "a.mkv")) == "too long: 21.0 s, more than 20 s"


def test_silence(tmp_path: Path) -> None:
    samples = np.concatenate([TUNE[: 4 * RATE], 1e-4 * TUNE[: 8 * RATE]])
    flac(tmp_path / "a.flac", samples)
    assert reason(heard(tmp_path, "a.flac")) == "silent: 67% of its length"
    assert isinstance(heard(tmp_path, "a.flac", max_silent_share=0.7), dict)
    assert isinstance(heard(tmp_path, "a.flac", silence_dbfs=-100.0), dict)
    flac(tmp_path / "zeros.flac", np.zeros(8 * RATE, np.float32))
    assert reason(heard(tmp_path, "zeros.flac")) == "silent: 100% of its length"


def test_clipping(tmp_path: Path) -> None:
    flac(tmp_path / "a.flac", np.clip(100 * TUNE, -1, 1))
    assert reason(heard(tmp_path, "a.flac")).startswith("clipped: ")
    flac(tmp_path / "loud.flac", TUNE / np.abs(TUNE).max())
    assert isinstance(heard(tmp_path, "loud.flac"), dict)


def test_a_file_that_breaks_off(tmp_path: Path) -> None:
    whole = flac(tmp_path / "a.flac", TUNE).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    assert reason(heard(tmp_path, "cut.flac")).startswith("broken: decodes to ")
    ffmpeg("-i", str(tmp_path / "a.flac"), str(tmp_path / "a.wav"))
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:20] + b"\0" * 100)
    assert reason(heard(tmp_path, "cut.mp4")) == "broken: no audio that FFmpeg reads"


def test_a_file_damaged_in_the_middle(tmp_path: Path) -> None:
    damaged = bytearray(flac(tmp_path / "a.flac", TUNE).read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 2000] = bytes(2000)
    (tmp_path / "a.flac").write_bytes(damaged)
    assert reason(heard(tmp_path, "a.flac")).startswith("broken: decodes to ")


def test_what_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "page.webm").write_text("<html>Not found</html>")
    assert reason(heard(tmp_path, "page.webm")) == "broken: no audio that FFmpeg reads"
    ffmpeg("-f", "lavfi", "-i", "color=size=16x16:duration=6:rate=1", str(tmp_path / "video.mkv"))
    assert reason(heard(tmp_path, "video.mkv")) == "broken: no audio that FFmpeg reads"


def test_a_file_that_vanished_is_no_verdict_on_it(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"item track: its audio file .*gone\.flac is not there"):
        heard(tmp_path, "gone.flac")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_seconds": 300.0, "max_seconds": 120.0}, "min_seconds < max_seconds"),
        ({"max_silent_share": 2.0}, "filter.max_silent_share must be a share"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Filter(tmp_path, **options).check()


def test_ffmpeg_here_can_do_it(tmp_path: Path) -> None:
    Filter(tmp_path).check()


# --- duplicates -------------------------------------------------------------------------------------------------------


def fingerprint(path: Path) -> np.ndarray:
    audio = probe(path)
    assert audio is not None
    return np.frombuffer(listen(path, audio, 60, -60).fingerprint, "<u4")


@pytest.fixture(scope="module")
def encodings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Fingerprints of one recording in several encodings, and of others."""
    folder = tmp_path_factory.mktemp("encodings")
    tune = flac(folder / "tune.flac", melody(1, 24))
    for name, options in {
        "mp3.mp3": ["-b:a", "64k"],
        "stereo.m4a": ["-ac", "2", "-ar", "44100"],
        "late.opus": ["-ss", "1.5", "-b:a", "48k"],
    }.items():
        ffmpeg("-i", str(tune), *options, str(folder / name))
    flac(folder / "other.flac", melody(2, 24))
    flac(folder / "medley.flac", np.concatenate([melody(1, 24)[: 8 * RATE], melody(3, 16)]))
    return {path.stem: fingerprint(path) for path in sorted(folder.iterdir())}


def row(name: str, words: np.ndarray | None) -> Row:
    return {"id": name, "fingerprint": None if words is None else words.tobytes()}


def test_encodings_of_one_recording_are_the_same(encodings: dict[str, np.ndarray]) -> None:
    stage = Duplicates()
    for name in ("mp3", "stereo", "late"):
        assert stage.same(encodings["tune"], encodings[name])
        assert len(np.intersect1d(sketch(encodings["tune"]), sketch(encodings[name]))) >= 4
    assert not stage.same(encodings["tune"], encodings["other"])
    assert compare(encodings["tune"], encodings["other"])[0] > 0.35
    assert not stage.same(encodings["tune"], encodings["medley"])  # a third in common


def test_the_first_row_stays_whatever_the_blocks(encodings: dict[str, np.ndarray]) -> None:
    rows = [row(name, encodings[name]) for name in ("late", "other", "tune", "medley", "mp3")] + [row("none", None)]
    for size in (1, 2, 6):
        outcomes = list(Duplicates()([rows[i : i + size] for i in range(0, 6, size)]))
        assert len(outcomes) == 6 // size
        kept = [kept for outcome in outcomes for kept in outcome.kept]
        assert [kept["id"] for kept in kept] == ["late", "other", "medley", "none"]
        assert {kept["fingerprint"] for kept in kept} == {None}
        dropped = [(item.id, item.reason) for outcome in outcomes for item in outcome.dropped]
        assert dropped == [("tune", "duplicate: the recording of late"), ("mp3", "duplicate: the recording of late")]


def test_chains_end_in_one_row() -> None:
    """The first and the third differ in too many bits, but both are like the second."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**32, 200, dtype=np.uint32)
    second, third = first.copy(), first.copy()
    second[:100:2] ^= rng.integers(0, 2**20, 50, dtype=np.uint32)
    third[:] = second
    third[100:200:2] ^= rng.integers(0, 2**20, 50, dtype=np.uint32)
    stage = Duplicates(max_bit_error=0.12)
    assert stage.same(first, second)
    assert stage.same(second, third)
    assert not stage.same(first, third)
    rows = [row("a", first), row("b", rng.integers(0, 2**32, 200, dtype=np.uint32)), row("c", third), row("d", second)]
    [outcome] = list(stage([rows]))
    assert [kept["id"] for kept in outcome.kept] == ["a", "b"]
    assert [item.reason for item in outcome.dropped] == ["duplicate: the recording of a"] * 2


def test_candidates_are_those_of_a_comparison_of_all() -> None:
    rng = np.random.default_rng(1)
    sketches = [np.unique(rng.integers(0, 400, 20, dtype=np.uint32)) for _ in range(40)]
    sketches.append(np.zeros(0, np.uint32))
    expected = [
        (i, j)
        for i in range(len(sketches))
        for j in range(i + 1, len(sketches))
        if len(np.intersect1d(sketches[i], sketches[j])) >= 2
    ]
    assert expected
    assert candidate_pairs(sketches) == expected
    assert candidate_pairs([]) == []


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match=r"max_bit_error must lie from 0 to below 0\.5, not 0\.5"):
        Duplicates(max_bit_error=0.5).check()
    with pytest.raises(ValueError, match="min_overlap"):
        Duplicates(min_overlap=0).check()
