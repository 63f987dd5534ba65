"""The result of a retrieval benchmark: as JSON, as rows of a Markdown table, and as a table in the terminal."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from dataset_scripts.whole_files import whole_file

from .records import file_stem

DIRECTIONS = {"text_to_audio": "text → audio", "audio_to_text": "audio → text"}
# In the order of the paper's tables, with what they leave out at either end.
_COLUMNS = ("R@1", "R@5", "R@20", "R@100", "mAP@10", "MRR", "median_rank")
_NONE = "–"
_HEADINGS = ("model", "benchmark", "direction", *(name.replace("_", " ") for name in _COLUMNS))


@dataclass(frozen=True)
class Figure:
    """A metric, the ends of its 95% bootstrap interval, and what random scores earn."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class RetrievalResult:
    """What one model earned on one benchmark, and all that is needed to earn it again.

    Args:
        model: name, fingerprint of its encodings, and settings of its score.
        benchmark: name, title, captions in words, the numbers of rows, tracks and texts, and digests of them.
        protocol: how tracks and texts were read and ranks were counted, in words, by topic.
        metrics: figures by direction and metric; R@k, mAP@10 and MRR in percent, the median rank counted from 1.
        broken: ids of the tracks that could not be used, each with the reason.
        run: seed, wall time in seconds, device and versions.
    """

    model: dict[str, Any]
    benchmark: dict[str, Any]
    protocol: dict[str, str]
    metrics: dict[str, dict[str, Figure]]
    broken: dict[str, str]
    run: dict[str, Any]

    @property
    def stem(self) -> str:
        """Name of its files, without their ending: "BENCHMARK--MODEL"."""
        return file_stem(self.benchmark["title"], self.model["name"])

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RetrievalResult":
        """The result that `to_json` wrote."""
        content = json.loads(text)
        metrics = {
            direction: {name: Figure(**figure) for name, figure in figures.items()}
            for direction, figures in content.pop("metrics").items()
        }
        return cls(**content, metrics=metrics)

    def write(self, folder: Path) -> Path:
        """Writes `STEM.json` and `STEM.md`; returns the path of the first."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.json"
        for target, text in ((path, self.to_json()), (path.with_suffix(".md"), markdown([self], protocol=True))):
            with whole_file(target) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return path


def markdown(results: Sequence[RetrievalResult], *, protocol: bool = False) -> str:
    """Results as a table, a row a direction and one of random scores for each benchmark.

    Args:
        protocol: say below the table how the numbers came about.
    """
    lines = ["| " + " | ".join(_HEADINGS) + " |", "| --- | --- | --- |" + " ---: |" * len(_COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(results)]
    if protocol:
        for result in results:
            lines += ["", f"**{result.model['name']} on {result.benchmark['title']}**", ""]
            lines += [f"- {topic}: {words}" for topic, words in _details(result)]
    return "\n".join(lines) + "\n"


def terminal_tables(results: Sequence[RetrievalResult]) -> Iterator[Table]:
    """The same for a terminal, a table for each benchmark and direction; below each value its interval."""
    for title in dict.fromkeys(result.benchmark["title"] for result in results):
        chosen = [result for result in results if result.benchmark["title"] == title]
        about = chosen[0].benchmark
        for direction, words in DIRECTIONS.items():
            heading = f"{escape(title)}, {words}: {about['tracks']} tracks, {about['texts']} texts"
            table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD)
            table.add_column("", min_width=12, overflow="fold")
            for name in _COLUMNS:
                table.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
            table.add_row("by chance", *_cells(chosen[0].metrics[direction], _chance))
            for result in chosen:
                cells = _cells(result.metrics[direction], _above_interval)
                table.add_row(escape(result.model["name"]), *cells)
            yield table


def _rows(results: Sequence[RetrievalResult]) -> Iterator[tuple[str, ...]]:
    """Cells; of every benchmark, random scores come first."""
    shown = set()
    for result in results:
        title = result.benchmark["title"]
        if title not in shown:
            for direction, words in DIRECTIONS.items():
                yield ("by chance", title, words, *_cells(result.metrics[direction], _chance))
        shown.add(title)
        for direction, words in DIRECTIONS.items():
            cells = _cells(result.metrics[direction], _before_interval)
            yield (result.model["name"], title, words, *cells)


def _chance(figure: Figure) -> str:
    return f"{figure.chance:.1f}"


def _above_interval(figure: Figure) -> str:
    return f"{figure.value:.1f}\n[dim]{figure.low:.0f}–{figure.high:.0f}[/dim]"


def _before_interval(figure: Figure) -> str:
    return f"{figure.value:.1f} [{figure.low:.1f}, {figure.high:.1f}]"


def _cells(figures: Mapping[str, Figure], write: Callable[[Figure], str]) -> list[str]:
    """Recall in pools no larger than k says nothing, and has no figure: a dash."""
    return [write(figures[name]) if name in figures else _NONE for name in _COLUMNS]


def _details(result: RetrievalResult) -> list[tuple[str, str]]:
    benchmark, run = result.benchmark, result.run
    first = "the first " if benchmark["limit"] else ""
    numbers = f"{benchmark['tracks']} tracks and {benchmark['texts']} texts from {first}{benchmark['rows']} rows"
    cut = "an unknown number" if benchmark["texts_cut"] is None else benchmark["texts_cut"]
    details = [
        ("data", f"{numbers}, SHA-256 {benchmark['rows_sha256'][:16]}; {cut} of the texts were cut"),
        *result.protocol.items(),
    ]
    if result.broken:
        details.append(("left out", "; ".join(f"{name} ({reason})" for name, reason in result.broken.items())))
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items() if value)
    details.append(("model", f"encodings {result.model['fingerprint'][:16]}"))
    encoded = f"{run['tracks_encoded']} of the tracks encoded in this run, the others before"
    details.append(("run", f"seed {run['seed']}, {run['seconds']:.0f} s on {run['device']}, {encoded}; {versions}"))
    return details
