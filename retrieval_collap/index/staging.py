"""Rows that many processes write beside a table, and that one of them makes part of it."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress

import lance
import pyarrow as pa
from lance.commit import CommitConflictError
from lance.fragment import FragmentMetadata, write_fragments

# The upper half of a row's address is the number of its fragment.
_FRAGMENT_BITS = 32


def stage(dataset: lance.LanceDataset, table: pa.Table) -> list[str]:
    """Write rows to new files of a table, in which nobody sees them; returns what `commit` takes.

    Files that are never committed cost their place alone; Lance's cleaning removes them when they are a week old.
    """
    version = dataset.data_storage_version
    return [json.dumps(part.to_json()) for part in write_fragments(table, dataset, data_storage_version=version)]


def commit(dataset: lance.LanceDataset, staged: Sequence[str], ids: Collection[str]) -> None:
    """Put staged rows, which have these ids, in the place of those of the same ids, in one commit.

    Others may write to the table meanwhile. Where they changed the same files, the commit is begun anew. A track that
    they inserted and that is staged, too, is there twice until a second commit removes theirs.
    """
    new = [FragmentMetadata.from_json(part) for part in staged]
    own = {file.path for fragment in new for file in fragment.files}
    wanted = frozenset(ids)
    while True:
        kept, emptied = _without(dataset, wanted, own)
        if not (new or kept or emptied):
            return
        version, alone = dataset.version, False
        change = lance.LanceOperation.Update(emptied, kept, new)
        with suppress(CommitConflictError):
            changed = lance.LanceDataset.commit(dataset, change, read_version=version)
            new, alone = [], changed.version == version + 1
        dataset.checkout_latest()
        if alone:
            return


def _without(
    dataset: lance.LanceDataset, ids: frozenset[str], own: Collection[str]
) -> tuple[list[FragmentMetadata], list[int]]:
    """The fragments that hold these ids, less those rows, and the numbers of those that would be left empty.

    Args:
        own: data files of fragments that stay as they are.
    """
    found: defaultdict[int, list[str]] = defaultdict(list)
    for batch in dataset.scanner(columns=["id"], with_row_address=True).to_batches():
        for track_id, address in zip(batch["id"].to_pylist(), batch["_rowaddr"].to_pylist(), strict=True):
            if track_id in ids:
                found[address >> _FRAGMENT_BITS].append(track_id)
    kept, emptied = [], []
    for fragment in dataset.get_fragments():
        number = fragment.fragment_id
        there = found.get(number)
        if there is None or any(file.path in own for file in fragment.metadata.files):
            continue
        rest = fragment.delete(one_of(there))
        if rest is None:
            emptied.append(number)
        else:
            kept.append(rest)
    return kept, emptied


def one_of(ids: Collection[str]) -> str:
    """The filter of these ids."""
    quoted = ("'" + track_id.replace("'", "''") + "'" for track_id in dict.fromkeys(ids))
    return f"id IN ({', '.join(quoted)})"
