"""An index by its name: opened, or made where there is none; and its tracks by what people call them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation_collap.scorers.collap import load_collap
from evaluation_collap.scorers.specs import default_device
from modeling_collap import CollapModel
from processing_collap import CollapProcessor

from .settings import IndexSettings
from .store import TrackStore
from .track_index import TrackIndex
from .walk import KNOWN_COLUMNS, absolute


def open_index(uri: str, model: str | None = None, device: str | None = None) -> TrackIndex:
    """An index with the model of a folder or Hub name, by default the one that made it.

    Args:
        device: where the model runs; by default an accelerator where there is one.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: it was made with another model, or the model cannot be loaded.
    """
    store = TrackStore.open(uri)
    return TrackIndex(store, *_load(model or store.settings.model, device))


def open_or_create(
    uri: str,
    model: str | None,
    *,
    default_model: str,
    seconds_per_step: float | None = None,
    bits: int | None = None,
    device: str | None = None,
) -> TrackIndex:
    """The index at `uri`, made if it is not there.

    Args:
        model: folder or Hub name; by default the one that made the index, or `default_model` for a new one.
        seconds_per_step, bits: of a new index, 1 s and 8 by default. They cannot be changed later.
        device: as in `open_index`.

    Raises:
        ValueError: the index was made with other settings, or the model cannot be loaded.
    """
    try:
        index = open_index(uri, model, device)
    except FileNotFoundError:
        name = model or default_model
        loaded, processor = _load(name, device)
        if Path(name).expanduser().is_dir():
            name = str(absolute(name))  # found again from wherever the index is opened
        return TrackIndex.create(
            uri, loaded, processor, name=name, seconds_per_step=seconds_per_step or 1.0, bits=bits or 8
        )
    _refuse_other_settings(uri, index.store.settings, seconds_per_step, bits)
    return index


def known_files(uri: str) -> list[dict[str, Any]]:
    """What `FolderChanges.find` wants to know of an index; nothing of one that is not there."""
    try:
        return TrackStore.open(uri).records(columns=KNOWN_COLUMNS)
    except FileNotFoundError:
        return []


def find_track(index: TrackIndex, name: str) -> dict[str, Any] | None:
    """The row of the track that has this id or path, or else of the only one whose id or path ends like this.

    Raises:
        ValueError: it may be any of several tracks.
    """
    rows = index.store.records(columns=["id", "path", "title", "duration"])
    path, ending = str(absolute(name)), f"/{name}"
    ways: tuple[Callable[[dict[str, Any]], bool], ...] = (
        lambda row: row["id"] == name,
        lambda row: row["path"] == path,
        lambda row: row["id"].endswith(ending) or row["path"].endswith(ending),
    )
    for is_meant in ways:
        found = [row for row in rows if is_meant(row)]
        if len(found) > 1:
            raise ValueError(f"{name} may be any of {len(found)} tracks, such as {found[0]['id']} and {found[1]['id']}")
        if found:
            return found[0]
    return None


def _load(model: str, device: str | None) -> tuple[CollapModel, CollapProcessor]:
    loaded: Any
    loaded, processor = load_collap(model)
    return loaded.to(device or default_device()), processor


def _refuse_other_settings(uri: str, settings: IndexSettings, seconds_per_step: float | None, bits: int | None) -> None:
    asked = settings.pool if seconds_per_step is None else round(settings.model_steps_per_second * seconds_per_step)
    if max(asked, 1) != settings.pool:
        raise ValueError(
            f"the index {uri} has steps of {1 / settings.steps_per_second:g} s, not {seconds_per_step:g} s; "
            "other steps need another index"
        )
    if bits is not None and bits != settings.bits:
        raise ValueError(f"the index {uri} has {settings.bits} bits a number, not {bits}; others need another index")
