"""The `collap` command line. Heavy imports wait inside the commands, so that `collap --help` is quick."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

# The default model travels with the repository: it is found from any working folder.
DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "checkpoints" / "collap-mini"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def collap() -> None:
    """Search whole songs with long descriptions, and see where they match."""


@app.command()
def demo(
    audio_folder: Annotated[
        Path | None,
        typer.Argument(
            help="Your own audio, any format, subfolders included. Without it, songs are rendered.", show_default=False
        ),
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option(help="Text to search for; repeatable. By default five written ones.")
    ] = None,
    queries_file: Annotated[Path | None, typer.Option(help="Text file with one query a line.")] = None,
    model: Annotated[str, typer.Option(help="Model folder or Hub name.")] = str(DEFAULT_MODEL),
    output: Annotated[Path, typer.Option(help="Folder of the page and its audio files.")] = Path("demo_output"),
    songs: Annotated[int, typer.Option(help="Songs to render; none of them was heard in training.")] = 24,
    seed: Annotated[int, typer.Option(help="Number of the first song looked at.")] = 0,
    top: Annotated[int, typer.Option(help="Results per query.")] = 5,
) -> None:
    """Search songs with written queries and show where they match, in the terminal and on a web page."""
    from .demo import DemoError, DemoSettings, run_demo

    console, start = Console(), time.monotonic()
    try:
        queries = tuple(query or ()) + read_queries(queries_file)
        settings = DemoSettings(model, output, audio_folder, queries, songs, seed, top)
        _, page = run_demo(settings, console)
    except (DemoError, typer.BadParameter) as error:
        Console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from error
    seconds = time.monotonic() - start
    console.print(
        f"\nDone in {int(seconds // 60)} min {seconds % 60:.0f} s. Open [bold]{escape(str(page))}[/bold]",
        soft_wrap=True,
    )


def read_queries(path: Path | None) -> tuple[str, ...]:
    """The lines of a file that are not empty; none without a file.

    Raises:
        typer.BadParameter: the file cannot be read or holds no query.
    """
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"the queries in {path} cannot be read: {error}") from error
    queries = tuple(line.strip() for line in lines if line.strip())
    if not queries:
        raise typer.BadParameter(f"{path} holds no query")
    return queries
