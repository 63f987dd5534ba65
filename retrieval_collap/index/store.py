"""The table of an index: one row a track, versioned, every change one atomic commit."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

import lance
import numpy as np
import pyarrow as pa

from . import staging
from .rows import (
    DETAILS,
    DETAILS_CHECK,
    DamagedIndexError,
    IndexedTrack,
    check_track,
    details_of,
    schema,
    table_of,
    tracks_of,
)
from .settings import IndexSettings
from .staging import one_of

_METADATA_KEY = b"collap_index"
_LANCE_FOLDERS = {"data", "_versions", "_transactions", "_indices", "_deletions"}
_SIGNS_OF_A_BAD_FILTER = ("Invalid user input", "Error applying filter")
# Files of fewer rows are joined. At 150 KB a row such a file has 75 MB: few for a large table, and little to rewrite.
_ROWS_PER_FILE = 512
_ROWS_IN_MEMORY = 64
# With fewer rows, looking at every vector takes less time than what else a search does, and misses none.
_ROWS_TO_INDEX = 100_000
_ROWS_PER_PARTITION = 512
_PARTITIONS_LOOKED_AT = 32
# The index is built anew when it should have this many times its partitions.
_OUTGROWN = 2
_ID_INDEX, _VECTOR_INDEX = "track_ids", "track_vectors"
# What `nearest` asks for beyond `count`, to see all tracks that tie with the last one.
_SPARE = 16
_SKETCHES_AT_ONCE = 512  # 13 MB of them at 5 minutes a track
_CACHE_BYTES = 128 * 2**20  # each of two caches


class BadFilterError(ValueError):
    """A filter that is no SQL, or names what no track has."""


class Near(NamedTuple):
    """A track that `TrackStore.nearest` found, its cosine with what was looked for, and its row in this version."""

    id: str
    cosine: float
    row: int


class TrackStore:
    """Tracks of an index in a Lance table, in a local folder or an object store.

    A store reads the version it was opened at, whatever other processes write meanwhile; `refresh` moves it to the
    newest one, and so does writing to it. Every change is one commit: after a crash, the last whole one is there.
    """

    def __init__(self, dataset: lance.LanceDataset, uri: str, settings: IndexSettings):
        self._dataset = dataset
        self.uri = uri
        self.settings = settings
        self._codec = settings.codec()

    @classmethod
    def create(
        cls,
        uri: str | PathLike[str],
        settings: IndexSettings,
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """A new table without tracks.

        Raises:
            FileExistsError: there is an index already, or the folder holds other things.
            OSError: the place cannot be written to.
        """
        uri = _location(uri)
        if _holds_other_things(uri):
            raise FileExistsError(f"the folder {uri} holds other things than an index")
        table_schema = schema(settings.dim, {_METADATA_KEY.decode(): settings.to_json()})
        try:
            lance.write_dataset(table_schema.empty_table(), uri, storage_options=dict(storage_options or {}))
        except OSError as error:
            if "already exists" in str(error):
                raise FileExistsError(f"there is an index in {uri} already") from error
            raise OSError(f"no index can be created in {uri}: {_cause(error)}") from error
        return cls.open(uri, storage_options=storage_options)

    @classmethod
    def open(cls, uri: str | PathLike[str], *, storage_options: Mapping[str, str] | None = None) -> Self:
        """The newest version of a table.

        Raises:
            FileNotFoundError: there is no index.
            DamagedIndexError: its files cannot be read.
            ValueError: it is a Lance table, but no index.
        """
        uri = _location(uri)
        try:
            with _reading(uri):
                dataset = lance.dataset(
                    uri,
                    storage_options=dict(storage_options or {}),
                    index_cache_size_bytes=_CACHE_BYTES,
                    metadata_cache_size_bytes=_CACHE_BYTES,
                )
                metadata = dataset.schema.metadata or {}
        except DamagedIndexError as error:
            if "Dataset at path" in str(error):
                raise FileNotFoundError(f"there is no index in {uri}") from error
            raise
        if _METADATA_KEY not in metadata:
            raise ValueError(f"{uri} is a table, but no track index")
        return cls(dataset, uri, IndexSettings.from_json(metadata[_METADATA_KEY].decode()))

    @property
    def version(self) -> int:
        """Of the table, as this store sees it; each commit counts it up."""
        return self._dataset.version

    def __len__(self) -> int:
        with _reading(self.uri):
            return self._dataset.count_rows()

    def refresh(self) -> None:
        """Move to the newest version."""
        with _reading(self.uri):
            self._dataset.checkout_latest()

    def write(self, tracks: Sequence[IndexedTrack]) -> None:
        """Insert tracks, or replace those of the same id, in one commit that touches only them.

        Raises:
            ValueError: an id occurs twice, a vector is not (D,) of unit length, or a sequence does not hold `steps`.
            OSError: the table cannot be written; it is then as it was.
        """
        if not tracks:
            return
        table = self._table(tracks)
        with self._changing():
            merge = self._dataset.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(table)

    def stage(self, tracks: Sequence[IndexedTrack]) -> list[str]:
        """Write tracks to files of the table in which nobody sees them; returns what `commit` takes, in any process.

        Raises:
            ValueError, OSError: as `write`.
        """
        if not tracks:
            return []
        table = self._table(tracks)
        with self._changing():
            return staging.stage(self._dataset, table)

    def commit(self, staged: Sequence[str], ids: Collection[str]) -> None:
        """Insert staged tracks, which have these ids, or replace those of the same id, in one commit.

        Raises:
            OSError: the table cannot be written; it is then as it was.
        """
        if not staged:
            return
        with self._changing():
            staging.commit(self._dataset, staged, ids)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove tracks in one commit; ids that are not there count for nothing.

        Returns:
            How many were removed.

        Raises:
            OSError: the table cannot be written; it is then as it was.
        """
        wanted = list(ids)
        if not wanted:
            return 0
        known = one_of(wanted)
        with self._changing():
            if not self._dataset.count_rows(known):
                return 0  # without an empty commit
            return self._dataset.delete(known)["num_deleted_rows"]

    def nearest(self, vector: np.ndarray, count: int, where: str | None = None) -> list[Near]:
        """The tracks whose vectors have the largest cosine with a vector (D,), best first, ties by id.

        Exact until `optimize` has built an index of the vectors; with that, nearly exact. Tracks written after it are
        found exactly.

        Args:
            count: of tracks; fewer where the table or the filter has fewer.
            where: an SQL filter, as `duration > 120 AND array_has(tags, 'piano')`.

        Raises:
            ValueError: the filter cannot be read, or the vector is not (D,) with a direction.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        query = np.asarray(vector, np.float32)
        norm = float(np.linalg.norm(query))
        if query.shape != (self.settings.dim,) or not 0 < norm < np.inf:
            raise ValueError(f"a vector to search by must be ({self.settings.dim},) with a direction")
        query = query / norm
        asked = count + _SPARE
        while True:
            found = self._nearest(query, asked, where)
            # Ties with the last one wanted may go on behind the last one found.
            if len(found) < asked or found[-1].cosine < found[count - 1].cosine:
                return sorted(found, key=lambda near: (-near.cosine, near.id))[:count]
            asked *= 2

    def fetch(self, ids: Sequence[str]) -> list[IndexedTrack]:
        """Whole rows in the order asked, checked against the checksums they were written with.

        Raises:
            KeyError: there is no such track.
            DamagedIndexError: a row is not what was written.
        """
        if not ids:
            return []
        tracks = self._fetched(one_of(ids))
        if missing := [track_id for track_id in ids if track_id not in tracks]:
            raise KeyError(f"the index holds no track {missing[0]!r}")
        return [tracks[track_id] for track_id in ids]

    def fetch_found(self, found: Sequence[Near]) -> list[IndexedTrack]:
        """`fetch` of tracks that `nearest` found in this version, whose rows need not be looked for."""
        tracks = self._fetched(_rows(near.row for near in found)) if found else {}
        return [tracks[near.id] for near in found]

    def sketches(self, found: Sequence[Near]) -> Iterator[tuple[list[str], list[bytes]]]:
        """Ids and sketches of tracks that `nearest` found in this version, some at a time, in the order of the table.

        Checksums are not looked at: what is found by sketches is to be fetched.

        Raises:
            DamagedIndexError: the table cannot be read.
        """
        ids = {near.row: near.id for near in found}  # reading them again would take a quarter longer
        rows = sorted(ids)
        for first in range(0, len(rows), _SKETCHES_AT_ONCE):
            some = _rows(rows[first : first + _SKETCHES_AT_ONCE])
            table = self._scan(some, columns=["sketch"], with_row_id=True)
            with _reading(self.uri):
                numbers, sketches = table["_rowid"].to_pylist(), table["sketch"].to_pylist()
            yield [ids[number] for number in numbers], sketches

    def records(self, where: str | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Rows without vectors and sequences, ordered by id, as one dictionary a row.

        Args:
            where: an SQL filter, as in `nearest`.
            columns: names of fields of `IndexedTrack`; by default all but the vector and the sequence.

        Raises:
            ValueError: the filter cannot be read, or there is no such column.
            DamagedIndexError: a row is not what was written.
        """
        wanted = DETAILS if columns is None else columns
        if unknown := set(wanted) - set(DETAILS):
            raise ValueError(f"a record has no {min(unknown)!r}; it has {', '.join(DETAILS)}")
        table = self._scan(where, columns=[*DETAILS, DETAILS_CHECK])
        with _reading(self.uri):
            rows = sorted(details_of(table), key=lambda row: row["id"])
        return [{name: row[name] for name in wanted} for row in rows]

    def optimize(self, keep: timedelta = timedelta(minutes=10)) -> None:
        """Build or extend the index of the vectors, join small files, and remove what no version needs.

        Args:
            keep: how long a version stays readable after a newer one replaced it; readers that refresh more often
                than that are never disturbed.

        Raises:
            OSError: the table cannot be written; it is then as it was.
        """
        with self._changing():
            self._dataset.optimize.compact_files(
                target_rows_per_fragment=_ROWS_PER_FILE, batch_size=_ROWS_IN_MEMORY, num_threads=1
            )
            self._index()
            versions: list[Any] = self._dataset.versions()
            limit = datetime.now() - keep
            replaced = [old["version"] for old, new in pairwise(versions) if new["timestamp"] <= limit]
            if replaced:
                self._dataset.cleanup_old_versions(versions=replaced)

    def _table(self, tracks: Sequence[IndexedTrack]) -> pa.Table:
        """
        Raises:
            ValueError: a track cannot be kept as it is, or an id occurs twice.
        """
        seen = set()
        for track in tracks:
            check_track(track, self.settings.dim)
            if self._codec.steps(track.sequence) != track.steps:
                raise ValueError(f"the sequence of track {track.id!r} does not hold {track.steps} steps")
            if track.id in seen:
                raise ValueError(f"the track {track.id!r} occurs twice in one write")
            seen.add(track.id)
        return table_of(tracks, self._dataset.schema, self._codec)

    def _fetched(self, which: str) -> dict[str, IndexedTrack]:
        """The tracks of a filter, by id."""
        with _reading(self.uri):
            table = self._dataset.scanner(filter=which, late_materialization=True).to_table()
            return {track.id: track for track in tracks_of(table)}

    def _nearest(self, query: np.ndarray, count: int, where: str | None) -> list[Near]:
        nearest = {
            "column": "vector",
            "q": query,
            "k": count,
            "metric": "cosine",
            "minimum_nprobes": _PARTITIONS_LOOKED_AT,
        }
        table = self._scan(where, columns=["id", "_distance"], nearest=nearest, prefilter=True, with_row_id=True)
        with _reading(self.uri):
            columns = (table[name].to_pylist() for name in ("id", "_distance", "_rowid"))
            return [Near(track_id, 1 - distance, row) for track_id, distance, row in zip(*columns, strict=True)]

    def _scan(self, where: str | None, **options: Any) -> pa.Table:
        with _reading(self.uri), _asking(where):
            return self._dataset.scanner(filter=where, **options).to_table()

    def _index(self) -> None:
        """Build the indices of ids and of vectors, or bring new tracks into them."""
        rows = self._dataset.count_rows()
        if rows < _ROWS_TO_INDEX:
            return
        built = {index.name for index in self._dataset.describe_indices()}
        if _ID_INDEX not in built:
            self._dataset.create_scalar_index("id", "BTREE", name=_ID_INDEX)
        partitions = math.ceil(rows / _ROWS_PER_PARTITION)
        if _VECTOR_INDEX not in built or partitions > _OUTGROWN * self._partitions():
            self._dataset.create_index(
                "vector", "IVF_FLAT", name=_VECTOR_INDEX, metric="cosine", num_partitions=partitions, replace=True
            )
        self._dataset.optimize.optimize_indices()

    def _partitions(self) -> int:
        return self._dataset.index_statistics(_VECTOR_INDEX)["indices"][0]["num_partitions"]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Start from the newest version; what goes wrong leaves it as it is."""
        self.refresh()
        try:
            yield
        except Exception as error:
            raise OSError(f"the index {self.uri} could not be written, and is as it was: {_cause(error)}") from error


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """Whatever goes wrong between a sound call and its answer is damage, under one name."""
    try:
        yield
    except BadFilterError:
        raise
    except DamagedIndexError as error:
        raise DamagedIndexError(f"the index {uri} is damaged: {error}") from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of Rust
            raise
        raise DamagedIndexError(
            f"the index {uri} cannot be read, its files are damaged or missing: {_cause(error)}"
        ) from error


@contextmanager
def _asking(where: str | None) -> Iterator[None]:
    """Tells a filter that cannot be read from files that cannot."""
    try:
        yield
    except ValueError as error:
        if where is not None and any(sign in str(error) for sign in _SIGNS_OF_A_BAD_FILTER):
            cause = re.split(r" Valid fields are|\n", _cause(error))[0].rstrip(".")
            names = ", ".join(DETAILS)
            raise BadFilterError(f"the filter {where!r} cannot be used: {cause}. It may name {names}.") from error
        raise


def _rows(numbers: Iterable[int]) -> str:
    """A filter for these rows of a version."""
    return f"_rowid IN ({', '.join(map(str, numbers))})"


def _location(uri: str | PathLike[str]) -> str:
    text = str(uri)
    return text if "://" in text else str(Path(text).expanduser().absolute())


def _holds_other_things(uri: str) -> bool:
    folder = Path(uri)
    return "://" not in uri and folder.exists() and not {entry.name for entry in folder.iterdir()} <= _LANCE_FOLDERS


def _cause(error: BaseException) -> str:
    """What an error of Lance says, without the kinds of error before it and the places in the source behind it."""
    text = re.sub(r",? /?\S*\.rs:\d+:\d+.*", "", str(error), flags=re.DOTALL)
    return re.sub(r"^(\w+ (\w+ )*error: |Invalid user input: |LanceError\(\w+\): )+", "", text).strip()
