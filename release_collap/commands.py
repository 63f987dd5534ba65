"""`collap release`. Heavy imports wait inside the command, so that `--help` is quick."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from evaluation_collap.cli import quiet_libraries
from evaluation_collap.console import elapsed, refusal

release_app = typer.Typer(pretty_exceptions_show_locals=False)

_NAMES = "collap-mini, collap-gpt2, collap-roberta, collap-audioset (the dataset) or collap (the Space)"


@release_app.command()
def release(
    org: Annotated[str, typer.Option(help="User or organisation on the Hub that the repositories belong to.")],
    what: Annotated[list[str] | None, typer.Argument(help=f"Any of {_NAMES}.", show_default="all that exist")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the weights of a model are, as in collap-gpt2=runs/collap-gpt2. Repeatable.",
            show_default="collap-mini=checkpoints/collap-mini",
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Folder that `collap dataset build` packed.", show_default=False)
    ] = None,
    space: Annotated[Path | None, typer.Option(help="Folder of the app.", show_default="space")] = None,
    space_model: Annotated[str, typer.Option(help="Model that the Space loads.")] = "collap-mini",
    library: Annotated[
        Path | None,
        typer.Option(
            help="Folder of tracks for the Space, as space_collap.build_library makes it.",
            show_default="the Space makes one when it starts",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder in which the repositories are assembled.")] = Path(
        "build/release"
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Assemble, check and show every file, and push nothing.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="New repositories are seen by their owners only.")] = False,
    rehearsal: Annotated[
        bool,
        typer.Option(
            "--rehearsal",
            help="The full-size models and the dataset are stand-ins, and their cards say so. Not for huggingface.co.",
        ),
    ] = False,
) -> None:
    """Publish models, dataset and Space on the Hub: assembled, checked, compared, and pushed in one commit each.

    What is pushed already is left alone, so a release that was interrupted is done again with the same command.
    """
    import datasets
    from huggingface_hub import HfApi

    from .release import release as publish_all
    from .repositories import ROOT
    from .settings import ReleaseSettings

    quiet_libraries()
    datasets.disable_progress_bars()
    console, start = Console(), time.monotonic()
    try:
        settings = ReleaseSettings(
            org=org,
            what=tuple(what or ()),
            weights=read_weights(weights or ()),
            dataset=dataset,
            space=space or ROOT / "space",
            space_model=space_model,
            library=library,
            output=output,
            private=private,
            rehearsal=rehearsal,
            dry_run=dry_run,
        )
        publish_all(settings, HfApi(), console)
    except (ValueError, OSError, ImportError) as error:
        raise refusal(error) from error
    done = "Nothing was pushed" if dry_run else "Done"
    console.print(
        f"{done}; {elapsed(start)}. What was assembled is in [bold]{escape(str(output))}[/bold]", soft_wrap=True
    )


def read_weights(options: "list[str] | tuple[str, ...]") -> dict[str, Path]:
    """Folders by model.

    Raises:
        ValueError: an option is not of the form NAME=FOLDER, or a model has two.
    """
    folders: dict[str, Path] = {}
    for option in options:
        name, separator, folder = option.partition("=")
        if not separator or not name or not folder:
            raise ValueError(f"--weights {option} is not of the form NAME=FOLDER")
        if name in folders:
            raise ValueError(f"--weights names {name} twice")
        folders[name] = Path(folder)
    return folders
