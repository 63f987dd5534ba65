"""A stage's folder: what it was begun with, its finished blocks, and what they come to.

    WORK/STAGE/stage.json            settings and input; another configuration is refused
    WORK/STAGE/ledger/00012.parquet  what fell out of block 12
    WORK/STAGE/rows/00012.parquet    what came through; there once the block is finished
    WORK/STAGE/done.json             there once all blocks are

Every file is there as a whole or not at all, and its bytes follow from the settings and the input alone.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ..whole_files import whole_file
from .stage import LEDGER_SCHEMA, ROW_SCHEMA, Outcome, Row


class Slice(NamedTuple):
    """Some rows of a file."""

    path: str
    start: int
    stop: int


class Done(NamedTuple):
    """What a finished stage comes to."""

    blocks: int
    kept: int
    dropped: int
    digest: str  # of the rows: the next stage's input


@dataclass(frozen=True)
class StageFolder:
    """The files of one stage in the work folder; see the module."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def rows_file(self, block: int) -> Path:
        return self.path / "rows" / f"{block:05d}.parquet"

    def ledger_file(self, block: int) -> Path:
        return self.path / "ledger" / f"{block:05d}.parquet"

    # --- what it was begun with ---------------------------------------------------------------------------------------

    def claim(self, wanted: dict[str, Any]) -> None:
        """Note what the stage is begun with, or compare it with what is noted; tidy up after a run that was killed.

        Raises:
            ValueError: the folder was begun with something else.
        """
        noted = self.path / "stage.json"
        wanted = json.loads(json.dumps(wanted, default=str))  # paths
        if noted.exists():
            _refuse_others(self.path, json.loads(noted.read_text(encoding="utf-8")), wanted)
        for folder in (self.path, self.path / "rows", self.path / "ledger"):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
        if not noted.exists():
            _write_json(noted, wanted)

    # --- blocks -------------------------------------------------------------------------------------------------------

    def is_finished(self, block: int) -> bool:
        return self.rows_file(block).exists()

    def write(self, block: int, outcome: Outcome) -> None:
        """Both files of a block, the rows last: they say that the block is finished.

        Raises:
            ValueError: a row has a column that the schema has not, or a value of the wrong type.
        """
        for row in outcome.kept:
            if unknown := row.keys() - set(ROW_SCHEMA.names):
                raise ValueError(f"item {row.get('id')}: rows have no column {sorted(unknown)[0]!r}")
        ledger = [{"id": item.id, "stage": item.stage, "reason": item.reason} for item in outcome.dropped]
        for path, rows, schema in (
            (self.ledger_file(block), ledger, LEDGER_SCHEMA),
            (self.rows_file(block), outcome.kept, ROW_SCHEMA),
        ):
            with whole_file(path) as temporary:
                pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")

    def files(self) -> list[Path]:
        """Of the rows, in order.

        Raises:
            FileNotFoundError: the stage is not finished.
        """
        return [self.rows_file(block) for block in range(self._finished().blocks)]

    def ledger_files(self) -> list[Path]:
        """Of what fell out; as `files`."""
        return [self.ledger_file(block) for block in range(self._finished().blocks)]

    def cut(self, size: int) -> list[list[Slice]]:
        """The rows in blocks of `size`, the last of what is left; each is put together from slices of files."""
        cuts: list[list[Slice]] = [[]]
        room = size
        for path in self.files():
            start, count = 0, pq.read_metadata(path).num_rows
            while start < count:
                if room == 0:
                    cuts.append([])
                    room = size
                taken = min(room, count - start)
                cuts[-1].append(Slice(str(path), start, start + taken))
                start, room = start + taken, room - taken
        return [cut for cut in cuts if cut]

    # --- the whole ----------------------------------------------------------------------------------------------------

    def done(self) -> Done | None:
        """What the stage comes to; None while it is not finished."""
        path = self.path / "done.json"
        return Done(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def _finished(self) -> Done:
        done = self.done()
        if done is None:
            raise FileNotFoundError(f"{self.path} holds no finished stage {self.name}: run it first")
        return done

    def finish(self, blocks: int) -> Done:
        """Note that all blocks are there."""
        digest = hashlib.sha256()
        kept = dropped = 0
        for block in range(blocks):
            digest.update(hashlib.sha256(self.rows_file(block).read_bytes()).digest())
            kept += pq.read_metadata(self.rows_file(block)).num_rows
            dropped += pq.read_metadata(self.ledger_file(block)).num_rows
        return self.note(Done(blocks, kept, dropped, digest.hexdigest()))

    def note(self, done: Done) -> Done:
        """Finish a stage whose rows are not here."""
        _write_json(self.path / "done.json", done._asdict())
        return done


def read_slices(slices: list[Slice]) -> list[Row]:
    """The rows of a cut."""
    tables = [pq.read_table(piece.path).slice(piece.start, piece.stop - piece.start) for piece in slices]
    return pa.concat_tables(tables).to_pylist()


def _write_json(path: Path, value: Any) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _refuse_others(path: Path, noted: dict[str, Any], wanted: dict[str, Any]) -> None:
    found, asked = _flat(noted), _flat(wanted)
    changed = [key for key in sorted(found.keys() | asked.keys()) if found.get(key) != asked.get(key)]
    if changed:
        difference = ", ".join(f"{key}: {found.get(key)!r} there, {asked.get(key)!r} now" for key in changed)
        raise ValueError(
            f"{path} was begun with something else ({difference}); remove it and the folders of the stages after it, "
            "or choose another work folder"
        )


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    settings = {f"{key}": setting for key, setting in value.get("settings", {}).items()}
    return settings | {key: entry for key, entry in value.items() if key != "settings"}
