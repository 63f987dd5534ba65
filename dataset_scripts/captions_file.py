"""Files that people write by hand to say what their recordings are: CSV, or JSON lines."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_captions_file(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[Any, Any]]]:
    """The rows of a file, each with its number as spreadsheets and editors count.

    A CSV row with more fields than columns has the rest of them under the key `None`.

    Args:
        path: CSV with a header, or JSON lines where the name ends in `.jsonl`; both in UTF-8.
        columns: what every row must have.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in UTF-8, not in its format, or lacks a column.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of captions {path}")
    try:
        return _json_lines(path, columns) if path.suffix == ".jsonl" else _csv(path, columns)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: {error}") from error


def _csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[Any, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header, rows = reader.fieldnames or [], list(reader)
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if missing := [name for name in columns if name not in header]:
        raise ValueError(
            f"{path} lacks the column {missing[0]}: its first line must name the columns {' and '.join(columns)}, "
            f"separated by commas, but reads {','.join(header)!r}."
        )
    return list(enumerate(rows, start=2))  # the header is the first row


def _json_lines(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[Any, Any]]]:
    rows: list[tuple[int, dict[Any, Any]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"row {number} of {path} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"row {number} of {path} is no JSON object with fields of its own.")
        if missing := [name for name in columns if name not in row]:
            raise ValueError(f"row {number} of {path} lacks the field {missing[0]}; it has {', '.join(row)}.")
        rows.append((number, row))
    return rows
