"""`collap export`. Heavy imports wait inside the command, so that `--help` is quick."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from evaluation_collap.cli import quiet_libraries
from evaluation_collap.console import elapsed, refusal

export_app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)


@export_app.callback()
def export() -> None:
    """Write a model in the format of another runtime."""


@export_app.command()
def onnx(
    model: Annotated[str, typer.Argument(help="Folder or Hub name of the model.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.", show_default=False)],
    tolerance: Annotated[float, typer.Option(help="Largest difference from torch that is accepted.")] = 1e-4,
) -> None:
    """Write both towers as ONNX graphs, with the processor and the settings of scoring.

    The graphs are run on tracks and texts of several lengths first. Where they differ from the model by more than the
    tolerance, nothing is written.
    """
    from evaluation_collap.scorers.collap import load_collap

    from .onnx_export import check_packages, export_onnx

    quiet_libraries()
    console, start = Console(), time.monotonic()
    try:
        check_packages()
        loaded, processor = load_collap(model)
        agreement = export_onnx(loaded.float(), processor, output, tolerance=tolerance)
    except (ValueError, OSError, ImportError) as error:
        raise refusal(error) from error
    for file in sorted(output.glob("*.onnx*")):
        console.print(f"{file.name}  {file.stat().st_size / 1e6:,.1f} MB", highlight=False)
    console.print(
        f"Largest differences from torch: {agreement.audio_features:.0e} in audio features, "
        f"{agreement.text_features:.0e} in text features, {agreement.scores:.0e} in scores.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Done in {elapsed(start)}. The graphs are in [bold]{escape(str(output))}[/bold]", soft_wrap=True)
