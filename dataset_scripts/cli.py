"""`collap dataset`: data sets are built. Heavy imports wait inside the commands, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

dataset_app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)


@dataset_app.callback()
def dataset() -> None:
    """Build data sets of captioned tracks."""


@dataset_app.command()
def build(
    config: Annotated[Path, typer.Option(help="YAML file of the build, as recipes/dataset/audioset.yaml.")],
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this stage only: select, download, filter, duplicates, caption, structure or pack. Repeatable.",
            show_default="all",
        ),
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster.", show_default="a Ray of its own on this machine")
    ] = None,
) -> None:
    """From AudioSet's tables to captioned tracks in Hub layout; a build that was stopped goes on where it was."""
    from .audioset.blocks import StageFolder
    from .audioset.config import BuildConfig
    from .audioset.engine import StageError
    from .audioset.ledger import kinds_of_reasons
    from .audioset.pipeline import build as build_audioset

    console = Console()
    try:
        settings = BuildConfig.from_yaml(config)
        finished = build_audioset(settings, only=stage or (), ray_address=ray_address)
    except (ValueError, OSError, StageError, ImportError) as error:
        Console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from error
    table = Table("stage", "rows", "fell out", "for")
    for name, done in finished.items():
        reasons = kinds_of_reasons(StageFolder(settings.work / name)).most_common(4)
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
        table.add_row(name, f"{done.kept:,}", f"{done.dropped:,}", escape(told))
    console.print(table)
    console.print(
        f"What fell out and why: [bold]{escape(str(settings.work / 'ledger.parquet'))}[/bold]", soft_wrap=True
    )
