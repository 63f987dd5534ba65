"""Captions that the caption stage wrote for the recordings of a benchmark, in the place of the official ones."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from ..captions_file import read_captions_file
from ..descriptions import parse_description
from .rows import Row

_TEXT = ("caption", "global_caption", "structure")
_ORIGIN = ("caption_source", "caption_model")

logger = logging.getLogger(__name__)


def recaptioned(rows: Sequence[Row], captions: Path, title: str) -> list[Row]:
    """A row for each recording that a file has a caption of; how many it has none of is told in a warning.

    Args:
        rows: of a benchmark, in the dataset schema.
        captions: parquet, a file or a folder of them, with the columns `id`, `caption`, `global_caption` and
            `structure`, as the stages of `collap dataset build` write and pack it; or CSV or JSON lines with `id` and
            `caption`, a text as music language models write it, which is parsed. `id` is the `song_id` of the rows.
            `caption_source` and `caption_model` may be there too.
        title: of the benchmark, for messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, has an empty caption, two captions of a recording, or none of any.
    """
    written = _parquet(captions) if captions.is_dir() or captions.suffix == ".parquet" else _lines(captions)
    recordings = {row["song_id"]: row for row in reversed(rows)}
    songs = list(dict.fromkeys(row["song_id"] for row in rows))
    if not (described := [song for song in songs if song in written]):
        raise ValueError(f"{captions} has no caption of any recording of {title}; they are called as {songs[0]} is.")
    if len(described) < len(songs):
        without = len(songs) - len(described)
        logger.warning("%s: %d of %d recordings have no caption in %s", title, without, len(songs), captions)
    return [_under(recordings[song], written[song], captions) for song in described]


def _under(row: Row, written: dict[str, Any], captions: Path) -> Row:
    columns = {name: written[name] for name in _TEXT if name in written}
    if "structure" not in columns:
        columns = parse_description(written["caption"], row["duration"]).columns()
    # Sections of a longer version of the recording would lie outside of this one.
    within = [dict(section) for section in columns["structure"] or () if section["start"] < row["duration"]]
    for section in within:
        section["end"] = min(section["end"], row["duration"])
    # A folder is that of a stage, and says little without those around it.
    place = Path(*captions.absolute().parts[-3:]) if captions.is_dir() else captions.name
    origin = {
        "caption_source": written.get("caption_source") or "imported",
        "caption_model": written.get("caption_model") or None,
        "provenance": f"{row['provenance']}; caption from {place}",
    }
    return {**row, **columns, "structure": within, "id": row["song_id"], **origin}


def _parquet(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file of captions {path}.")
    try:
        table = pads.dataset(path, format="parquet")
        names = table.schema.names
        if missing := [name for name in ("id", *_TEXT) if name not in names]:
            raise ValueError(f"{path} lacks the column {missing[0]}; it has {', '.join(names)}.")
        rows = table.to_table(columns=["id", *_TEXT, *(name for name in _ORIGIN if name in names)]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no parquet file: {error}") from error
    return _by_id([(number, row) for number, row in enumerate(rows)], path)


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    rows = read_captions_file(path, ("id", "caption"))
    if cut := next((number for number, row in rows if None in row), None):
        raise ValueError(f"row {cut} of {path} has more fields than columns: a caption with commas needs quotes.")
    columns = ("id", "caption", *_ORIGIN)
    return _by_id([(number, {name: row.get(name) for name in columns}) for number, row in rows], path)


def _by_id(rows: Sequence[tuple[int, dict[str, Any]]], path: Path) -> dict[str, dict[str, Any]]:
    written: dict[str, dict[str, Any]] = {}
    for number, row in rows:
        name = str(row["id"])
        if not (row["caption"] or "").strip():
            raise ValueError(f"row {number} of {path}: the caption of {name} is empty.")
        if name in written:
            raise ValueError(f"row {number} of {path}: {name} has a caption already; one a recording is read.")
        written[name] = row
    return written
