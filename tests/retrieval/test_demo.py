"""`collap demo` from end to end with a tiny random model: the terminal, the page, and clear errors."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from sounds import write_folder
from tiny import model, processor
from torchcodec.decoders import AudioDecoder
from typer.testing import CliRunner

from modeling_collap import CollapModel
from processing_collap import CollapFeatureExtractor
from retrieval_collap.cli import app
from retrieval_collap.demo import load_model

QUERIES = ["a slow piano ballad with a soft verse", "fast <b>drums</b> & guitar"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-collap"
    model().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


class Page(HTMLParser):
    """The elements of a page: (tag, attributes)."""

    def __init__(self, path: Path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str, css_class: str | None = None) -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (css_class is None or css_class in (attributes.get("class") or "").split())
        ]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["demo", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def error_of(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["demo", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == 2, result.output
    return result.output


@pytest.fixture(scope="module")
def own_audio(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Terminal output and output folder of a run over a folder of audio."""
    folder = write_folder(tmp_path_factory.mktemp("music"))
    output = folder / "demo_output"
    options = [option for query in QUERIES for option in ("--query", query)]
    arguments = (folder, "--model", checkpoint, "--output", output, *options)
    run(*arguments)  # what this run writes into the folder must not become a track of the next one
    return run(*arguments), output


def test_the_terminal_lists_ranks_spans_and_skipped_files(own_audio: tuple[str, Path]) -> None:
    text, _ = own_audio
    assert text.count("album one/high & clear.flac") == text.count("low.wav") == len(QUERIES)
    assert len(re.findall(r"^1 +\S.* +-?\d\.\d{4} +\d:\d\d-\d:\d\d", text, re.MULTILINE)) == len(QUERIES)
    assert "Skipped 1 of 4 files" in text
    assert re.search(r"broken\.mp3: .*does not decode", text)
    assert "R@1" not in text  # no truth is known
    assert "notes.txt" not in text
    assert "hidden" not in text


def test_the_page_is_complete_and_asks_for_nothing_outside(own_audio: tuple[str, Path]) -> None:
    _, output = own_audio
    page = Page(output / "index.html")
    assert page.open == []  # every element is closed
    hits = 3 * len(QUERIES)
    assert len(page.all("audio")) == len(page.all("svg", "timeline")) == len(page.all("path", "curve")) == hits
    assert not re.search(r"https?:|//[a-z]", page.text)
    assert QUERIES[0] in page.text
    assert "fast &lt;b&gt;drums&lt;/b&gt; &amp; guitar" in page.text
    assert "broken.mp3" in page.text
    assert "prefers-color-scheme: dark" in page.text
    for player in page.all("audio"):
        source = output / unquote(player["src"] or "")
        assert source.suffix in (".wav", ".flac")  # the Ogg file is there as FLAC
        assert AudioDecoder(source).get_all_samples().data.shape[1] > 0


def test_span_buttons_lie_inside_their_track(own_audio: tuple[str, Path]) -> None:
    _, output = own_audio
    page = Page(output / "index.html")
    starts = [float(button["data-seek"] or "nan") for button in page.all("button")]
    assert len(starts) >= 3 * len(QUERIES)
    assert all(0 <= start < 6.1 for start in starts)
    for rectangle in page.all("rect", "span"):
        left, width = (float((rectangle[name] or "").rstrip("%")) for name in ("x", "width"))
        assert 0 <= left < left + width <= 100.01


def test_queries_come_from_a_file_and_top_limits_results(
    own_audio: tuple[str, Path], checkpoint: Path, tmp_path: Path
) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("a warm bass\n\n  the choir fades out  \n")
    folder = own_audio[1].parent
    text = run(folder, "--model", checkpoint, "--output", tmp_path / "out", "--queries-file", queries, "--top", 1)
    assert "Query 2  the choir fades out" in text
    assert "Query 3" not in text
    assert len(Page(tmp_path / "out" / "index.html").all("audio")) == 2


@pytest.mark.slow
def test_rendered_songs_are_checked_against_the_truth(checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("--model", checkpoint, "--output", tmp_path, "--songs", 2, "--top", 2)
    text = run(*arguments)
    assert text.count("songs fit:") == 5
    assert re.search(r"R@1 (0|50|100)\.0% \(chance 50\.0%\), R@5 100\.0% \(chance 100\.0%\)", text)
    assert re.search(r"Written queries: \d of 5 top results fit", text)
    page = Page(tmp_path / "index.html")
    assert len(page.all("audio")) == 10
    assert len(page.all("rect", "band")) >= 40  # sections
    assert page.text.count("What is true of this song") == 10
    songs = list((tmp_path / "audio").iterdir())
    assert len(songs) == 2
    times = [song.stat().st_mtime_ns for song in songs]
    torch.manual_seed(1)
    assert [line for line in run(*arguments).splitlines() if "R@1" in line] == [
        line for line in text.splitlines() if "R@1" in line
    ]
    assert [song.stat().st_mtime_ns for song in songs] == times  # not rendered again


def test_clear_errors(checkpoint: Path, tmp_path: Path) -> None:
    music = write_folder(tmp_path / "music")
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.mp3").write_bytes(b"no sound")
    to = ("--output", tmp_path / "out", "--model", checkpoint)
    assert "no model in" in error_of(music, "--output", tmp_path / "out", "--model", tmp_path / "absent")
    assert "is no folder" in error_of(tmp_path / "nowhere", *to)
    assert "holds no audio files" in error_of(empty, *to)
    assert "can be read" in error_of(broken, *to)
    assert "--songs and --top" in error_of(music, *to, "--top", 0)
    assert "cannot be read" in error_of(music, *to, "--queries-file", tmp_path / "absent.txt")
    assert "query is empty" in error_of(music, *to, "--query", " ")
    assert not (tmp_path / "out").exists()


def test_loading_never_asks_to_run_code(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint carries its own code for strangers; here the installed classes are used."""
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail(f"asked: {prompt}"))
    assert (checkpoint / "modeling_collap.py").is_file()
    loaded, prepare = load_model(str(checkpoint))
    assert type(loaded) is CollapModel
    assert type(prepare.feature_extractor) is CollapFeatureExtractor


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, retrieval_collap.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output
