"""`collap evaluate`: models on benchmarks. Heavy imports wait inside the commands, so that `--help` is quick."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from .console import elapsed, refusal

# Travels with the repository: it is found from any working folder.
DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "checkpoints" / "collap-mini"
DEFAULT_CACHE = Path("~/.cache/collap")
DEFAULT_OUTPUT = Path("runs/evaluation")

evaluate_app = typer.Typer(pretty_exceptions_show_locals=False)

# Options that the subcommands share with the benchmark.
Model = Annotated[
    str,
    typer.Option(help="Folder or Hub name of a model; mean:NAME, clap:NAME and muscall:NAME are baselines."),
]
Cache = Annotated[
    Path,
    typer.Option(help="Folder of encodings, which every command and run shares.", envvar="COLLAP_CACHE"),
]
Output = Annotated[Path, typer.Option(help="Folder of the results.")]
Device = Annotated[
    str | None, typer.Option(help="Where encodings are made.", show_default="an accelerator if there is one, or cpu")
]
Split = Annotated[str, typer.Option(help="Split of a dataset in the schema.")]
CaptionColumn = Annotated[str, typer.Option(help="Column that holds the texts.")]
CaptionsFile = Annotated[
    Path | None,
    typer.Option(
        help="CSV or JSON lines with the columns file and caption, for a folder of audio; or captions of the caption "
        "stage, or passages, for a benchmark of the paper.",
        show_default="captions.csv or metadata.jsonl in it",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the official files of a benchmark of the paper, or of one such folder for each.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option(help="Take the first rows only.", show_default="all")]
SkipBroken = Annotated[bool, typer.Option(help="Leave tracks out that cannot be decoded, instead of refusing.")]


@evaluate_app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or Hub name of a model; mean:NAME, clap:NAME and muscall:NAME are baselines. Repeatable.",
            show_default="collap-mini",
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a benchmark; dataset:PATH for a folder or Hub name in the schema; folder:PATH for a folder "
            "of audio with a file of captions. Repeatable.",
            show_default=False,
        ),
    ] = None,
    split: Split = "validation",
    caption_column: CaptionColumn = "caption",
    captions_file: CaptionsFile = None,
    data_dir: DataDir = None,
    limit: Limit = None,
    output: Output = DEFAULT_OUTPUT,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap intervals; nothing else is drawn.")] = 0,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1000,
    skip_broken: SkipBroken = False,
) -> None:
    """Retrieval in both directions: every track of a benchmark against every text.

    Prints a row for each model, and writes it with the protocol, the revisions of model and data, and the scores.
    A run that was cut short goes on from its cache.
    """
    if context.invoked_subcommand is not None:
        return
    console, start = Console(), time.monotonic()
    try:
        quiet_libraries()
        from .benchmarks import DataOptions, find_benchmark, known_benchmarks
        from .results import terminal_tables
        from .runner import RunSettings, evaluate_retrieval
        from .scorers import build_scorer

        if not benchmark:
            raise ValueError(
                f"name a --benchmark: {', '.join(known_benchmarks())}, or your own data as folder:PATH or dataset:PATH"
            )
        cache = cache.expanduser()
        settings = RunSettings(cache / "embeddings", output, limit, seed, resamples, skip_broken)
        options = DataOptions(split, caption_column, captions_file, cache / "datasets", data_dir)
        benchmarks = [find_benchmark(name, options) for name in benchmark]
        for data in benchmarks:
            data.rows(limit)  # whatever is wrong with the data of any is said before a model starts on the first
        scorers = [build_scorer(name, device) for name in model or [str(DEFAULT_MODEL)]]
        results = [evaluate_retrieval(scorer, data, settings) for data in benchmarks for scorer in scorers]
    except (ValueError, OSError) as error:
        raise refusal(error) from error
    for result in results:
        for track, reason in result.broken.items():
            console.print(f"left out: {track}: {reason}", style="yellow", markup=False, soft_wrap=True)
    console.print(*terminal_tables(results))
    where = ", ".join(str(output / f"{result.stem}.json") for result in results)
    console.print(f"\nDone in {elapsed(start)}. Results and protocol: [bold]{escape(where)}[/bold]", soft_wrap=True)


def quiet_libraries() -> None:
    """Bars of files that take no time would bury those of tracks."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()


from . import commands as commands  # noqa: E402  # registers the subcommands, which take the options above
