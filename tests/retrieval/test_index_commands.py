"""`collap index`, `search`, `similar`, `describe-match` and `info`, from end to end with a tiny random model."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from sounds import write_folder, write_sound
from tiny import model, processor
from typer.testing import CliRunner

from retrieval_collap.cli import app

TEXT = "a slow piano ballad with a soft verse"
LOW, HIGH = "low.wav", "album one/high & clear.flac"


def write_model(folder: Path, seed: int) -> Path:
    model(seed=seed).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny-collap", seed=0)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tracks") / "music")


@pytest.fixture(scope="module")
def index(checkpoint: Path, music: Path) -> Path:
    place = music / "own.index"  # in the folder itself, whose files must not be taken for tracks
    run("index", music, "--output", place, "--model", checkpoint, "--seconds-per-step", 0.2, "--workers", 1)
    return place


def invoke(arguments: Sequence[object], code: int, text: str | None = None) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], input=text, env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def run(*arguments: object, text: str | None = None) -> str:
    return invoke(arguments, 0, text)


def error_of(*arguments: object, text: str | None = None) -> str:
    output = invoke(arguments, 2, text)
    assert len(output.strip().splitlines()) == 1
    assert output.startswith("Error: ")
    return output


def test_indexing_says_and_writes_what_became_of_the_files(index: Path, music: Path) -> None:
    report = json.loads((music / "own.index.report.json").read_text())
    assert report["added"] == [str(music / name) for name in (HIGH, "album one/middle.ogg", LOW)]
    assert [Path(failure["id"]).name for failure in report["failures"]] == ["broken.mp3"]
    output = run("index", music, "--output", index, "--workers", 1)  # with the model that the index names
    assert "0 added, 3 unchanged, 1 failed" in output
    assert re.search(r"broken\.mp3: .*does not decode", output)
    assert "holds 3 tracks" in output


def test_what_is_gone_is_pruned_on_demand(index: Path, music: Path, tmp_path: Path) -> None:
    own = shutil.copytree(index, tmp_path / "index")
    extra = write_sound(music / "extra.wav", 2.0, 300.0)
    assert "1 added" in run("index", music, "--output", own, "--workers", 1)
    extra.unlink()
    output = run("index", music, "--output", own, "--workers", 1)
    assert "Tracks whose file is gone: 1; --prune removes them" in output
    assert "holds 4 tracks" in output
    report = tmp_path / "elsewhere.json"
    output = run("index", music, "--output", own, "--workers", 1, "--prune", "--report", report)
    assert "1 removed" in output
    assert "holds 3 tracks" in output
    assert json.loads(report.read_text())["removed"] == [str(extra)]


def test_search_prints_a_table_with_the_best_span(index: Path) -> None:
    rows = re.findall(
        r"^(\d) +(\S.*?) +\d:\d\d +-?\d\.\d{4} +\d:\d\d-\d:\d\d +(\S.*)$", run("search", index, TEXT), re.M
    )
    assert [rank for rank, _, _ in rows] == ["1", "2", "3"]
    assert sorted(title for _, title, _ in rows) == ["high & clear", "low", "middle"]


def test_search_prints_json(index: Path, music: Path) -> None:
    found = json.loads(run("search", index, TEXT, "--json", "--top", 2))
    assert [match["rank"] for match in found] == [1, 2]
    assert found[0]["score"] >= found[1]["score"]
    for match in found:
        assert match["path"] in {str(music / name) for name in (HIGH, "album one/middle.ogg", LOW)}
        assert match["spans"]
        assert all(0 <= span["start"] < span["end"] <= match["duration"] for span in match["spans"])


def test_search_prints_lines_that_play(index: Path, music: Path) -> None:
    lines = run("search", index, TEXT, "--play", "--where", "title LIKE 'high%'").splitlines()
    (span,) = re.findall(rf"^ffplay -autoexit -ss (\S+) -t (\S+) '{re.escape(str(music / HIGH))}'$", lines[0])
    assert len(lines) == 1
    assert 0 <= float(span[0]) < float(span[0]) + float(span[1]) <= 6.11


def test_texts_come_from_anywhere(index: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(f"{TEXT}\n")
    given = run("search", index, TEXT, "--json")
    assert run("search", index, "-", "--json", text=f"\n{TEXT}\n") == given
    assert run("search", index, "--file", tmp_path / "text.txt", "--json") == given


def test_a_text_that_is_cut_is_told_of(index: Path) -> None:
    output = run("search", index, "piano " * 100)
    assert output.count("Note: The limit is 64 tokens") == 1


def test_filters_choose_the_tracks(index: Path) -> None:
    found = json.loads(run("search", index, TEXT, "--json", "--where", "duration > 3"))
    assert sorted(match["title"] for match in found) == ["high & clear", "middle"]
    assert "No track fits the filter" in run("search", index, TEXT, "--where", "duration > 3000")


def test_similar_takes_a_track_or_a_file(index: Path, music: Path, tmp_path: Path) -> None:
    own = json.loads(run("similar", index, LOW, "--json"))
    assert sorted(match["title"] for match in own) == ["high & clear", "middle"]
    stranger = shutil.copy(music / LOW, tmp_path / "stranger.wav")
    found = json.loads(run("similar", index, stranger, "--json"))
    assert (found[0]["title"], found[0]["score"]) == ("low", pytest.approx(1.0, abs=1e-3))
    assert "high & clear" in run("similar", index, music / LOW, "--top", 2)


def test_a_match_is_described_and_drawn(index: Path, tmp_path: Path) -> None:
    page, plot = tmp_path / "match.html", tmp_path / "match.png"
    found = json.loads(run("search", index, TEXT, "--json", "--where", "title = 'middle'"))[0]
    output = run("describe-match", index, "middle.ogg", TEXT, "--output", page)
    assert f"score {found['score']:.4f}" in output
    assert re.search(r"1\. \d:\d\d-\d:\d\d", output)
    assert "data:audio/mpeg;base64," in page.read_text()
    run("describe-match", index, found["id"], "-", "--output", plot, text=TEXT)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_info_says_what_the_index_holds(index: Path, checkpoint: Path) -> None:
    found = json.loads(run("info", index, "--json"))
    assert found["tracks"] == 3
    assert found["hours"] == pytest.approx((2.4 + 4.0 + 6.1) / 3600, abs=1e-3)
    assert (found["model"], found["dim"], found["bits"]) == (str(checkpoint), 24, 8)
    assert found["bytes"] > 0
    assert "tiny-collap" in run("info", index)


def test_what_is_not_there_is_named(index: Path, music: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.index"
    for arguments in (["search", absent, TEXT], ["similar", absent, LOW], ["describe-match", absent, LOW, TEXT]):
        assert str(absent) in error_of(*arguments)
    assert str(absent) in error_of("info", absent)
    assert "holds no track absent.wav" in error_of("describe-match", index, "absent.wav", TEXT)
    assert "neither a track" in error_of("similar", index, "absent.wav")
    assert "is no folder" in error_of("index", tmp_path / "nowhere", "--output", tmp_path / "new.index")
    (tmp_path / "quiet").mkdir()
    assert "holds no audio files" in error_of("index", tmp_path / "quiet", "--output", tmp_path / "new.index")
    assert "no model" in error_of("index", music, "--output", tmp_path / "new.index", "--model", tmp_path)
    assert not (tmp_path / "new.index").exists()


def test_bad_queries_are_refused(index: Path, tmp_path: Path) -> None:
    assert "text is empty" in error_of("search", index, " ")
    assert "text is empty" in error_of("search", index, "-", text="")
    assert "give the text" in error_of("search", index)
    assert "give the text" in error_of("search", index, TEXT, "--file", tmp_path / "text.txt")
    assert "text.txt" in error_of("search", index, "--file", tmp_path / "text.txt")
    assert "durration" in error_of("search", index, TEXT, "--where", "durration > 3")
    assert "filter" in error_of("search", index, TEXT, "--where", "duration >")
    assert "top must be at least 1" in error_of("search", index, TEXT, "--top", 0)
    assert ".gif" in error_of("describe-match", index, LOW, TEXT, "--output", tmp_path / "match.gif")


def test_other_models_and_settings_are_refused(index: Path, music: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=1)
    assert "made with the model" in error_of("search", index, TEXT, "--model", other)
    assert "made with the model" in error_of("index", music, "--output", index, "--model", other)
    assert "steps of 0.2 s" in error_of("index", music, "--output", index, "--seconds-per-step", 0.1)
    assert "8 bits" in error_of("index", music, "--output", index, "--bits", 4)


def test_a_name_that_ends_several_tracks_is_refused(music: Path, index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    for album in ("a", "b"):
        write_sound(folder / album / "same.wav", 1.0, 440.0)
    own = shutil.copytree(index, tmp_path / "index")
    run("index", folder, "--output", own, "--workers", 1)
    assert "may be any of 2 tracks" in error_of("describe-match", own, "same.wav", TEXT)
    assert "score" in run("describe-match", own, "a/same.wav", TEXT)


def test_a_folder_of_nothing_but_broken_files_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "noise.mp3").write_bytes(b"no sound")
    options = ("--model", checkpoint, "--seconds-per-step", 0.2, "--workers", 1)
    output = invoke(["index", folder, "--output", tmp_path / "new.index", *options], 2)
    assert "1 failed" in output
    assert "none of the files in" in output
    assert "noise.mp3" in (tmp_path / "new.index.report.json").read_text()
