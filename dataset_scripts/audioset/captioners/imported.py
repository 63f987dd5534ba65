"""Captions that exist already: a table of ids and texts, such as FUTGA's authors give."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from .base import Captioner, Refusal, Track


@dataclass
class ImportedCaptions(Captioner):
    """Looks descriptions up by id in a file of JSON lines, CSV with a header, or parquet."""

    source: ClassVar[str] = "imported"
    listens: ClassVar[bool] = False

    file: Path
    model: str
    """What wrote the captions."""
    id_column: str = "id"
    text_column: str = "caption"

    @property
    def writer(self) -> str:
        return self.model

    def settings(self) -> dict[str, Any]:
        with self.file.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return super().settings() | {"file": digest}

    def check(self) -> None:
        if not self.model:
            raise ValueError("caption.model must say what wrote the imported captions")
        if not self.file.is_file():
            raise FileNotFoundError(f"caption.file: there is no file {self.file}")
        if not self._read():
            raise ValueError(f"{self.file} holds no caption")

    def start(self) -> None:
        self._captions = self._read()

    def describe(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        missing = Refusal(f"no caption: {self.file.name} has none for it")
        return [self._captions.get(track.id, missing) for track in tracks]

    def _read(self) -> dict[str, str]:
        """Texts by id; ids without a text are left out, as if the file did not name them."""
        captions: dict[str, str] = {}
        for row, (track, text) in enumerate(self._rows(), 1):
            where = f"{self.file}, row {row}"
            if not isinstance(track, str) or not track:
                raise ValueError(f"{where}: {self.id_column} must be text, not {track!r}")
            if not isinstance(text, str | None):
                raise ValueError(f"{where}: {self.text_column} must be text, not {text!r}")
            if not text or not text.strip():
                continue
            if captions.setdefault(track, text) != text:
                raise ValueError(f"{where}: a second caption for {track}")
        return captions

    def _rows(self) -> Iterator[tuple[Any, Any]]:
        """Id and text of each row, as they stand in the file."""
        kind = self.file.suffix.lower()
        if kind == ".parquet":
            yield from self._parquet()
        elif kind == ".csv":
            with self.file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream, strict=True)
                self._demand(reader.fieldnames or [])
                yield from ((row[self.id_column], row[self.text_column]) for row in self._parsed(reader))
        elif kind == ".jsonl":
            with self.file.open(encoding="utf-8") as stream:
                for row in self._parsed(json.loads(line) for line in stream if line.strip()):
                    self._demand(row if isinstance(row, Mapping) else [])
                    yield row[self.id_column], row[self.text_column]
        else:
            raise ValueError(f"caption.file must end in .jsonl, .csv or .parquet, not {self.file.name!r}")

    def _parquet(self) -> Iterator[tuple[Any, Any]]:
        try:
            file = pq.ParquetFile(self.file)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.file} is no parquet file: {error}") from None
        self._demand(file.schema_arrow.names)
        for batch in file.iter_batches(columns=[self.id_column, self.text_column]):
            yield from zip(batch[self.id_column].to_pylist(), batch[self.text_column].to_pylist(), strict=True)

    def _demand(self, columns: Iterable[str]) -> None:
        there = list(columns)
        for column in (self.id_column, self.text_column):
            if column not in there:
                raise ValueError(f"{self.file} has no column {column!r} (it has {', '.join(there) or 'none'})")

    def _parsed(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows; what cannot be read is told with its place."""
        for number in count(1):
            try:
                row = next(rows)
            except StopIteration:
                return
            except (csv.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.file}, row {number}: {error}") from None
            yield row
