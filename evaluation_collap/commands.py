"""`collap evaluate probes`, `ablate`, `zero-shot` and `report`. Heavy imports wait inside the commands."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from .cli import (
    DEFAULT_CACHE,
    DEFAULT_MODEL,
    DEFAULT_OUTPUT,
    Cache,
    CaptionColumn,
    CaptionsFile,
    DataDir,
    Device,
    Limit,
    Model,
    Output,
    SkipBroken,
    Split,
    evaluate_app,
    quiet_libraries,
)
from .console import elapsed, refusal

if TYPE_CHECKING:
    from datasets import Dataset

    from .records import Record, Recorder

# Tracks that a probe alters are encoded anew, up to eleven times each.
ALTERED_TRACKS = 24
# An area under a curve over fewer tracks says little.
MIN_TRACKS = 5

BenchmarkName = Annotated[
    str, typer.Option("--benchmark", help="Name of a benchmark, dataset:PATH in the schema, or folder:PATH of audio.")
]
Tracks = Annotated[int | None, typer.Option(min=1, help="How many tracks, drawn by the seed.", show_default="all")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]
Again = Annotated[bool, typer.Option("--again", help="Run anew what is there already.")]


@evaluate_app.command()
def probes(
    model: Model = str(DEFAULT_MODEL),
    benchmark: BenchmarkName = "songbook",
    probe: Annotated[
        list[str] | None,
        typer.Option(
            help="truncation, order, localisation, length or robustness. Repeatable.", show_default="all that apply"
        ),
    ] = None,
    tracks: Tracks = None,
    altered_tracks: Annotated[
        int, typer.Option(min=1, help="How many are encoded anew in many forms: permuted, repeated, noisy.")
    ] = ALTERED_TRACKS,
    seed: Seed = 0,
    split: Split = "validation",
    caption_column: CaptionColumn = "caption",
    captions_file: CaptionsFile = None,
    data_dir: DataDir = None,
    limit: Limit = None,
    output: Output = DEFAULT_OUTPUT,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
    skip_broken: SkipBroken = False,
    again: Again = False,
) -> None:
    """What a score reads of a long caption, and what it hears of a long track.

    truncation: recall by captions that are cut short. order: true captions and tracks against permuted ones.
    localisation: captions of sections against their places. length: scores of the same content, repeated.
    robustness: recall of tracks that are quieter, compressed, noisy or cut.
    """
    with _command() as console:
        from .benchmarks import DataOptions
        from .embeddings import BrokenTracksError
        from .probes import PROBES, run_probe

        if unknown := [name for name in probe or () if name not in PROBES]:
            raise ValueError(f"{unknown[0]!r} is no probe; there are {', '.join(PROBES)}")
        data = DataOptions(split, caption_column, captions_file, cache.expanduser() / "datasets", data_dir)
        rows, about = _benchmark(benchmark, data, limit, ("duration", "global_caption", "structure"))
        recorder = _recorder(model, rows, about, output, cache, device, skip_broken, again)
        drawn: dict[str, dict[str, Any]] = {
            "truncation": {"tracks": tracks},
            "order": {"tracks": tracks, "audio_tracks": altered_tracks},
            "localisation": {"tracks": tracks},
            "length": {"tracks": altered_tracks},
            "robustness": {"tracks": altered_tracks},
        }
        for name in probe or PROBES:
            try:
                _show(recorder.record(name, partial(run_probe, name), seed=seed, **drawn[name]), console)
            except ValueError as error:
                if probe or isinstance(error, BrokenTracksError):
                    raise
                console.print(f"\n{name} is left out: {error}", style="yellow", markup=False, soft_wrap=True)


@evaluate_app.command()
def ablate(
    model: Model = str(DEFAULT_MODEL),
    benchmark: BenchmarkName = "songbook",
    tracks: Tracks = None,
    branches: Annotated[
        bool, typer.Option(help="Also silence each audio branch, which encodes all tracks twice more.")
    ] = True,
    seed: Seed = 0,
    split: Split = "validation",
    caption_column: CaptionColumn = "caption",
    captions_file: CaptionsFile = None,
    data_dir: DataDir = None,
    limit: Limit = None,
    output: Output = DEFAULT_OUTPUT,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
    skip_broken: SkipBroken = False,
    again: Again = False,
) -> None:
    """What each part of a checkpoint's score contributes: audio branches, kernels, strides, gammas, normalisation.

    Nothing is trained. A model of one branch alone takes a recipe.
    """
    with _command() as console:
        from . import ablations
        from .benchmarks import DataOptions

        data = DataOptions(split, caption_column, captions_file, cache.expanduser() / "datasets", data_dir)
        rows, about = _benchmark(benchmark, data, limit)
        recorder = _recorder(model, rows, about, output, cache, device, skip_broken, again)
        _show(recorder.record("ablations", ablations.run, seed=seed, tracks=tracks, branches=branches), console)


@evaluate_app.command("zero-shot")
def zero_shot(
    model: Model = str(DEFAULT_MODEL),
    benchmark: Annotated[
        str, typer.Option(help="songbook, dataset:PATH of a songbook of your own, gtzan:PATH or magnatagatune:PATH.")
    ] = "songbook",
    split: Annotated[
        str | None, typer.Option(help="Of the songbook or MagnaTagATune.", show_default="validation, or test")
    ] = None,
    excerpts: Annotated[
        Path | None,
        typer.Option(help="Text file with the excerpts of GTZAN to take, one a line.", show_default="all"),
    ] = None,
    min_tracks: Annotated[
        int, typer.Option(min=1, help="Leave labels of the songbook out that fewer tracks have.")
    ] = MIN_TRACKS,
    limit: Limit = None,
    output: Output = DEFAULT_OUTPUT,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
    again: Again = False,
) -> None:
    """Labels that the model was not trained on: every label is put into sentences, and tracks are scored against them.

    Tracks that cannot be decoded are left out and listed.
    """
    with _command() as console:
        from .zero_shot import zero_shot as score_labels

        for name, title, rows, options in _labelled(benchmark, split, excerpts, min_tracks, limit, cache):
            about = {"name": benchmark, "title": title, "limit": limit}
            recorder = _recorder(model, rows, about, output, cache, device, False, again)
            _show(recorder.record(name, score_labels, **options), console)


@evaluate_app.command()
def report(
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = DEFAULT_OUTPUT,
    html: Annotated[
        Path | None, typer.Option(help="The page to write; it holds all that it shows.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="The same as Markdown; plots are put into a folder of its name beside it."),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="Title of a benchmark, as the results have it. Repeatable.", show_default="all"),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Evaluation of CoLLAP",
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Show hits and misses that can be played: name of the benchmark whose recordings they are, or "
            "dataset:PATH, or folder:PATH.",
            show_default=False,
        ),
    ] = None,
    model: Model = str(DEFAULT_MODEL),
    examples: Annotated[int, typer.Option(min=1, help="Hits, and misses, to show.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the choice of hits and misses.")] = 0,
    split: Split = "validation",
    caption_column: CaptionColumn = "caption",
    captions_file: CaptionsFile = None,
    data_dir: DataDir = None,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
) -> None:
    """One page of everything in a folder of results: tables, curves, and hits and misses that can be played."""
    with _command() as console:
        if html is None and markdown is None:
            raise ValueError("name a page to write: --html FILE, --markdown FILE, or both")
        from .report import build_report, collect, draw_examples, write_html, write_markdown

        chapters = collect(results, benchmark or ())
        shown = {}
        if dataset is not None:
            from .benchmarks import DataOptions, find_benchmark
            from .embeddings import EmbeddingCache
            from .scorers import build_scorer

            cache = cache.expanduser()
            options = DataOptions(split, caption_column, captions_file, cache / "datasets", data_dir)
            data = find_benchmark(dataset, options)
            scorer = EmbeddingCache(cache / "embeddings", build_scorer(model, device), progress=False)
            shown = draw_examples(chapters, data, scorer, count=examples, seed=seed)
        document = build_report(title, chapters, shown)
        for path, write in ((html, write_html), (markdown, write_markdown)):
            if path is not None:
                write(document, path)
                console.print(f"Wrote [bold]{escape(str(path))}[/bold]", soft_wrap=True)


@contextmanager
def _command() -> Iterator[Console]:
    """A console; wrong input ends the command with one sentence, and its end is told with the time it took."""
    console, start = Console(), time.monotonic()
    try:
        quiet_libraries()
        yield console
    except (ValueError, OSError) as error:
        raise refusal(error) from error
    console.print(f"\nDone in {elapsed(start)}.")


def _benchmark(
    name: str, options: Any, limit: int | None, columns: tuple[str, ...] = ()
) -> tuple["Dataset", dict[str, Any]]:
    """The rows of a benchmark, and what a result says of them."""
    from .benchmarks import find_benchmark

    if limit is not None and limit < 1:
        raise ValueError("--limit must be at least 1")
    data = find_benchmark(name, options)
    rows = data.rows(limit)
    if missing := [column for column in columns if column not in rows.column_names]:
        raise ValueError(f"{name} lacks the column {missing[0]}; it has {', '.join(rows.column_names)}")
    return rows, {"name": data.name, "title": data.title, "captions": data.captions, "limit": limit}


def _recorder(
    model: str,
    rows: "Dataset",
    about: dict[str, Any],
    output: Path,
    cache: Path,
    device: str | None,
    skip_broken: bool,
    again: bool,
) -> "Recorder":
    from .embeddings import EmbeddingCache
    from .records import Recorder, describe_rows
    from .scorers import build_scorer

    scorer = EmbeddingCache(cache.expanduser() / "embeddings", build_scorer(model, device))
    if skip_broken:
        rows = scorer.tracks(rows, skip_broken=True).rows
    return Recorder(scorer, rows, {**about, **describe_rows(rows)}, output, again)


def _labelled(
    benchmark: str, split: str | None, excerpts: Path | None, min_tracks: int, limit: int | None, cache: Path
) -> Iterator[tuple[str, str, "Dataset", dict[str, Any]]]:
    """The tasks of a benchmark: name, title of the benchmark, labelled rows, and options of `zero_shot`."""
    from dataset_scripts.benchmarks import load_gtzan, load_magnatagatune
    from dataset_scripts.songbook.labels import songbook_labelled

    from .benchmarks import DataOptions
    from .prompts import GENRE_PROMPTS, INSTRUMENT_PROMPTS, TAG_PROMPTS

    def first(rows: "Dataset") -> "Dataset":
        return rows if limit is None else rows.select(range(min(limit, len(rows))))

    kind, _, path = benchmark.partition(":")
    if excerpts is not None and kind != "gtzan":
        raise ValueError(f"--excerpts goes with gtzan:PATH, not with {benchmark}")
    if kind in ("gtzan", "magnatagatune") and not path:
        raise ValueError(f"name the folder of the data, as in {kind}:PATH")
    if kind == "gtzan":
        genres: dict[str, Any] = {"prompts": GENRE_PROMPTS, "multi_label": False}
        yield "zero-shot", "GTZAN", first(load_gtzan(path, excerpts)), genres
    elif kind == "magnatagatune":
        rows = first(load_magnatagatune(path, split or "test"))
        yield "zero-shot", "MagnaTagATune", rows, {"prompts": TAG_PROMPTS, "multi_label": True}
    else:
        data = DataOptions(split or "validation", cache=cache.expanduser() / "datasets")
        rows, about = _benchmark(benchmark, data, limit, ("global_caption", "structure"))
        for task, prompts in (("genre", GENRE_PROMPTS), ("instruments", INSTRUMENT_PROMPTS)):
            labelled = songbook_labelled(rows, task, min_tracks=min_tracks)  # type: ignore[arg-type]
            options = {"prompts": prompts, "multi_label": task == "instruments"}
            yield f"zero-shot-{task}", about["title"], labelled, options


def _show(record: "Record", console: Console) -> None:
    about = record.about
    heading = f"{about.probe}: {about.model['name']} on {about.benchmark['title']}"
    console.print(f"\n[bold]{escape(heading)}[/bold]", soft_wrap=True)
    console.print(Markdown(record.table))
    for track, reason in record.result.get("broken", {}).items():
        console.print(f"left out: {track}: {reason}", style="yellow", markup=False, soft_wrap=True)
