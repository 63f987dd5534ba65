"""The build: its stages one after another, from AudioSet's tables to a data set in Hub layout."""

from collections.abc import Sequence

from rich.console import Console

from ..fields import suggestion
from .blocks import Done, StageFolder
from .cluster import ray_running
from .config import BuildConfig
from .engine import Engine, work_folder
from .ledger import write_ledger


def build(
    config: BuildConfig,
    *,
    only: Sequence[str] = (),
    ray_address: str | None = None,
    console: Console | None = None,
) -> dict[str, Done]:
    """Do what is left to do of the stages; finished ones are passed over.

    Afterwards `WORK/ledger.parquet` holds what fell out of the finished stages.

    Args:
        only: names of stages to run; all by default. What they build on must be finished.
        ray_address: of a cluster; a Ray of our own on this machine by default.
        console: where progress is shown; standard error by default.

    Returns:
        What each stage that is finished now comes to, by name.

    Raises:
        ValueError: an option is wrong, or a stage was begun with other settings; found before any stage starts, if it
            can be.
        OSError: a file or program is missing, or another process builds in the work folder.
        StageError: a stage met with something unexpected. What was finished is kept.
    """
    names = [stage.name for stage in config.stages]
    for name in only:
        if name not in names:
            raise ValueError(f"there is no stage {name}{suggestion(name, names)}")
    for stage in config.stages:
        if (not only or stage.name in only) and not StageFolder(config.work / stage.name).done():
            stage.check()
    with work_folder(config.work), ray_running(ray_address, config.workers):
        engine = Engine(config.work, block_size=config.block_size, console=console)
        folders = [engine.folder(name) for name in names]
        for number, stage in enumerate(config.stages):
            if not only or stage.name in only:
                engine.run(stage, folders[number - 1] if number else None)
        write_ledger(config.work / "ledger.parquet", [folder for folder in folders if folder.done()])
        return {folder.name: done for folder in folders if (done := folder.done())}
