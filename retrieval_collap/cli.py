"""The `collap` command line. Heavy imports wait inside the commands, so that `collap --help` is quick."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_scripts.cli import dataset_app
from evaluation_collap.cli import DEFAULT_MODEL, evaluate_app
from evaluation_collap.console import elapsed, refusal
from release_collap.commands import release_app
from release_collap.export_commands import export_app

from .index_commands import index_app

# The recipe travels with the repository: it is found from any working folder.
ROOT = Path(__file__).resolve().parents[1]
FINETUNE_RECIPE = ROOT / "recipes" / "finetune.yaml"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(dataset_app, name="dataset")
app.add_typer(index_app)
app.add_typer(release_app)
app.add_typer(export_app, name="export")


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
        raise refusal(error) from error
    console.print(f"\nDone in {elapsed(start)}. Open [bold]{escape(str(page))}[/bold]", soft_wrap=True)


@app.command()
def finetune(
    output: Annotated[Path, typer.Option(help="Folder of the model; a run that was cut short goes on from there.")],
    audio: Annotated[Path | None, typer.Option(help="Folder of your audio, any format.", show_default=False)] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="CSV file in UTF-8 with the columns file (from --audio on) and caption, and split if you want to "
            "choose between train and validation.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Instead of both: folder or Hub name of a dataset in the schema.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or Hub name.", show_default="collap-mini, or what --recipe names")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="YAML file of the training run.", show_default="recipes/finetune.yaml")
    ] = None,
    validation_share: Annotated[float, typer.Option(help="Share of your tracks that is kept from training.")] = 0.2,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Fields of the recipe, as in training.num_train_epochs=5.", show_default=False),
    ] = None,
) -> None:
    """Fine-tune a model on your own music, and compare how well it finds your tracks before and after."""
    import datasets
    import transformers

    from training_collap import finetune as finetuning

    # Bars of files that take no time would bury those of tracks and steps.
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    console, start = Console(), time.monotonic()
    if recipe is None:
        recipe, model = FINETUNE_RECIPE, model or str(DEFAULT_MODEL)
    try:
        settings = finetuning.FinetuneSettings(
            recipe, output, audio, captions, dataset, model, validation_share, tuple(overrides or ())
        )
        finetuning.finetune(settings, console)
    except (ValueError, OSError, FloatingPointError) as error:
        raise refusal(error) from error
    console.print(f"\nDone in {elapsed(start)}. The model is in [bold]{escape(str(output))}[/bold]", soft_wrap=True)


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
