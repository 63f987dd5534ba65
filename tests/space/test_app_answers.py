"""What the tabs show and the API answers, of answers made by hand."""

import json
from pathlib import Path

import pytest
import torch
from space_collap.audio_urls import audio_url
from space_collap.describe_tab import split_labels
from space_collap.html_answers import compared_page, described_page, found_page
from space_collap.json_answers import compared_json, described_json, found_json
from space_collap.limits import SpaceError
from space_collap.places import find_library, find_model
from space_collap.results import Comparison, Description, Result, Section, TagResult, TextResult, TrackView

from retrieval_collap import Location, Span

TRACK = TrackView(
    "id-1",
    "Tom & <b>Jerry</b>",
    Path("/music/a song #1?.mp3"),
    60.0,
    (Section(0.0, 20.0, "intro", ""), Section(20.0, 60.0, "verse", "")),
    "CC0-1.0",
)
LOCATION = Location(
    (Span(30.0, 42.0, 0.5), Span(2.0, 8.0, 0.4)), torch.linspace(0.5, 1.5, 3000), torch.zeros(3000), 50.0
)
LONG = "A long description. " * 40


def text_result(text: str, score: float) -> TextResult:
    return TextResult(text, None, score, LOCATION)


def test_found_page() -> None:
    page = found_page([Result(TRACK, 0.25, LOCATION)])
    assert "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;" in page
    assert "<b>" not in page
    assert 'src="gradio_api/file=/music/a%20song%20%231%3F.mp3"' in page
    assert 'preload="none"' in page
    assert page.index('data-seek="30.00"') < page.index('data-seek="2.00"')
    assert "Play from 0:30 to 0:42, verse, the best match" in page
    assert "base64" not in page


def test_described_page_cuts_long_texts_and_keeps_all_of_them() -> None:
    description = Description(
        TRACK, (text_result(LONG, 0.5), text_result("Short.", 0.4)), (TagResult("<i>", 0.75, 1.0),)
    )
    page = described_page(description)
    assert page.count("All of it") == 1
    assert LONG in page
    assert "&lt;i&gt;" in page
    assert "width: 75.0%" in page
    assert page.count("<audio") == 1
    assert page.count('class="timeline"') == 2


def test_described_page_without_labels() -> None:
    assert "Your labels" not in described_page(Description(TRACK, (text_result("a", 0.5),), ()))


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (0.5, 0.25, "The <strong>first</strong> description fits better, by 0.250."),
        (0.25, 0.5, "The <strong>second</strong> description fits better, by 0.250."),
        (0.5, 0.5, "Both descriptions score the same."),
    ],
)
def test_compared_page(first: float, second: float, verdict: str) -> None:
    assert verdict in compared_page(Comparison(TRACK, text_result("one", first), text_result("two", second)))


def test_json_of_all_answers() -> None:
    found = found_json([Result(TRACK, 0.25, LOCATION)])
    (result,) = found["results"]
    assert result["spans"] == [
        {"start": 30.0, "end": 42.0, "similarity": 0.5},
        {"start": 2.0, "end": 8.0, "similarity": 0.4},
    ]
    values = result["attention"]["values"]
    assert len(values) * result["attention"]["seconds_per_value"] == pytest.approx(60)
    assert sum(values) / len(values) == pytest.approx(1, abs=1e-3)
    assert result["track"]["audio"] == audio_url(TRACK.path)
    described = described_json(Description(TRACK, (text_result("a", 0.5),), (TagResult("b", 1.0, 0.5),)))
    assert described["tags"] == [{"label": "b", "share": 1.0, "score": 0.5}]
    compared = compared_json(Comparison(TRACK, text_result("one", 0.5), text_result("two", 0.25)))
    assert (compared["first"]["score"], compared["second"]["score"]) == (0.5, 0.25)
    json.dumps([found, described, compared])


def test_labels_are_split_at_commas_and_lines() -> None:
    assert split_labels(" slow, with drums\n\nloud ,,") == ["slow", "with drums", "loud"]


def test_the_model_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAP_MODEL", raising=False)
    home = tmp_path / "space"
    home.mkdir()
    with pytest.raises(SpaceError, match="no model beside"):
        find_model(home)
    (tmp_path / "checkpoints" / "collap-mini").mkdir(parents=True)
    assert find_model(home) == str(tmp_path / "checkpoints" / "collap-mini")
    (home / "collap-mini").mkdir()
    assert find_model(home) == str(home / "collap-mini")
    (home / "space.json").write_text('{"model": "org/collap-mini"}')
    assert find_model(home) == "org/collap-mini"
    monkeypatch.setenv("COLLAP_MODEL", "another/model")
    assert find_model(home) == "another/model"


@pytest.mark.parametrize("content", ["{", "[]", '{"modell": "a"}', '{"model": 3}', '{"model": ""}'])
def test_a_broken_space_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.delenv("COLLAP_MODEL", raising=False)
    (tmp_path / "space.json").write_text(content)
    with pytest.raises(SpaceError, match=r"space\.json"):
        find_model(tmp_path)


def test_the_library_is_the_named_one_or_that_beside_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library").mkdir()
    monkeypatch.delenv("COLLAP_LIBRARY", raising=False)
    assert find_library(tmp_path, "unused") == tmp_path / "library"
    monkeypatch.setenv("COLLAP_LIBRARY", str(tmp_path / "elsewhere"))
    assert find_library(tmp_path, "unused") == tmp_path / "elsewhere"
