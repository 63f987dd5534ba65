"""The ledger: what fell out of every stage, and why."""

import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from ..whole_files import whole_file
from .blocks import StageFolder
from .stage import LEDGER_SCHEMA


def write_ledger(path: Path, folders: list[StageFolder]) -> None:
    """All entries of finished stages in one parquet file, in the order of stages and items."""
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, LEDGER_SCHEMA, compression="zstd") as writer:
        for folder in folders:
            for file in folder.ledger_files():
                writer.write_table(pq.read_table(file))


def kinds_of_reasons(folder: StageFolder) -> Counter[str]:
    """How many items fell out of a finished stage for each kind of reason, see `Dropped`."""
    kinds: Counter[str] = Counter()
    for file in folder.ledger_files():
        kinds.update(re.split(r": | \(", reason)[0] for reason in pq.read_table(file)["reason"].to_pylist())
    return kinds
