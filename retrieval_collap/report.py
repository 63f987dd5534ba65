"""What the demo found, as tables in the terminal and as one web page with players and pictures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dataset_scripts.songbook.composition import Section
from dataset_scripts.whole_files import whole_file
from evaluation_collap.pages import page_environment
from evaluation_collap.timeline import clock, draw_timeline

from .library import Failure, Match
from .localisation import Location, Span
from .queries import Query

PAGE = "index.html"


@dataclass(frozen=True)
class Hit:
    """A track that was found for a query, with all that the report shows of it.

    `about` is a short description of a track whose notes are known, `caption` the long one. `checks` says for each of
    the query's facts whether it is true of the track; None where the truth is not known.
    """

    match: Match
    location: Location
    audio: Path
    about: str | None = None
    sections: tuple[Section, ...] = ()
    caption: str | None = None
    checks: tuple[bool, ...] | None = None

    @property
    def fits(self) -> bool | None:
        return None if self.checks is None else all(self.checks)


@dataclass(frozen=True)
class Answer:
    """The hits of a query, best first. `fitting` tracks of all fit it; None where the truth is not known."""

    query: Query
    hits: tuple[Hit, ...]
    fitting: int | None = None


@dataclass(frozen=True)
class SelfCheck:
    """Text-to-audio retrieval with every track's own caption as the query, in percent; ties count against the model."""

    recall_at_1: float
    recall_at_5: float


@dataclass(frozen=True)
class Report:
    model: str
    tracks: int
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...] = ()
    self_check: SelfCheck | None = None

    def chance(self, k: int) -> float:
        """R@k of a random order, in percent."""
        return 100 * min(k / self.tracks, 1.0)

    @property
    def has_truth(self) -> bool:
        """Whether it is known which tracks fit the queries."""
        return any(answer.fitting is not None for answer in self.answers)

    @property
    def top_results_that_fit(self) -> int:
        return sum(bool(answer.hits and answer.hits[0].fits) for answer in self.answers)

    @property
    def fitting_by_chance(self) -> float:
        """Top results that would fit if tracks were drawn at random."""
        return sum(answer.fitting or 0 for answer in self.answers) / self.tracks


def write_page(report: Report, folder: Path) -> Path:
    """Write the page to `folder`; it asks for nothing beyond itself and the audio files that the hits name."""
    environment = page_environment("retrieval_collap")
    environment.filters["url"] = partial(_url, folder=folder)
    page = environment.get_template("demo.html.j2").render(report=report, timeline=draw_timeline, section_at=section_at)
    path = folder / PAGE
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def print_report(report: Report, console: Console) -> None:
    """One table for each query, what could not be read, and the check against the known truth."""
    for number, answer in enumerate(report.answers, start=1):
        console.print(f"\n[bold]Query {number}[/bold]  {escape(answer.query.text)}")
        console.print(_table(answer))
        if answer.fitting is not None:
            facts = "; ".join(fact.words for fact in answer.query.facts)
            console.print(f"[dim]{answer.fitting} of {report.tracks} songs fit: {escape(facts)}[/dim]")
    if report.failures:
        console.print(
            f"\n[yellow]Skipped {len(report.failures)} of {report.tracks + len(report.failures)} files[/yellow]"
        )
        for failure in report.failures:
            console.print(f"  {escape(failure.id)}: {escape(failure.reason)}")
    if report.self_check is not None:
        check = report.self_check
        console.print("\n[bold]Check against the known truth[/bold]")
        console.print(
            f"  Every song's own caption as the query, all {report.tracks} songs to find it in: "
            f"[bold]R@1 {check.recall_at_1:.1f}%[/bold] (chance {report.chance(1):.1f}%), "
            f"[bold]R@5 {check.recall_at_5:.1f}%[/bold] (chance {report.chance(5):.1f}%)"
        )
        if report.has_truth:
            console.print(
                f"  Written queries: {report.top_results_that_fit} of {len(report.answers)} top results fit "
                f"(by chance {report.fitting_by_chance:.1f})"
            )


def section_at(sections: Sequence[Section], span: Span) -> str | None:
    """Label of the section that a span lies in for the most part; None where no sections are known."""
    if not sections:
        return None
    return max(sections, key=lambda section: min(section.end, span.end) - max(section.start, span.start)).label


def _table(answer: Answer) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("track", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("where it matches", overflow="fold")
    if answer.fitting is not None:
        table.add_column("facts")
    for hit in answer.hits:
        row = [
            str(hit.match.rank),
            escape(hit.match.track.id) + (f" [dim]{escape(hit.about)}[/dim]" if hit.about else ""),
            f"{hit.match.score:.4f}",
            ", ".join(_span_words(span, hit.sections) for span in hit.location.spans),
        ]
        if hit.checks is not None:
            row.append("[green]fits[/green]" if hit.fits else f"{sum(hit.checks)} of {len(hit.checks)}")
        table.add_row(*row)
    return table


def _span_words(span: Span, sections: Sequence[Section]) -> str:
    label = section_at(sections, span)
    return f"{clock(span.start)}-{clock(span.end)}" + (f" {label}" if label else "")


def _url(path: Path, folder: Path) -> str:
    """`path` as a link from a page in `folder`."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())
