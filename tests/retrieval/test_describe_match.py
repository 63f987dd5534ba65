"""Where a text matches, drawn: in the terminal, as a picture, as a page with its sound."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sounds import write_sound
from test_demo import Page
from torchcodec.decoders import AudioDecoder

from retrieval_collap import Location, Span
from retrieval_collap.describe_match import MatchPicture, print_match, write_page, write_plot, writer_for


@pytest.fixture
def match(tmp_path: Path) -> MatchPicture:
    """A minute whose attention rises to its end, the best span from 45 s on."""
    attention = torch.linspace(0.5, 1.5, 60)
    spans = (Span(45.0, 60.0, 0.4), Span(30.0, 36.0, 0.3))
    location = Location(spans, attention, attention - 1, steps_per_second=1.0)
    return MatchPicture("A [bold] title", tmp_path / "x.ogg", "drums & <b>bass</b>", 60.0, 0.25, location)


def printed(match: MatchPicture, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    print_match(match, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_curve_axis_and_spans(match: MatchPicture) -> None:
    lines = printed(match, 80).splitlines()
    assert "A [bold] title" in lines[0]
    assert "1:00" in lines[0]
    assert "drums & <b>bass</b>" in lines[1]
    # 80 columns for 60 s: the best span is bold, from column 60 on; the other one, from 40 to 48, is not.
    pieces = lines[3].split("\x1b[")
    plain, other, between, best = (pieces[0], pieces[1], pieces[2], pieces[3])
    assert len(plain) == 40
    assert plain == "".join(sorted(plain))
    assert (plain[0], plain[-1]) == ("▁", "▄")
    assert other.startswith("33m")
    assert len(other) == len("33m") + 8
    assert between.startswith("0m")
    assert len(between) == len("0m") + 12
    assert best.startswith("1;33m")
    assert best.endswith("█" * 6)
    assert lines[4].index("0:10") - lines[4].index("0:00") == round(80 / 6)
    assert [line.split()[:2] for line in lines[5:7]] == [["1.", "0:45-1:00"], ["2.", "0:30-0:36"]]


@pytest.mark.parametrize("width", [10, 20, 53, 200])
def test_the_drawing_keeps_to_the_width(match: MatchPicture, width: int) -> None:
    bars = [line for line in printed(match, width).splitlines() if "█" in line]
    assert len(bars) == 1
    assert 10 <= sum(character in "▁▂▃▄▅▆▇█" for character in bars[0]) <= min(width, 100)


def test_a_plot_shows_the_spans(match: MatchPicture, tmp_path: Path) -> None:
    write_plot(match, tmp_path / "match.png")
    picture = np.asarray(Image.open(tmp_path / "match.png").convert("RGB")).astype(int)  # (height, width, 3)
    yellow = picture[..., 0] - picture[..., 2] > 80
    columns = np.flatnonzero(yellow.mean(0) > 0.3)
    assert columns.min() > 0.7 * picture.shape[1]  # the best span is the last quarter of the axes
    assert len(columns) == pytest.approx(0.23 * picture.shape[1], rel=0.1)


def test_a_page_carries_its_sound(match: MatchPicture, tmp_path: Path) -> None:
    write_sound(match.path, 3.0, 440.0)
    write_page(match, tmp_path / "match.html")
    page = Page(tmp_path / "match.html")
    assert page.open == []  # every element is closed
    assert "drums &amp; &lt;b&gt;bass&lt;/b&gt;" in page.text
    (player,) = page.all("audio")
    kind, _, sound = (player["src"] or "").partition(",")
    assert kind == "data:audio/mpeg;base64"
    assert AudioDecoder(base64.b64decode(sound)).get_all_samples().duration_seconds == pytest.approx(3.0, abs=0.1)
    assert "http" not in page.text.replace(sound, "")
    assert [float(button["data-seek"] or "nan") for button in page.all("button")] == [45.0, 30.0]
    assert len(page.all("svg", "timeline")) == len(page.all("path", "curve")) == 1


def test_a_page_without_sound_is_not_written(match: MatchPicture, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"x\.ogg"):
        write_page(match, tmp_path / "match.html")
    assert list(tmp_path.iterdir()) == []


def test_the_kind_of_file_is_said_by_its_name() -> None:
    assert writer_for(Path("a.PNG")) is writer_for(Path("b.svg")) is write_plot
    assert writer_for(Path("a.html")) is write_page
    with pytest.raises(ValueError, match=r"a\.gif: a match is drawn as one of \.png"):
        writer_for(Path("a.gif"))
