"""The results in a folder, by benchmark."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from metrics.retrieval import direction_ranks

from ..records import Record
from ..results import RetrievalResult


@dataclass(frozen=True)
class Retrieval:
    """A retrieval result, and the scores that lie beside it.

    Args:
        stem: path of its files, without their endings.
    """

    result: RetrievalResult
    stem: Path

    @property
    def model(self) -> str:
        return self.result.model["name"]

    @cached_property
    def scores(self) -> np.ndarray | None:
        """(tracks, texts); None where they were not kept."""
        path = self._beside("scores.npy")
        return np.load(path, mmap_mode="r") if path.exists() and self.pairs else None

    @cached_property
    def pairs(self) -> dict[str, Any] | None:
        """Ids of the tracks, the texts, and `tracks_of_text`; None where they were not kept."""
        path = self._beside("pairs.json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @cached_property
    def best_ranks(self) -> dict[str, np.ndarray] | None:
        """By direction, the rank of every query's best right item, from 1; None without scores."""
        if self.scores is None or self.pairs is None:
            return None
        ranks = direction_ranks(self.scores, self.pairs["tracks_of_text"])
        return {way: np.array([min(of_query) for of_query in found]) for way, found in ranks.items()}

    def _beside(self, ending: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{ending}")


_Result = TypeVar("_Result", Retrieval, Record)


@dataclass(frozen=True)
class Chapter:
    """All results on one benchmark, models in the order of their names."""

    title: str
    retrieval: tuple[Retrieval, ...]
    records: tuple[Record, ...]

    def of(self, probe: str) -> tuple[Record, ...]:
        """The records of a probe, one a model."""
        return tuple(record for record in self.records if record.about.probe == probe)

    @property
    def models(self) -> tuple[str, ...]:
        named = [*(each.model for each in self.retrieval), *(each.model for each in self.records)]
        return tuple(dict.fromkeys(named))


def collect(folder: Path, titles: Sequence[str] = ()) -> list[Chapter]:
    """Reads all results in a folder; what else lies there is passed over.

    Args:
        titles: of the benchmarks to take, in this order; by default all, by their titles.

    Raises:
        OSError: there is no such folder.
        ValueError: it holds no results, or none of a benchmark that is named.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"there is no folder of results {folder}")
    retrieval: dict[str, list[Retrieval]] = {}
    records: dict[str, list[Record]] = {}
    for path in sorted(folder.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{path} is no JSON: {error}") from error
        if not isinstance(content, dict):
            continue
        try:
            if "about" in content:
                record = Record.from_json(text)
                records.setdefault(record.about.benchmark["title"], []).append(record)
            elif "metrics" in content and "benchmark" in content:
                result = RetrievalResult.from_json(text)
                stem = path.with_name(path.name.removesuffix(".json"))
                retrieval.setdefault(result.benchmark["title"], []).append(Retrieval(result, stem))
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path} is a result of another version: {error}") from error
    found = sorted({*retrieval, *records})
    if not found:
        raise ValueError(f"{folder} holds no results; `collap evaluate --output {folder}` writes them")
    if missing := [title for title in titles if title not in found]:
        raise ValueError(f"{folder} holds no results on {missing[0]!r}, but on {', '.join(found)}")
    return [
        Chapter(title, tuple(_by_model(retrieval.get(title, []))), tuple(_by_model(records.get(title, []))))
        for title in titles or found
    ]


def _by_model(results: list[_Result]) -> list[_Result]:
    return sorted(results, key=lambda result: result.model.casefold())
