"""A track as a row of the index's table, with checksums that tell a changed row from the one that was written."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa

from .compression import SequenceCodec

# Lengths of float32 vectors that count as 1.
_UNIT_TOLERANCE = 1e-3


class DamagedIndexError(OSError):
    """Files of an index are cut, changed or missing."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexedTrack:
    """A row of the table.

    Attributes:
        id: what the track is known by; unique.
        path: of its file, or "" where there is none.
        duration: in seconds.
        content_hash: of the file's bytes.
        size: of the file, in bytes.
        modified: of the file, in seconds since 1970.
        tags: any words to filter by.
        vector: (D,) float32 of unit length, the whole track in one vector; kept as float16.
        sequence: the compressed sequence, as `SequenceCodec` writes it.
        steps: how many stored steps the sequence holds.
    """

    id: str
    path: str
    title: str
    duration: float
    content_hash: str
    size: int
    modified: float
    tags: tuple[str, ...]
    vector: np.ndarray
    sequence: bytes
    steps: int


# What a filter may name and a record holds: all of a track but the two large columns.
DETAILS = tuple(field.name for field in fields(IndexedTrack) if field.name not in ("vector", "sequence"))
DETAILS_CHECK, DATA_CHECK = "details_check", "data_check"


def schema(dim: int, metadata: dict[str, str]) -> pa.Schema:
    """Columns of the table, for vectors (dim,). A track's sequence is in two: its sketch, and what follows that."""
    # The key lets Lance see that two writers insert the same track at once.
    key = {"lance-schema:unenforced-primary-key": "true"}
    columns = [
        pa.field("id", pa.string(), nullable=False, metadata=key),
        pa.field("path", pa.string()),
        pa.field("title", pa.string()),
        pa.field("duration", pa.float64()),
        pa.field("content_hash", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("modified", pa.float64()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("steps", pa.int32()),
        pa.field("vector", pa.list_(pa.float16(), dim)),
        # Quantised numbers do not compress further: trying costs time alone.
        pa.field("sketch", pa.large_binary(), metadata={"lance-encoding:compression": "none"}),
        pa.field("sequence", pa.large_binary(), metadata={"lance-encoding:compression": "none"}),
        pa.field(DETAILS_CHECK, pa.uint32()),
        pa.field(DATA_CHECK, pa.uint32()),
    ]
    return pa.schema(columns, metadata=metadata)


def check_track(track: IndexedTrack, dim: int) -> None:
    """
    Raises:
        ValueError: a field of the track cannot be kept as it is.
    """
    shape, length = track.vector.shape, float(np.linalg.norm(track.vector))
    if shape != (dim,) or not abs(length - 1) < _UNIT_TOLERANCE:
        raise ValueError(f"the vector of track {track.id!r} must be ({dim},) of length 1, not {shape} of {length:.4g}")
    if not (math.isfinite(track.duration) and math.isfinite(track.modified)):
        raise ValueError(f"duration and modified of track {track.id!r} must be finite numbers")
    try:
        "".join((track.id, track.path, track.title, track.content_hash, *track.tags)).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the names of track {track.id!r} are no Unicode text: {error}") from error


def table_of(tracks: Sequence[IndexedTrack], table_schema: pa.Schema, codec: SequenceCodec) -> pa.Table:
    """Rows of the table, in the order given; the codec is that of the sequences."""
    columns: dict[str, Any] = {name: [getattr(track, name) for track in tracks] for name in DETAILS}
    columns["sketch"] = [codec.sketch(track.sequence) for track in tracks]
    columns["sequence"] = [t.sequence[len(sketch) :] for t, sketch in zip(tracks, columns["sketch"], strict=True)]
    vectors = np.stack([track.vector for track in tracks]).astype(np.float16)  # (N, D)
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    details = ({name: getattr(track, name) for name in DETAILS} for track in tracks)
    columns[DETAILS_CHECK] = [_details_check(row) for row in details]
    columns[DATA_CHECK] = [_data_check(t.id, vector, t.sequence) for t, vector in zip(tracks, vectors, strict=True)]
    return pa.table(columns, schema=table_schema)


def tracks_of(table: pa.Table) -> Iterator[IndexedTrack]:
    """The tracks of whole rows.

    Raises:
        DamagedIndexError: a row is not what was written.
    """
    for details, vector, record, check in zip(
        details_of(table), _vectors(table), records_of(table), table[DATA_CHECK].to_pylist(), strict=True
    ):
        if _data_check(details["id"], vector, record) != check:
            raise DamagedIndexError(f"vector or sequence of track {details['id']!r} are not what was written")
        yield IndexedTrack(**details, vector=vector.astype(np.float32), sequence=record)


def records_of(table: pa.Table) -> Iterator[bytes]:
    """The sequences of rows, whole."""
    for sketch, rest in zip(table["sketch"], table["sequence"], strict=True):
        yield (sketch.as_py() or b"") + (rest.as_py() or b"")


def details_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The details of rows, one dictionary a row.

    Raises:
        DamagedIndexError: a row is not what was written.
    """
    for row in table.select([*DETAILS, DETAILS_CHECK]).to_pylist():
        check = row.pop(DETAILS_CHECK)
        row["tags"] = tuple(row["tags"] or ())
        if _details_check(row) != check:
            raise DamagedIndexError(f"the details of track {row['id']!r} are not what was written")
        yield row


def _vectors(table: pa.Table) -> np.ndarray:
    """(N, D) float16."""
    column = table["vector"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(table), column.type.list_size)


def _details_check(details: dict[str, Any]) -> int:
    return crc32(json.dumps([details[name] for name in DETAILS]).encode())


def _data_check(track_id: str, vector: np.ndarray, sequence: bytes) -> int:
    """The id is part of it, so that no row passes for another."""
    return crc32(sequence, crc32(vector.tobytes(), crc32(track_id.encode())))
