"""The whole build without the Internet: yt-dlp from a host on this machine, two captioners, and `load_dataset`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from audioset_stages import melody
from datasets import load_dataset
from loopback import ChatServer, VideoHost, chat_server, video_host
from tiny_captioners import save_captioner
from torchcodec.encoders import AudioEncoder
from typer.testing import CliRunner

from dataset_scripts.audioset.captioners.prompt import PROMPT_VERSION
from dataset_scripts.audioset.cluster import ray_running
from dataset_scripts.cli import dataset_app

pytestmark = pytest.mark.slow

SECONDS = 8.0
SUFFIXES = (".mp3", ".m4a", ".webm", ".ogg")
SONGS = [f"song-{number:02d}____" for number in range(12)]
DESCRIPTION = """\
A bright and lively piece of plucked chords at a fast tempo, without voices, that wanders through distant keys.

**0-50% - Intro:**
- Chords follow each other without a clear theme
**50-100% - Outro:**
- The chords go on until they break off"""
DROPPED = {
    "vanished___": ("download", "gone (HTTP 404)"),
    "private____": ("download", "private (HTTP 403)"),
    "ill________": ("download", "failed: the host failed (HTTP 503)"),
    "broken_____": ("filter", "broken"),
    "torn_______": ("filter", "broken"),
    "silent_____": ("filter", "silent: 100% of its length"),
    "short______": ("filter", "too short: 2.0 s, less than 5 s"),
    "long_______": ("filter", "too long"),
    "again______": ("duplicates", "duplicate: the recording of song-03____"),
    "speech_____": ("select", "not Music: no label at or below it"),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Iterator[VideoHost]:
    """A dozen songs in four formats, and one of everything that can be wrong."""
    folder = tmp_path_factory.mktemp("host")

    def write(name: str, suffix: str, samples: np.ndarray) -> Path:
        wav, path = folder / f"{name}.wav", folder / f"{name}{suffix}"
        AudioEncoder(torch.from_numpy(samples)[None], sample_rate=16_000).to_file(wav)
        if path != wav:
            subprocess.run(["ffmpeg", "-v", "error", "-i", f"file:{wav}", f"file:{path}"], check=True)
        return path

    videos = {
        name: write(name, SUFFIXES[number % len(SUFFIXES)], melody(number, SECONDS))
        for number, name in enumerate(SONGS)
    }
    videos["again______"] = write("again______", ".mp3", 0.5 * melody(3, SECONDS))
    videos["silent_____"] = write("silent_____", ".mp3", np.zeros(16_000 * 8, np.float32))
    videos["short______"] = write("short______", ".wav", melody(20, 2.0))
    videos["long_______"] = write("long_______", ".wav", melody(21, 15.0))
    videos["broken_____"] = folder / "broken_____.mp3"
    videos["broken_____"].write_bytes(b"this is no music" * 500)
    videos["torn_______"] = folder / "torn_______.m4a"
    videos["torn_______"].write_bytes(videos[SONGS[1]].read_bytes()[:-4000])
    with video_host(videos) as host:
        host.pages |= {"private____": 403, "ill________": 503}
        yield host


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server(lambda audio, prompt: DESCRIPTION) as server:
        yield server


@pytest.fixture(scope="module")
def build(host, tmp_path_factory):
    """Runs `collap dataset build` with a captioner: what it printed, its work folder and its output."""
    folder = tmp_path_factory.mktemp("build")
    names = [*SONGS, *DROPPED]
    segments = folder / "segments.csv"
    lines = [f'{name}, 0.000, 10.000, "{"/m/speech" if name == "speech_____" else "/m/guitar"}"' for name in names]
    segments.write_text("# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\n" + "\n".join(lines))
    ontology = folder / "ontology.json"
    tree = {"/m/music": ("Music", ["/m/guitar"]), "/m/guitar": ("Guitar", []), "/m/speech": ("Speech", [])}
    ontology.write_text(json.dumps([{"id": k, "name": n, "child_ids": c} for k, (n, c) in tree.items()]))

    def run(name: str, caption: dict, *, start_from: Path | None = None) -> tuple[str, Path, Path]:
        work, output = folder / name, folder / f"{name}-packed"
        if start_from:
            for part in ("select", "download", "filter", "duplicates", "audio"):
                shutil.copytree(start_from / part, work / part)
        config = {
            "work": str(work),
            "block_size": 8,
            "select": {"segments": [str(segments)], "ontology": str(ontology)},
            "download": {"url": host.url, "proxy": "", "pause": 0, "backoff": 0, "attempts": 2},
            "filter": {"min_seconds": 5, "max_seconds": 12},
            "caption": caption,
            "pack": {"output": str(output), "validation_share": 0.3},
        }
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        result = CliRunner().invoke(dataset_app, ["build", "--config", str(path)])
        assert result.exit_code == 0, result.output
        return result.output, work, output

    with ray_running(workers=2):
        yield run


@pytest.fixture(scope="module")
def by_server(build, server):
    return build("server", {"backend": "openai", "base_url": server.url, "model": server.model})


def test_every_bad_input_is_in_the_ledger_and_every_song_in_the_dataset(by_server):
    _, work, output = by_server
    ledger = {row["id"]: (row["stage"], row["reason"]) for row in pq.read_table(work / "ledger.parquet").to_pylist()}
    assert ledger.keys() == DROPPED.keys()
    for name, (stage, reason) in DROPPED.items():
        assert ledger[name][0] == stage, name
        assert ledger[name][1].startswith(reason), name
    splits = load_dataset(str(output), "captions")
    assert sorted(name for split in splits.values() for name in split["id"]) == SONGS


def test_the_dataset_loads_with_captions_and_with_audio(by_server, host):
    _, _, output = by_server
    captions, audio = (load_dataset(str(output), config) for config in ("captions", "audio"))
    assert captions.keys() == audio.keys() == {"train", "validation"}
    assert "audio" not in captions["train"].column_names
    for split in captions:
        assert captions[split]["id"] == audio[split]["id"]
        for row in audio[split]:
            samples = row["audio"].get_all_samples()
            assert samples.sample_rate == 16_000
            assert samples.data.shape[0] == 1
            assert samples.data.shape[1] / 16_000 == pytest.approx(row["duration"], abs=0.1)
            assert row["duration"] == pytest.approx(SECONDS, abs=0.2)
            original = melody(SONGS.index(row["id"]), SECONDS)
            assert _likeness(samples.data[0].numpy(), original) > 0.8
            assert row["audioset_labels"] == ["Guitar"]
            assert row["caption_source"] == f"openai, prompt {PROMPT_VERSION}"
            assert row["caption_model"] == "music-lm"
            assert row["global_caption"].startswith("A bright and lively piece")
            assert [section["label"] for section in row["structure"]] == ["Intro", "Outro"]
            assert row["structure"][0]["end"] == pytest.approx(row["duration"] / 2, abs=0.1)
    streamed = load_dataset(str(output), "captions", split="train", streaming=True)
    assert [row["id"] for row in streamed] == captions["train"]["id"]


def test_the_command_counts_what_fell_out(by_server):
    printed, _, _ = by_server
    for stage in ("select", "download", "filter", "duplicates", "caption", "structure", "pack"):
        assert stage in printed
    for reason in ("gone 1", "private 1", "broken 2", "too short 1", "duplicate 1"):
        assert reason in " ".join(printed.split())


def test_a_finished_build_asks_nobody_again(by_server, build, host, server):
    _, _, output = by_server
    before = {path: path.read_bytes() for path in output.rglob("*.parquet")}
    asked, told = len(host.requests), len(server.requests)
    build("server", {"backend": "openai", "base_url": server.url, "model": server.model})
    assert (len(host.requests), len(server.requests)) == (asked, told)
    assert {path: path.read_bytes() for path in output.rglob("*.parquet")} == before


def test_a_model_run_here_captions_the_same_songs(by_server, build, host, tmp_path):
    _, first, _ = by_server
    asked = len(host.requests)
    model = save_captioner("qwen2-audio", tmp_path / "tiny-qwen2-audio")
    caption = {"backend": "transformers", "model": str(model), "max_new_tokens": 24, "batch_size": 2, "device": "cpu"}
    _, _, output = build("model", caption, start_from=first)
    assert len(host.requests) == asked  # the audio of the first build serves again
    splits = load_dataset(str(output), "captions")
    rows = [row for split in splits.values() for row in split]
    assert sorted(row["id"] for row in rows) == SONGS
    assert {row["caption_model"] for row in rows} == {"tiny-qwen2-audio"}
    assert {row["caption_source"] for row in rows} == {f"transformers, prompt {PROMPT_VERSION}"}
    assert all(row["caption"] for row in rows)
    assert len({row["caption"] for row in rows}) > 1


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Greatest correlation over shifts, which codecs' priming causes."""
    length = len(one) + len(other)
    product = np.fft.irfft(np.fft.rfft(one, length) * np.fft.rfft(other, length).conj(), length)
    return product.max() / np.sqrt((one**2).sum() * (other**2).sum())
