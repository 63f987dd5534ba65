"""GTZAN in its owner's layout, made small."""

import logging
from pathlib import Path

import pytest
import torch
from torchcodec.encoders import AudioEncoder

from dataset_scripts.benchmarks import load_gtzan
from dataset_scripts.benchmarks.gtzan import GENRES
from processing_collap import load_audio

RATE = 22050


@pytest.fixture
def gtzan(tmp_path: Path) -> Path:
    """`genres/<genre>/<genre>.000NN.wav`, two a genre, and the file that is known to be broken."""
    for position, genre in enumerate(GENRES):
        folder = tmp_path / "genres" / genre
        folder.mkdir(parents=True)
        for number in range(2):
            time = torch.arange(RATE // 2) / RATE
            samples = 0.5 * torch.sin(2 * torch.pi * 100 * (position + 1) * time)
            AudioEncoder(samples[None], sample_rate=RATE).to_file(str(folder / f"{genre}.{number:05d}.wav"))
    (tmp_path / "genres" / "jazz" / "jazz.00054.wav").write_bytes(b"\x00\x01\x02" * 1000)
    return tmp_path


def test_every_excerpt_has_its_genre_and_names_its_audio(gtzan: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rows = load_gtzan(gtzan)
    assert len(rows) == 20
    assert "jazz.00054.wav does not decode" in caplog.text
    kind = rows.features["labels"].feature
    assert kind.names[:5] == ["blues", "classical", "country", "disco", "hip hop"]
    for row in rows:
        genre = row["id"].partition(".")[0]
        assert [kind.int2str(label) for label in row["labels"]] == ["hip hop" if genre == "hiphop" else genre]
        assert row["duration"] == pytest.approx(0.5)
    audio = rows[rows["id"].index("country.00001")]["audio"]
    assert len(load_audio(audio["path"], sampling_rate=RATE)) == RATE // 2
    assert load_gtzan(gtzan / "genres")["id"] == rows["id"]


def test_a_list_of_the_filtered_split_chooses_excerpts(gtzan: Path) -> None:
    listed = gtzan / "test_filtered.txt"
    for lines in ("rock/rock.00001.wav\nblues/blues.00000.wav\n", "rock.00001\nblues.00000\n"):
        listed.write_text(lines)
        assert load_gtzan(gtzan, listed)["id"] == ["blues.00000", "rock.00001"]
    listed.write_text("rock/rock.00001.wav\nrock/rock.00099.wav")
    with pytest.raises(ValueError, match=r"names 1 excerpts that .* lacks, rock.00099"):
        load_gtzan(gtzan, listed)
    listed.write_text("nothing")
    with pytest.raises(ValueError, match="names no excerpt of GTZAN"):
        load_gtzan(gtzan, listed)


def test_any_other_broken_file_is_an_error(gtzan: Path) -> None:
    (gtzan / "genres" / "pop" / "pop.00001.wav").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"1 excerpts that do not decode: pop.00001.wav"):
        load_gtzan(gtzan)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_gtzan(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no GTZAN"):
        load_gtzan(tmp_path)
