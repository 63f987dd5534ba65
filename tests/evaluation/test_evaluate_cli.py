"""`collap evaluate` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import write_audio, write_table
from tiny import model, processor, write_dataset
from typer.testing import CliRunner, Result

from retrieval_collap.cli import app


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> Result:
        places = ["--output", str(tmp_path / "results"), "--cache", str(tmp_path / "cache"), "--resamples", "20"]
        return CliRunner().invoke(app, ["evaluate", *arguments, *places])

    return run


def test_a_model_and_its_mean_pooling_on_a_dataset(evaluate, saved: Path, tmp_path: Path) -> None:
    songs = write_dataset(tmp_path / "songs", validation=4)
    result = evaluate("--model", str(saved), "--model", f"mean:{saved}", "--benchmark", str(songs), "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "songs, text → audio: 4 tracks, 4 texts" in result.output
    assert "by chance" in result.output
    for name in ("tiny", "tiny-mean-pooling"):
        content = json.loads((tmp_path / "results" / f"songs--{name}.json").read_text())
        assert content["metrics"]["text_to_audio"].keys() == {"R@1", "mAP@10", "MRR", "median_rank"}
        assert content["model"]["settings"]["weights_sha256"]
    # Both read the same encodings.
    assert content["run"]["tracks_encoded"] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--benchmark", "songbok"], "unknown benchmark 'songbok' (did you mean 'songbook'?)"),
        (["--benchmark", "clotho"], "unknown benchmark 'clotho' (known are"),
        (["--benchmark", "vctk"], "name the folder of VCTK with --data-dir"),
        (
            ["--benchmark", "vctk", "--data-dir", "nowhere"],
            "VCTK: there is no folder nowhere; its owner publishes",
        ),
        (["--benchmark", "vctk", "--data-dir", ".", "--split", "test"], "--split goes with a dataset in the schema"),
        ([], "name a --benchmark: songdescriber"),
        (["--benchmark", "songbook", "--limit", "0"], "--limit and --resamples must be at least 1"),
    ],
    ids=["near", "far", "no data-dir", "no folder", "split", "none", "limit"],
)
def test_refusals_are_one_sentence(evaluate, arguments: list[str], reason: str) -> None:
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_holds_no_model(evaluate, tmp_path: Path) -> None:
    songs = write_dataset(tmp_path / "songs", validation=4)
    result = evaluate("--model", str(tmp_path), "--benchmark", str(songs))
    assert result.exit_code == 2
    assert f"there is no model in {tmp_path}" in result.stderr


def test_the_data_are_looked_at_before_a_model_starts(evaluate, saved: Path, tmp_path: Path) -> None:
    songs = write_dataset(tmp_path / "songs", validation=4)
    result = evaluate("--model", str(saved), "--benchmark", str(songs), "--benchmark", "musiccaps")
    assert result.exit_code == 2
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, retrieval_collap.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_one_of_the_papers_benchmarks(evaluate, saved: Path, tmp_path: Path) -> None:
    table = [{"ytid": name * 11, "start_s": 0, "end_s": 10, "caption": f"a tone called {name}"} for name in "abcd"]
    write_table(tmp_path / "musiccaps" / "musiccaps-public.csv", table)
    for number, name in enumerate("abc"):
        write_audio(tmp_path / "musiccaps" / "audio" / f"{name * 11}.flac", number=number)
    result = evaluate("--model", str(saved), "--benchmark", "musiccaps", "--data-dir", str(tmp_path), "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "MusicCaps, text → audio: 3 tracks, 3 texts" in result.output
    content = json.loads((tmp_path / "results" / "MusicCaps--tiny.json").read_text())
    assert content["protocol"]["captions"] == "the musicians' captions"
