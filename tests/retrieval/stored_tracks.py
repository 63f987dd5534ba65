"""Tracks to fill a table with: the same number and version give the same track in every process."""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrieval_collap.index import IndexedTrack, IndexSettings, SequenceCodec

SETTINGS = IndexSettings("org/collap", "0" * 64, dim=16, model_steps_per_second=5.0, pool=5)
_SECONDS = 12
_HERE = Path(__file__).parent
# How a child process finds this file and the rooms.
CHILD: dict[str, Any] = {
    "cwd": _HERE.parents[1],
    "env": {**os.environ, "PYTHONPATH": f"{_HERE}{os.pathsep}{_HERE.parents[1]}", "OMP_NUM_THREADS": "1"},
}


def track(number: int, *, version: int = 0, **changes: Any) -> IndexedTrack:
    """`track 7` lasts 7 s."""
    made = _track(number, version)
    return replace(made, **changes) if changes else made


def version_of(found: IndexedTrack) -> int:
    """The version that a track was written as, if it is that track in every bit.

    Raises:
        AssertionError: it is another, or half of one.
    """
    number, version = int(found.content_hash[:32], 16), int(found.content_hash[32:], 16)
    assert same(found, track(number, version=version)), f"{found.id} is not what was written"
    return version


@lru_cache(maxsize=4000)
def _track(number: int, version: int) -> IndexedTrack:
    rng = np.random.default_rng([number, version])
    vector = rng.standard_normal(SETTINGS.dim).astype(np.float32)
    codec = SequenceCodec(SETTINGS.dim, SETTINGS.pool, SETTINGS.bits)
    sequence = codec.encode(torch.from_numpy(rng.standard_normal((_SECONDS * SETTINGS.pool, SETTINGS.dim))))
    fields: dict[str, Any] = {
        "id": f"track {number}",
        "path": f"/music/{'ab'[number % 2]}/{number}.flac",
        "title": f"Song no. {number}, {'é' * (number % 3)}",
        "duration": float(number),
        "content_hash": f"{number:032x}{version:032x}",
        "size": 1000 + number,
        "modified": 1.7e9 + number / 7,
        "tags": ("even",) if number % 2 == 0 else (),
        "vector": vector / np.linalg.norm(vector),
        "sequence": sequence,
        "steps": _SECONDS,
    }
    return IndexedTrack(**fields)


def same(found: IndexedTrack, expected: IndexedTrack) -> bool:
    """Equal in all fields, vectors to float16."""
    names = [name for name in IndexedTrack.__dataclass_fields__ if name != "vector"]
    return all(getattr(found, name) == getattr(expected, name) for name in names) and np.array_equal(
        found.vector, expected.vector.astype(np.float16).astype(np.float32)
    )
