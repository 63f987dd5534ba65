"""The words inside files that are not text: the headers of weights, the metadata and columns of tables."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

Words = Iterator[tuple[str, str]]
"""Where, as "row 3, column caption", and what is written there."""


def words_of_safetensors(path: Path) -> Words:
    """Names of tensors, and what the program that wrote them said of them."""
    with safe_open(path, framework="numpy") as file:
        yield "metadata", json.dumps(file.metadata() or {})
        yield "names of tensors", "\n".join(file.keys())


def words_of_parquet(path: Path) -> Words:
    """Metadata of the file and its columns, and every column of text, those inside lists and structs too."""
    with pq.ParquetFile(path) as file:
        yield "metadata", _metadata(file.schema_arrow.metadata)
        for field in file.schema_arrow:
            yield f"metadata of column {field.name}", _metadata(field.metadata)
        columns = [
            file.schema.column(i).path
            for i in range(len(file.schema))
            if file.schema.column(i).logical_type.type in ("STRING", "JSON", "ENUM")
        ]
        for name in columns:  # one at a time: the audio beside them is never read
            first = 0
            for batch in file.iter_batches(columns=[name]):
                yield from _words_of(batch.column(0), name, first)
                first += batch.num_rows


def words_of_lance(folder: Path) -> Words:
    """As `words_of_parquet`, of the newest version of a Lance table."""
    import lance

    table = lance.dataset(str(folder))
    yield "metadata", _metadata(table.schema.metadata)
    for field in table.schema:
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_list(field.type):
            first = 0
            for batch in table.to_batches(columns=[field.name]):
                yield from _words_of(batch.column(0), field.name, first)
                first += batch.num_rows


def _words_of(column: pa.Array, name: str, first: int) -> Words:
    for row, value in enumerate(column.to_pylist()):
        for text in _texts(value):
            yield f"row {first + row}, column {name}", text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _metadata(metadata: dict[bytes, bytes] | None) -> str:
    known = {key: value for key, value in (metadata or {}).items() if key != b"ARROW:schema"}
    return "\n".join(f"{key.decode(errors='replace')} {value.decode(errors='replace')}" for key, value in known.items())
