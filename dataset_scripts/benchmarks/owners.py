"""The files that the owners of a benchmark publish: found and read, or said to be missing and where they are."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A benchmark and the place where its owner publishes it.

    Args:
        title: of the benchmark.
        page: what to open, and what to take there.
    """

    title: str
    page: str

    def missing(self, what: str) -> FileNotFoundError:
        """The error that names what is not there and where it is to be had."""
        return FileNotFoundError(f"{self.title}: {what}; its owner publishes it at {self.page}.")

    def find(self, folder: Path, *names: str) -> Path:
        """The first of the files or folders `names` that is in `folder`.

        Raises:
            FileNotFoundError: there is no such folder, or none of them in it.
        """
        if not folder.is_dir():
            raise self.missing(f"there is no folder {folder}")
        found = next((folder / name for name in names if (folder / name).exists()), None)
        if found is None:
            raise self.missing(f"{folder} holds no {' or '.join(names)}")
        return found

    def table(self, path: Path, columns: Sequence[str], *, delimiter: str = ",") -> list[dict[str, str]]:
        """The rows of a table with a header.

        Raises:
            ValueError: it lacks a column or rows, or is not UTF-8.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, delimiter=delimiter)
                header, rows = reader.fieldnames or [], list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is not the table of {self.title}: {error}.") from error
        if lacking := [name for name in columns if name not in header]:
            raise ValueError(f"{path} is not the table of {self.title}: it has no column {lacking[0]}.")
        for number, row in enumerate(rows, start=2):
            if cut := [name for name in columns if row[name] is None]:
                raise ValueError(f"{path} is cut off: row {number} has no {cut[0]}.")
        if not rows:
            raise ValueError(f"{path} has no rows.")
        return rows

    def numbers(self, path: Path, rows: Sequence[dict[str, str]], column: str) -> Iterator[float]:
        """A column of `table` as numbers.

        Raises:
            ValueError: one of them is none.
        """
        for number, row in enumerate(rows, start=2):
            try:
                yield float(row[column])
            except ValueError as error:
                raise ValueError(f"row {number} of {path}: {column} is {row[column]!r}, which is no number.") from error
