"""A folder's new and changed files, read by many processes, encoded by one, and written to an index in batches."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from evaluation_collap.timeline import clock

from ..library import Failure
from .reading import FileReader, ReadFile
from .report import IndexReport
from .store import IndexedTrack
from .track_index import CompressedTrack, TrackIndex, row_of
from .walk import FolderChanges
from .workers import CallError, call_in_parallel

# A commit comes when either is reached: a run that is cut short has lost no more than that.
_TRACKS_PER_COMMIT = 256
_SECONDS_PER_COMMIT = 30.0
# Headers round, and encoders pad: a file is short if it lacks more than this share and more than a second.
_SHORT = 0.05

Read = Callable[[Path], ReadFile]


def index_files(
    index: TrackIndex,
    changes: FolderChanges,
    *,
    prune: bool = False,
    seconds: float = 120.0,
    workers: int | None = None,
    read: Read | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> IndexReport:
    """Bring an index up to date with a folder.

    What is written is whole: whenever this ends, or is ended, the index holds complete tracks only, and the next run
    goes on with what is missing. A file whose content the index knows, from another place or time, is not read again. A
    track whose file can no longer be read stays as it was.

    Args:
        prune: remove tracks whose file is gone.
        seconds: the longest that reading one file may take.
        workers: processes that read; by default one for each processor core.
        read: what they do with a file; by default `FileReader`.
        on_file: called for each file that is done with.

    Returns:
        What became of the files; those that cannot be read are listed there.

    Raises:
        ImportError: FFmpeg's libraries are missing.
    """
    known = {row["content_hash"]: row["id"] for row in index.store.records(columns=["id", "content_hash"])}
    extractor = index.processor.feature_extractor
    read = read or FileReader(extractor, frozenset(known))
    report = IndexReport.of(changes)
    batch: list[IndexedTrack] = []
    last_commit = time.monotonic()
    outcomes = call_in_parallel(read, changes.waiting, seconds=seconds, workers=workers or os.cpu_count() or 1)
    for path, outcome in outcomes:
        track_id = changes.waiting[path]
        try:
            if isinstance(outcome, CallError):
                raise outcome
            encoded = _encoded_before(index, known, outcome)
            reused = encoded is not None
            if encoded is None:
                if outcome.inputs is None:  # its twin was overwritten in this very run; the file itself is sound
                    outcome = FileReader(extractor)(path)
                encoded = outcome.duration, index.encode(outcome.inputs or {})
            batch.append(row_of(track_id, str(path), outcome, *encoded))
        except (CallError, ValueError) as error:
            report.failures.append(Failure(track_id, str(error)))
        else:
            (report.changed if track_id in changes.changed else report.added).append(track_id)
            if reused:
                report.reused.append(track_id)
            if shortfall := _shortfall(outcome):
                report.short.append(Failure(track_id, shortfall))
        on_file()
        if len(batch) >= _TRACKS_PER_COMMIT or (batch and time.monotonic() - last_commit > _SECONDS_PER_COMMIT):
            index.write(batch)
            batch, last_commit = [], time.monotonic()
    if batch:
        index.write(batch)
    settle(index, changes, report, prune)
    return report


def settle(index: TrackIndex, changes: FolderChanges, report: IndexReport, prune: bool) -> None:
    """What remains to be done when all files are in the index: tracks whose file is gone, the table, the report."""
    if prune and changes.gone:
        index.remove(changes.gone)
    (report.removed if prune else report.gone).extend(changes.gone)
    if report.changes:
        index.store.optimize()
    report.sort()


def _encoded_before(
    index: TrackIndex, known: Mapping[str, str], read: ReadFile
) -> tuple[float, CompressedTrack] | None:
    """Duration and encoding of the track that has the file's content; None if none does, or does any longer."""
    if read.inputs is not None:
        return None
    try:
        track = index.store.fetch([known[read.content_hash]])[0]
    except KeyError:  # another process has removed it
        return None
    if track.content_hash != read.content_hash:
        return None
    return track.duration, CompressedTrack(track.vector, track.sequence, track.steps)


def _shortfall(read: ReadFile) -> str | None:
    stated = read.metadata.duration
    if read.inputs is None or stated is None or stated - read.duration < max(1.0, _SHORT * stated):
        return None
    return f"it decodes to {clock(read.duration)} of the {clock(stated)} that its header states"
