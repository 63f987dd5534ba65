"""Uploads: any format, checked before they are decoded, refused with a sentence, encoded once."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch
from space_collap import listening, uploads
from space_collap.engine import Engine, SpaceError
from torchcodec.encoders import AudioEncoder

RATE = 16_000


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path, tiny_library: Path) -> Engine:
    return Engine.open(str(tiny_checkpoint), tiny_library)


def write(path: Path, samples: torch.Tensor, rate: int = RATE) -> Path:
    AudioEncoder(samples, sample_rate=rate).to_file(path)
    return path


def sound(seconds: float = 3.0, hertz: float = 440.0) -> torch.Tensor:
    return torch.from_numpy(tiny.tone(seconds, hertz))[None]  # (1, samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "m4a", "opus", "webm", "mkv"])
def test_any_format_is_read(engine: Engine, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    rate = 48_000 if suffix in ("opus", "webm") else RATE
    write(
        path, sound(3.0) if rate == RATE else torch.nn.functional.interpolate(sound(3.0)[None], scale_factor=3)[0], rate
    )
    track = engine.describe(path).track
    assert track.title == "song"
    assert track.duration == pytest.approx(3.0, abs=0.15)


def test_a_name_without_suffix_and_in_any_script(engine: Engine, tmp_path: Path) -> None:
    path = shutil.copy(write(tmp_path / "x.mp3", sound()), tmp_path / "Für Élise 曲")
    assert engine.describe(Path(path)).track.title == "Für Élise 曲"


def cut_mp4(path: Path) -> None:
    write(path, sound(5.0))
    path.write_bytes(path.read_bytes()[:2000])  # what says where the samples are stands at the end


REFUSED = {
    "missing.mp3": (lambda path: None, "not there"),
    "empty.wav": (lambda path: path.write_bytes(b""), "is empty"),
    "notes.txt": (lambda path: path.write_text("no sound at all"), "cannot be read as audio"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n/etc/passwd\n"), "list of files"),
    "list.mp3": (lambda path: path.write_text("ffconcat version 1.0\nfile /x.wav\n"), "list of files"),
    "noise.mp3": (lambda path: path.write_bytes(bytes(range(256)) * 40), "cannot be (read|decoded)"),
    "cut.m4a": (cut_mp4, "cannot be (read|decoded)"),
    "short.wav": (lambda path: write(path, sound(0.5)), "lasts 0.50 s; at least 1 s"),
    "silent.flac": (lambda path: write(path, torch.zeros(1, 2 * RATE)), "is silent"),
    "long.flac": (lambda path: write(path, torch.zeros(1, 700 * 8000), 8000), "limit of 10:00 minutes: 11:40"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_by_name(engine: Engine, tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(SpaceError, match=f"“{name}”.*{reason}"):
        engine.describe(tmp_path / name)


def test_files_that_are_too_large_are_not_opened(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(101_000_000)  # sparse: takes no room
    monkeypatch.setattr(Path, "open", None)
    with pytest.raises(SpaceError, match=r"“large.wav” has 101 MB; at most 100 MB"):
        engine.describe(path)


def test_what_would_fill_the_memory_is_refused_by_its_header(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "wide.flac", torch.zeros(8, 5 * 96_000), 96_000)
    monkeypatch.setattr(uploads, "MAX_DECODED_BYTES", 10_000_000)
    monkeypatch.setattr(uploads, "load_audio", None)  # nothing is decoded
    with pytest.raises(SpaceError, match="8 channels at 96 kHz"):
        engine.describe(path)


def test_a_recording_whose_header_says_nothing_is_measured(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Browsers write recordings without a duration: it shows when they are decoded, and no more than that is."""
    path = write(tmp_path / "stream.adts", sound(6.0))
    monkeypatch.setattr(uploads, "MAX_SECONDS", 3.0)
    monkeypatch.setattr(uploads.Upload, "_look", lambda upload: None)
    with pytest.raises(SpaceError, match=r"limit of 0:03 minutes"):
        engine.describe(path)


def test_the_same_bytes_are_encoded_once(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first.flac", sound(2.5, 123.0))
    heard = engine.describe(first, labels=["a", "b"])
    monkeypatch.setattr(uploads.Upload, "decode", None)
    again = engine.describe(Path(shutil.copy(first, tmp_path / "again.flac")), labels=["a", "b"])
    assert again.track.title == "again"  # as this user calls it
    assert again.track.path == tmp_path / "again.flac"
    assert [text.score for text in again.texts] == [text.score for text in heard.texts]
    assert again.tags == heard.tags


def test_few_uploads_are_remembered(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_REMEMBERED", 2)
    paths = [write(tmp_path / f"{n}.flac", sound(1.5, 200.0 + n)) for n in range(3)]
    for path in (paths[0], paths[1], paths[0], paths[2]):  # the second is the one not asked for again
        engine.describe(path)
    monkeypatch.setattr(uploads.Upload, "decode", None)
    engine.describe(paths[0])
    engine.describe(paths[2])
    with pytest.raises(TypeError):
        engine.describe(paths[1])


def test_progress_rises_to_the_end(engine: Engine, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    engine.describe(write(tmp_path / "song.flac", sound(4.0, 77.0)), progress=lambda *what: told.append(what))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(told) >= 5
    assert {doing for _, doing in told} == {"Reading the file", "Decoding the track", "Encoding the track"}


def test_a_last_window_too_short_for_an_encoder(engine: Engine, tmp_path: Path) -> None:
    samples = sound(3.01, 99.0)[:, : 3 * RATE + 40]  # windows of 1 s, and 40 samples more
    assert engine.describe(write(tmp_path / "rest.wav", samples)).track.duration == pytest.approx(3.0025)
