"""VCTK in its owners' layout, made small, and with real speech in the place of its own."""

import csv
from pathlib import Path

import pytest
from stand_ins import write_audio
from torchcodec.decoders import AudioDecoder
from torchcodec.encoders import AudioEncoder

from dataset_scripts.benchmarks import load_vctk

PLEASE = "Please call Stella."
# By utterance: the text, and the microphones that there are recordings of.
UTTERANCES = {
    "p225_001": (PLEASE, ("mic1", "mic2")),
    "p225_002": ("Ask her to bring\nthese things. ", ("mic1", "mic2")),
    "p226_001": (PLEASE, ("mic1", "mic2")),
    "p280_001": (PLEASE, ("mic1",)),
    "p315_001": (None, ("mic1", "mic2")),
    "p362_001": (PLEASE, ()),
}


@pytest.fixture
def vctk(tmp_path: Path) -> Path:
    for number, (name, (text, microphones)) in enumerate(UTTERANCES.items()):
        speaker = name.partition("_")[0]
        if text is not None:
            (tmp_path / "txt" / speaker).mkdir(parents=True, exist_ok=True)
            (tmp_path / "txt" / speaker / f"{name}.txt").write_text(text)
        for microphone in microphones:
            write_audio(tmp_path / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac", 0.5, number)
    return tmp_path


def test_speech_and_transcript(vctk: Path) -> None:
    rows = load_vctk(vctk)
    assert list(rows["song_id"]) == ["p225_001", "p225_002", "p226_001", "p280_001"]
    assert list(rows["caption"]) == [PLEASE, "Ask her to bring these things.", PLEASE, PLEASE]
    assert rows[0]["audio"]["path"] == str(vctk / "wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac")
    assert rows[0]["duration"] == pytest.approx(0.5, abs=0.01)
    assert (rows[0]["licence"], rows[0]["caption_source"]) == ("CC-BY-4.0", "transcript")
    assert list(load_vctk(vctk, "mic2")["id"]) == ["p225_001_mic2", "p225_002_mic2", "p226_001_mic2"]
    with pytest.raises(ValueError, match="no microphone 'mic3'; it has mic1 and mic2"):
        load_vctk(vctk, "mic3")


def test_the_archives_own_folder(vctk: Path, tmp_path: Path) -> None:
    inner = tmp_path / "VCTK-Corpus-0.92"
    inner.mkdir()
    for name in ("txt", "wav48_silence_trimmed"):
        (vctk / name).rename(inner / name)
    assert len(load_vctk(vctk)) == 4


def test_what_is_absent_is_named_with_its_place(vctk: Path) -> None:
    (vctk / "txt" / "p226" / "p226_001.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"p226_001\.txt is empty"):
        load_vctk(vctk)
    where = r"https://datashare\.ed\.ac\.uk/handle/10283/3443 \(VCTK-Corpus-0\.92\.zip\)"
    for recording in vctk.rglob("*_mic2.flac"):
        recording.unlink()
    with pytest.raises(FileNotFoundError, match=rf"no recording that has a text, as .*p225_001_mic2\.flac; .*{where}"):
        load_vctk(vctk, "mic2")
    (vctk / "wav48_silence_trimmed").rename(vctk / "wav48")
    with pytest.raises(FileNotFoundError, match=rf"holds no wav48_silence_trimmed; .*{where}"):
        load_vctk(vctk)


def test_real_speech(shared_data: Path, tmp_path: Path) -> None:
    speech = shared_data / "speech_samples" / "ljspeech"
    with (speech / "metadata.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE))[:3]
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    audio = tmp_path / "wav48_silence_trimmed" / "p225"
    audio.mkdir(parents=True)
    for number, line in enumerate(lines, start=1):
        (tmp_path / "txt" / "p225" / f"p225_{number:03d}.txt").write_text(line[-1])
        samples = AudioDecoder(str(speech / f"{line[0]}.flac"), sample_rate=48000).get_all_samples()
        AudioEncoder(samples.data, sample_rate=48000).to_file(str(audio / f"p225_{number:03d}_mic1.flac"))
    rows = load_vctk(tmp_path)
    assert list(rows["caption"]) == [line[-1] for line in lines]
    assert rows[0]["duration"] == pytest.approx(9.655, abs=0.01)
