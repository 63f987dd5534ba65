"""`collap index` and what it makes possible: `search`, `similar`, `describe-match`, `info`.

Heavy imports wait inside the commands, so that `--help` is quick.
"""

import json
import shlex
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation_collap.cli import DEFAULT_MODEL, quiet_libraries
from evaluation_collap.console import elapsed, refusal

if TYPE_CHECKING:
    from rich.progress import Progress

    from .index.track_index import IndexMatch
    from .localisation import Location

index_app = typer.Typer(pretty_exceptions_show_locals=False)

Index = Annotated[str, typer.Argument(help="Folder of the index, or its place in an object store.")]
TextToFind = Annotated[str | None, typer.Argument(help="What to look for, - to read it from standard input.")]
TextFile = Annotated[Path | None, typer.Option("--file", help="Read the text from a file.", show_default=False)]
Model = Annotated[
    str | None, typer.Option(help="Folder or Hub name of the model.", show_default="the one that made the index")
]
Top = Annotated[int, typer.Option(help="Results.")]
Where = Annotated[
    str | None,
    typer.Option(
        help="Which tracks are looked at, in SQL over the columns id, path, title, duration, tags, size and modified, "
        "as in \"duration > 120 AND array_has(tags, 'piano')\".",
        show_default="all",
    ),
]
Candidates = Annotated[
    int | None, typer.Option(help="Tracks whose sequence is compared; more are slower.", show_default="by --top")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Play = Annotated[bool, typer.Option(help="Print a line that plays it for each result: the file, and where in it.")]


@index_app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="Your audio, any format that FFmpeg reads, subfolders included.")],
    output: Annotated[str, typer.Option(help="Folder of the index, or a place in an object store.")],
    model: Annotated[
        str | None, typer.Option(help="Folder or Hub name of the model.", show_default="collap-mini, or the index's")
    ] = None,
    prune: Annotated[bool, typer.Option(help="Remove tracks whose file in this folder is gone.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that reading one file may take.")] = 120.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read files.", show_default="one for each core")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="JSON file that lists what became of the files.", show_default="beside a local index"),
    ] = None,
    seconds_per_step: Annotated[
        float | None, typer.Option(help="Length of a stored step; fixed when the index is made.", show_default="1")
    ] = None,
    bits: Annotated[
        int | None, typer.Option(help="Of each stored number, 8 or 4; fixed when the index is made.", show_default="8")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where the model runs.", show_default="an accelerator if there is one, or cpu")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Share the work among the machines of a Ray cluster; local for a Ray of its own.",
            show_default="no Ray",
        ),
    ] = None,
) -> None:
    """Make a folder of audio searchable, or bring its index up to date.

    Only new and changed files are read; a run that was cut short goes on where it was. Files that cannot be decoded
    are left out and listed.
    """
    console, start = Console(), time.monotonic()
    with refusals():
        from .index.encoding import index_files
        from .index.opening import known_files, open_or_create
        from .index.report import print_report
        from .index.walk import FolderChanges

        run = index_files
        if ray_address is not None:
            from .index.ray_job import index_files_on_ray

            run = partial(index_files_on_ray, address=ray_address, num_gpus=0.0 if device == "cpu" else None)
            device = "cpu"  # here the model only says which one it is
        local = None if "://" in output else Path(output)
        changes = FolderChanges.find(folder, known_files(output), exclude=local)
        tracks = open_or_create(
            output,
            model,
            default_model=str(DEFAULT_MODEL),
            seconds_per_step=seconds_per_step,
            bits=bits,
            device=device,
        )
        with _progress(console) as progress:
            task = progress.add_task("Indexing", total=len(changes.waiting))
            result = run(
                tracks,
                changes,
                prune=prune,
                seconds=timeout,
                workers=workers,
                on_file=lambda: progress.advance(task),
            )
        if report is None and local is not None:
            report = local.with_name(f"{local.name}.report.json")
        if report is not None:
            result.write(report)
        print_report(result, console)
        listed = "" if report is None else f" {escape(str(report))} lists what became of the files."
        if not len(tracks):
            raise ValueError(f"the index {output} is empty: none of the files in {folder} can be decoded.{listed}")
    console.print(
        f"\nDone in {elapsed(start)}. [bold]{escape(output)}[/bold] holds {len(tracks)} tracks.{listed}", soft_wrap=True
    )


@index_app.command()
def search(
    index: Index,
    text: TextToFind = None,
    file: TextFile = None,
    top: Top = 10,
    where: Where = None,
    candidates: Candidates = None,
    as_json: AsJson = False,
    play: Play = False,
    model: Model = None,
) -> None:
    """Tracks that match a text, best first, and where in them it matches best."""
    with refusals():
        from .index.opening import open_index

        words = read_text(text, file)
        tracks = open_index(index, model)
        with notices():
            query = tracks.embed(words)
            matches = tracks.search(query, top, where=where, candidates=candidates)
            locations = [tracks.locate(match.id, query) for match in matches]
        _show(matches, locations, as_json, play)


@index_app.command()
def similar(
    index: Index,
    track: Annotated[str, typer.Argument(help="A track of the index, or any audio file.")],
    top: Top = 10,
    where: Where = None,
    candidates: Candidates = None,
    as_json: AsJson = False,
    play: Play = False,
    model: Model = None,
) -> None:
    """Tracks that are most like one, best first."""
    with refusals():
        from .index.opening import find_track, open_index

        tracks = open_index(index, model)
        known = find_track(tracks, track)
        if known is None and not Path(track).is_file():
            raise ValueError(f"{track} is neither a track of {index} nor a file")
        source = Path(track) if known is None else known["id"]
        _show(tracks.similar(source, top, where=where, candidates=candidates), None, as_json, play)


@index_app.command("describe-match")
def describe_match(
    index: Index,
    track: Annotated[str, typer.Argument(help="Id or path of a track, or how one of them ends.")],
    text: TextToFind = None,
    file: TextFile = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Draw it in a .png, .svg or .pdf file, or as a .html page that plays it.", show_default=False
        ),
    ] = None,
    spans: Annotated[int, typer.Option(min=1, help="The most places that are marked.")] = 3,
    model: Model = None,
) -> None:
    """Where in a track a text matches."""
    console = Console()
    with refusals():
        from .describe_match import MatchPicture, print_match, writer_for
        from .index.opening import find_track, open_index

        words = read_text(text, file)
        write = None if output is None else writer_for(output)
        tracks = open_index(index, model)
        row = find_track(tracks, track)
        if row is None:
            raise ValueError(f"{index} holds no track {track}")
        with notices():
            score = tracks.describe(row["id"], [words])[0].score
            location = tracks.locate(row["id"], words, spans)
        match = MatchPicture(row["title"], Path(row["path"]), words, row["duration"], score, location)
        print_match(match, console)
        if output is not None and write is not None:
            write(match, output)
            console.print(f"\nDrawn in [bold]{escape(str(output))}[/bold]", soft_wrap=True)


@index_app.command()
def info(index: Index, as_json: AsJson = False) -> None:
    """What an index holds and which model made it."""
    with refusals():
        from .index.results import IndexInfo
        from .index.store import TrackStore

        about = IndexInfo.of(TrackStore.open(index))
        size = None if "://" in index else sum(path.stat().st_size for path in Path(index).rglob("*") if path.is_file())
        found = {
            "index": index,
            "tracks": about.tracks,
            "hours": round(about.duration / 3600, 3),
            "version": about.version,
            "bytes": size,
            **asdict(about.settings),
        }
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in found.items():
        table.add_row(f"[dim]{name.replace('_', ' ')}[/dim]", escape(str(value)))
    Console().print(table)


def read_text(text: str | None, file: Path | None) -> str:
    """The query: as given, from standard input for "-", or from a file.

    Raises:
        ValueError: there is none or more than one, it is empty, or the file cannot be read.
    """
    if (text is None) == (file is None):
        raise ValueError("give the text, - to read it from standard input, or --file")
    try:
        words = file.read_text(encoding="utf-8") if file is not None else sys.stdin.read() if text == "-" else text
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the text in {file or 'standard input'} cannot be read: {error}") from error
    if not words or not words.strip():
        raise ValueError("the text is empty")
    return words.strip()


@contextmanager
def refusals() -> Iterator[None]:
    """What a user can put right ends the command with one sentence and code 2."""
    try:
        quiet_libraries()
        yield
    except (ValueError, OSError, ImportError) as error:
        raise refusal(error) from error


@contextmanager
def notices() -> Iterator[None]:
    """Warnings, as of a text that is longer than the model reads, in the words of the console; each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for words in dict.fromkeys(str(warning.message) for warning in caught if warning.category is UserWarning):
        Console(stderr=True).print(f"[yellow]Note:[/yellow] {escape(words)}", soft_wrap=True)


def _show(matches: "list[IndexMatch]", locations: "list[Location] | None", as_json: bool, play: bool) -> None:
    """The results as a table, as JSON, or as lines that play them."""
    if as_json:
        typer.echo(json.dumps(_as_rows(matches, locations), indent=2, ensure_ascii=False))
    elif play:
        for position, match in enumerate(matches):
            typer.echo(_player_line(match, None if locations is None else locations[position]))
    else:
        Console().print(_table(matches, locations) if matches else "No track fits the filter.")


def _as_rows(matches: "list[IndexMatch]", locations: "list[Location] | None") -> list[dict[str, Any]]:
    rows = [asdict(match) for match in matches]
    for row, location in zip(rows, locations or (), strict=False):
        row["spans"] = [asdict(span) for span in location.spans]
    return rows


def _player_line(match: "IndexMatch", location: "Location | None") -> str:
    """A command that plays the best span, or the whole track where there is none."""
    where = (
        "" if location is None else f"-ss {location.best.start:.2f} -t {location.best.end - location.best.start:.2f} "
    )
    return f"ffplay -autoexit {where}{shlex.quote(match.path)}"


def _table(matches: "list[IndexMatch]", locations: "list[Location] | None") -> Table:
    from evaluation_collap.timeline import clock

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("title", overflow="fold")
    table.add_column("length", justify="right")
    table.add_column("score", justify="right")
    if locations is not None:
        table.add_column("best match")
    table.add_column("file", overflow="fold")
    for position, match in enumerate(matches):
        row = [str(match.rank), escape(match.title), clock(match.duration), f"{match.score:.4f}"]
        if locations is not None:
            best = locations[position].best
            row.append(f"{clock(best.start)}-{clock(best.end)}")
        table.add_row(*row, f"[dim]{escape(_from_here(match.path or match.id))}[/dim]")
    return table


def _from_here(path: str) -> str:
    """A path as it would be typed here."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _progress(console: Console) -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Progress(*columns, console=console)
