"""Stage `duplicates`: one row for each recording, however often and in whatever encoding it came.

1. Of every fingerprint a sketch is kept: the `SKETCH` words with the smallest hashes (bottom-k, Broder 1997). Encodings
   of one recording have many words in common, and so some of their sketches; other recordings have next to none.
2. Pairs that share at least `SHARED` words of their sketches are compared in full: at the offset at which most words
   agree, the share of bits that differ in the overlap. Over six recordings as MP3 at 64 kbit/s, Opus at 48, at 22 kHz,
   8 dB quieter and without their first second it was at most 0.08, and between recordings at least 0.42.
3. What is the same as a row before it falls out, along chains too.

Memory holds sketches, `4 * SKETCH` bytes a row; fingerprints are read again from disk, block by block.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from .stage import Outcome, Row, WholeStage

SKETCH = 32
SHARED = 2
_CROWD = 50  # a word in more sketches than this is an idiom of many songs and tells nothing
_BLOCKS_HELD = 8
_OFFSET_WORDS = 12  # bits that a word is aligned by: the top ones are the most robust


@dataclass
class Duplicates(WholeStage):
    """Keeps the first row of each recording; the fingerprints end here."""

    name: ClassVar[str] = "duplicates"

    max_bit_error: float = 0.2
    """Share of differing bits up to which two fingerprints are of one recording."""
    min_overlap: float = 0.8
    """Share of the shorter one that has to agree: an excerpt is a duplicate, a common passage is none."""

    def check(self) -> None:
        if not 0 <= self.max_bit_error < 0.5:
            raise ValueError(f"duplicates.max_bit_error must lie from 0 to below 0.5, not {self.max_bit_error:g}")
        if not 0 < self.min_overlap <= 1:
            raise ValueError(f"duplicates.min_overlap must lie above 0 and up to 1, not {self.min_overlap:g}")

    def __call__(self, blocks: Sequence[list[Row]]) -> Iterator[Outcome]:
        sketches: list[np.ndarray] = []
        firsts = []  # of each block: the number of its first row
        for block in blocks:
            firsts.append(len(sketches))
            sketches += [sketch(_words(row)) for row in block]
        pairs = candidate_pairs(sketches)
        sketches.clear()
        same_as = self._resolve(pairs, _Fingerprints(blocks, firsts))
        leaders = set(same_as.values())
        names: dict[int, str] = {}
        for first, block in zip(firsts, blocks, strict=True):
            outcome = Outcome([])
            for number, row in enumerate(block, start=first):
                if number in leaders:
                    names[number] = row["id"]
                if number in same_as:
                    outcome.dropped.append(self.drop(row, f"duplicate: the recording of {names[same_as[number]]}"))
                else:
                    outcome.kept.append(row | {"fingerprint": None})
            yield outcome

    def _resolve(self, pairs: Iterable[tuple[int, int]], fingerprints: "_Fingerprints") -> dict[int, int]:
        """The first row with its recording, for every row that has one before it."""
        leader: dict[int, int] = {}

        def first(row: int) -> int:
            while row in leader:
                row = leader[row]
            return row

        for one, other in pairs:
            if first(one) != first(other) and self.same(fingerprints[one], fingerprints[other]):
                early, late = sorted((first(one), first(other)))
                leader[late] = early
        return {row: first(row) for row in leader}

    def same(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether two fingerprints, uint32 (L,) and (K,), are of one recording."""
        error, overlap = compare(one, other)
        return error <= self.max_bit_error and overlap >= self.min_overlap


def sketch(words: np.ndarray) -> np.ndarray:
    """The `SKETCH` smallest hashes of the words of a fingerprint, uint32, fewer where it has fewer words."""
    hashes = np.unique(words) * np.uint32(2654435761)  # Knuth's multiplicative hash
    hashes ^= hashes >> np.uint32(16)
    hashes *= np.uint32(0x85EBCA6B)
    return np.sort(hashes)[:SKETCH].copy()  # not a view, which would keep all of them


def candidate_pairs(sketches: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of rows whose sketches share `SHARED` words, in order."""
    if not sketches:
        return []
    words = np.concatenate(sketches)
    rows = np.repeat(np.arange(len(sketches), dtype=np.uint32), [len(words) for words in sketches])
    order = np.argsort(words, kind="stable")
    words, rows = words[order], rows[order]
    edges = np.flatnonzero(np.diff(words)) + 1
    shared: dict[tuple[int, int], int] = {}
    for start, stop in pairwise([0, *edges.tolist(), len(words)]):
        if 1 < stop - start <= _CROWD:
            group = rows[start:stop].tolist()
            for index, one in enumerate(group):
                for other in group[index + 1 :]:
                    shared[one, other] = shared.get((one, other), 0) + 1
    return sorted(pair for pair, count in shared.items() if count >= SHARED)


def compare(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Share of differing bits where two fingerprints overlap best, and the overlap as a share of the shorter one."""
    if not len(one) or not len(other):
        return 1.0, 0.0
    shift = np.uint32(32 - _OFFSET_WORDS)
    keys, positions = (other >> shift), np.arange(len(other))
    order = np.argsort(keys, kind="stable")
    keys, positions = keys[order], positions[order]
    low, high = np.searchsorted(keys, one >> shift, "left"), np.searchsorted(keys, one >> shift, "right")
    votes = np.zeros(len(one) + len(other), np.int64)
    for index in np.flatnonzero((high > low) & (high - low <= _CROWD)):
        votes[index - positions[low[index] : high[index]] + len(other)] += 1
    offset = int(votes.argmax()) - len(other)  # of `other` within `one`
    start, stop = max(offset, 0), min(len(one), len(other) + offset)
    if stop <= start:
        return 1.0, 0.0
    differing = np.bitwise_count(one[start:stop] ^ other[start - offset : stop - offset])
    return float(differing.mean()) / 32, (stop - start) / min(len(one), len(other))


def _words(row: Row) -> np.ndarray:
    return np.frombuffer(row.get("fingerprint") or b"", dtype="<u4")


class _Fingerprints:
    """Fingerprints by row, read from their blocks when asked for; the last few blocks stay in memory."""

    def __init__(self, blocks: Sequence[list[Row]], firsts: list[int]) -> None:
        self.blocks, self.firsts = blocks, firsts
        self.held: dict[int, list[np.ndarray]] = {}

    def __getitem__(self, row: int) -> np.ndarray:
        number = bisect_right(self.firsts, row) - 1
        if number not in self.held:
            if len(self.held) >= _BLOCKS_HELD:
                self.held.pop(next(iter(self.held)))
            self.held[number] = [_words(row) for row in self.blocks[number]]
        return self.held[number][row - self.firsts[number]]
