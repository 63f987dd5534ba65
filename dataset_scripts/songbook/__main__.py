"""`python -m dataset_scripts.songbook --output DIR --songwriter 100`: render a songbook."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: the workers inherit it

import logging
from pathlib import Path
from typing import Annotated

import typer

from .build import SongbookSettings, build_songbook


def main(
    output: Annotated[Path, typer.Option(help="Folder of the data set; a build stopped there goes on.")],
    pop909: Annotated[Path | None, typer.Option(help="POP909 folder or archive.")] = None,
    songwriter: Annotated[int, typer.Option(help="Number of songs to write.")] = 0,
    renderings: Annotated[int, typer.Option(help="Orchestrations of each training song.")] = 1,
    first_rendering: Annotated[int, typer.Option(help="Number of the first of them, to make others.")] = 0,
    validation_renderings: Annotated[int, typer.Option(help="Orchestrations of each validation and test song.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    soundfont: Annotated[list[Path] | None, typer.Option(help="SoundFont; several allowed, chosen by seed.")] = None,
    format: Annotated[str, typer.Option(help="flac or ogg.")] = "flac",
    sampling_rate: Annotated[int, typer.Option(help="Hertz.")] = 16_000,
    augment: Annotated[bool, typer.Option(help="Vary gain, room and tilt of the training rows.")] = False,
) -> None:
    """Orchestrate, caption and render songs into parquet shards that `load_dataset(OUTPUT)` reads."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if format not in ("flac", "ogg"):
        raise typer.BadParameter(f"--format must be flac or ogg, got {format}")
    try:
        settings = SongbookSettings(
            pop909=str(pop909) if pop909 else None,
            songwriter=songwriter,
            renderings=renderings,
            first_rendering=first_rendering,
            validation_renderings=validation_renderings,
            soundfonts=tuple(str(path) for path in soundfont or ()),
            audio_format="flac" if format == "flac" else "ogg",
            sampling_rate=sampling_rate,
            augment=augment,
        )
        failures = build_songbook(output, settings, workers=workers)
    except (ValueError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"songbook in {output}; {len(failures)} rows skipped")


if __name__ == "__main__":
    typer.run(main)
