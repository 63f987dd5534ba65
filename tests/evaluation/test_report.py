"""The report: what is in the results is on the page, what is not is not, and the page needs nothing else."""

import base64
import json
import re
from collections.abc import Sequence
from functools import partial
from html.parser import HTMLParser
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from datasets import ClassLabel, Dataset, List
from fakes import PITCHES, FakeScorer
from pitched import songs
from torch import Tensor
from torchcodec.decoders import AudioDecoder

from evaluation_collap.benchmarks import Benchmark
from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.probes import run_probe
from evaluation_collap.records import Recorder, describe_rows
from evaluation_collap.report import build_report, collect, draw_examples, model_index, write_html, write_markdown
from evaluation_collap.report.document import Table
from evaluation_collap.runner import RunSettings, evaluate_retrieval
from evaluation_collap.scorers import Encoded
from evaluation_collap.zero_shot import zero_shot

# Ten songs whose pitches differ in number, so that a bag of pitches tells most of them apart.
TUNES = [(*order, order[0]) for order in list(permutations(PITCHES))[::3]] + [("low", "low"), ("high", "high")]


class DeafScorer(FakeScorer):
    """Gives every pair the same score."""

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        return torch.ones(len(tracks), len(texts))


def benchmark(rows: Dataset | None = None) -> Benchmark:
    data = songs(TUNES) if rows is None else rows
    return Benchmark("tunes", "Tunes (validation)", "the pitches", lambda: data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a scorer that hears pitches, and of a deaf one; zero-shot labels of the first only."""
    folder = tmp_path_factory.mktemp("report")
    data = benchmark()
    settings = RunSettings(folder / "cache", folder / "results", resamples=50, progress=False)
    rows = data.rows()
    about = {"name": "tunes", "title": data.title, "captions": "the pitches", "limit": None, **describe_rows(rows)}
    for scorer in (FakeScorer("hears"), DeafScorer("deaf")):
        evaluate_retrieval(scorer, data, settings)
        cache = EmbeddingCache(folder / "cache", scorer, progress=False)
        recorder = Recorder(cache, rows, about, folder / "results")
        record = partial(recorder.record, seed=0)
        record("truncation", partial(run_probe, "truncation"), words=(2, 8))
        record("order", partial(run_probe, "order"), audio_tracks=2, audio_orders=2)
        record("localisation", partial(run_probe, "localisation"), min_span_seconds=1.0)
        record("length", partial(run_probe, "length"), content_seconds=2.0, loops=(1, 2), variants=[])
        record("robustness", partial(run_probe, "robustness"), alterations=("gain -12 dB",))
    hears = EmbeddingCache(folder / "cache", FakeScorer("hears"), progress=False)
    kind = List(ClassLabel(names=list(PITCHES)))
    labelled = rows.select([8, 9]).add_column("labels", [[0], [2]], feature=kind)
    Recorder(hears, labelled, about, folder / "results").record("zero-shot-genre", zero_shot, prompts=("{}",))
    return folder


def results(folder: Path, *kept: str) -> Path:
    """A folder with some of the results alone."""
    chosen = folder / "-".join(kept)
    chosen.mkdir()
    for name in kept:
        for path in (folder / "results").glob(f"*{name}"):
            (chosen / path.name).write_bytes(path.read_bytes())
    return chosen


class Page(HTMLParser):
    """The elements of a page, the addresses that it names, and its tables."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.ids: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        given = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        self.ids += [given["id"] or ""] if "id" in given else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self._open in ("h2", "h3"):
            self.headings[-1] += data


def page_of(source: Path, target: Path, **examples) -> tuple[str, Page]:
    write_html(build_report("A report", collect(source), **examples), target)
    text = target.read_text(encoding="utf-8")
    return text, Page(text)


def test_models_stand_side_by_side_on_a_page_that_asks_for_nothing(folder: Path, tmp_path: Path) -> None:
    text, page = page_of(folder / "results", tmp_path / "page.html")
    assert page.headings[0] == "Tunes (validation)"
    assert "Retrieval" in page.headings
    assert "Zero-shot labels" in page.headings
    assert "What each part of the score contributes" not in page.headings
    retrieval = page.tables[0]
    assert [line[0] for line in retrieval] == ["text → audio", "deaf", "hears", "by chance"]
    assert retrieval[1][1].startswith("0.0 [0.0, 0.0]")
    order = next(table for table in page.tables if table[0][0] == "Permuted")
    assert order[1][:3] == ["deaf: caption, as written", "8", "50.0"]
    assert [line[0] for line in order].count("chance") == 1  # once for both models
    assert text.count("<svg") == 3  # recall, truncation, length
    assert len(set(page.ids)) == len(page.ids)
    # Nothing but its own headings, and no style sheet, script or font of others.
    assert all(address.startswith(("#", "data:,")) for address in page.addresses)
    assert not re.search(
        r"url\(\s*['\"]?(?!#)|@import|<script src|https?://(?!www\.w3\.org|purl\.org|creativecommons)", text
    )


def test_where_a_model_fails_the_page_says_so(folder: Path, tmp_path: Path) -> None:
    text, _ = page_of(folder / "results", tmp_path / "page.html")
    assert "deaf is not above chance in R@1, R@5, mAP@10, MRR and median rank, text → audio." in text
    assert not re.search(r"hears is not above chance in [^.]*MRR", text)
    assert "deaf prefers the true caption to a random order in 50.0% of pairs" in text
    assert "Matched, deaf does not tell the order of sections: 50.0% over 2 tracks" in text
    assert "deaf: R@5 is no better than chance even for whole captions (text → audio) and" in text
    assert "hears: R@5 is within 5% of its value for whole captions from 8 words on (text → audio)" in text
    assert "Ties broken for the model" in text
    assert "seed" in text.lower()


def test_what_was_not_measured_has_no_section(folder: Path, tmp_path: Path) -> None:
    _, page = page_of(results(folder, "deaf.truncation.json"), tmp_path / "page.html")
    assert page.headings == [
        "Tunes (validation)",
        "How many words of a caption are used",
        "Protocol",
        "Known traps, and what is done instead",
        "How this was made",
    ]
    # Scores and pairs may be left behind: the curves are then left out, the tables stay.
    text, page = page_of(results(folder, "hears.json"), tmp_path / "page.html")
    assert "<svg" not in text
    assert page.tables[0][1][0] == "hears"


def test_hits_and_misses_can_be_played(folder: Path, tmp_path: Path) -> None:
    chapters = collect(folder / "results")
    scorer = EmbeddingCache(folder / "cache", FakeScorer("hears"), progress=False)
    shown = draw_examples(chapters, benchmark(), scorer, count=2, seed=1)
    (examples,) = shown.values()
    rows = {row["caption"]: row["id"] for row in benchmark().rows()}
    assert all(example.rank == 1 and len(example.tracks) == 1 for example in examples.hits)
    assert all(
        example.rank > 1 and [heard.right for heard in example.tracks] == [True, False] for example in examples.misses
    )
    for example in (*examples.hits, *examples.misses):
        right = example.tracks[0]
        assert right.id == rows[example.text]
        assert len(right.found) == len(right.sections)  # all sections have captions
        samples = AudioDecoder(right.mp3).get_all_samples()
        assert (samples.sample_rate, len(samples.data)) == (24_000, 1)
        assert samples.duration_seconds == pytest.approx(right.duration, abs=0.1)
    text, page = page_of(folder / "results", tmp_path / "page.html", examples=shown)
    players = [address for address in page.addresses if address.startswith("data:audio/mpeg;base64,")]
    tracks = [heard for example in (*examples.hits, *examples.misses) for heard in example.tracks]
    assert [base64.b64decode(player.partition(",")[2]) for player in players] == [heard.mp3 for heard in tracks]
    assert "Hits and misses" in page.headings
    assert text.count('class="timeline"') == len(tracks)


def test_the_choice_of_examples_is_seeded(folder: Path) -> None:
    chapters = collect(folder / "results")
    scorer = EmbeddingCache(folder / "cache", FakeScorer("hears"), progress=False)

    def texts(seed: int) -> list[str]:
        (examples,) = draw_examples(chapters, benchmark(), scorer, count=1, seed=seed).values()
        return [example.text for example in (*examples.hits, *examples.misses)]

    assert texts(0) == texts(0)
    assert len({tuple(texts(seed)) for seed in range(6)}) > 1


def test_examples_of_what_was_not_measured_are_refused(folder: Path) -> None:
    chapters = collect(folder / "results")

    def draw(scorer: FakeScorer, data: Benchmark | None = None) -> None:
        draw_examples(chapters, data or benchmark(), EmbeddingCache(folder / "cache", scorer, progress=False))

    with pytest.raises(ValueError, match="hold no retrieval of another on Tunes"):
        draw(FakeScorer("another"))
    newer = FakeScorer("hears")
    newer.version = "2"
    with pytest.raises(ValueError, match="are of other weights"):
        draw(newer)
    with pytest.raises(ValueError, match="tunes has no track 'song-3'"):
        draw(FakeScorer("hears"), benchmark(songs(TUNES[:3])))
    whole = FakeScorer("hears")
    whole.can_locate = False
    with pytest.raises(ValueError, match="hears cannot say where"):
        draw(whole)


def test_markdown_says_the_same_with_plots_beside_it(folder: Path, tmp_path: Path) -> None:
    chapters = collect(folder / "results")
    scorer = EmbeddingCache(folder / "cache", FakeScorer("hears"), progress=False)
    shown = draw_examples(chapters, benchmark(), scorer, count=1)
    path = tmp_path / "docs" / "report-fake.md"
    write_markdown(build_report("A report", chapters, shown), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# A report\n")
    assert "| deaf | 0.0 [0.0, 0.0] |" in text
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {"report-fake/tunes-validation-recall.png", "report-fake/tunes-validation-truncation.png"} < set(pictures)
    assert len(pictures) == len(set(pictures)) == len(list((tmp_path / "docs" / "report-fake").iterdir()))
    for picture in pictures:
        assert (path.parent / picture).read_bytes().startswith(b"\x89PNG")
    # Every table has its rule and as many cells in each line; blank lines never pile up.
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block
    assert "\n\n\n" not in text


def test_two_benchmarks_are_two_parts(folder: Path, tmp_path: Path) -> None:
    source = results(folder, "hears.json", "hears.order.json")
    path = next(source.glob("*hears.json"))
    content = json.loads(path.read_text())
    content["benchmark"]["title"] = "Another"
    (source / "Another--hears.json").write_text(json.dumps(content))
    assert [chapter.title for chapter in collect(source)] == ["Another", "Tunes (validation)"]
    (chapter,) = collect(source, ["Another"])
    assert (len(chapter.retrieval), len(chapter.records)) == (1, 0)
    with pytest.raises(ValueError, match="no results on 'Third', but on Another, Tunes"):
        collect(source, ["Third"])


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no results"):
        collect(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken.json is no JSON"):
        collect(tmp_path)
    (tmp_path / "broken.json").write_text('{"about": {}}')
    with pytest.raises(ValueError, match=r"broken.json is a result of another version"):
        collect(tmp_path)


def test_model_index(folder: Path) -> None:
    chapters = collect(folder / "results")
    ((index,),) = yaml.safe_load(model_index(chapters, "hears")).values()
    assert index["name"] == "hears"
    by_task = {result["task"]["name"]: result for result in index["results"]}
    found = by_task["Retrieval"]
    assert found["dataset"]["name"] == "Tunes (validation)"
    values = {metric["name"]: metric["value"] for metric in found["metrics"]}
    truth = chapters[0].retrieval[1].result.metrics
    assert values["R@5, text → audio"] == round(truth["text_to_audio"]["R@5"].value, 2)
    assert values["MRR, audio → text"] == round(truth["audio_to_text"]["MRR"].value, 2)
    assert len(values) == 10
    assert by_task["Zero-shot genre"]["metrics"][0]["type"] == "accuracy"
    with pytest.raises(ValueError, match="no retrieval or zero-shot results of 'other'"):
        model_index(chapters, "other")


def test_recall_curves_end_where_the_tables_are(folder: Path) -> None:
    hears = collect(folder / "results")[0].retrieval[1]
    assert hears.best_ranks is not None
    for direction, ranks in hears.best_ranks.items():
        assert 100 * np.mean(ranks <= 5) == pytest.approx(hears.result.metrics[direction]["R@5"].value)


def test_tables_go_through_markdown_and_back() -> None:
    table = Table.of(["a", "b"], [["x", 1.25], ["y", None]])
    assert table.rows == (("x", "1.2"), ("y", "-"))
    assert Table.from_markdown(table.to_markdown()) == table
