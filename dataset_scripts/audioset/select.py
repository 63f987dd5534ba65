"""Stage `select`: the videos of AudioSet that were labelled as music, from its official tables."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from .stage import Dropped, Outcome, Row, WholeStage

_VIDEO = re.compile(r"[\w-]{11}", re.ASCII)


class Segment(NamedTuple):
    """A line of a table: a video, and the identifiers of its labels."""

    youtube_id: str
    labels: tuple[str, ...]


@dataclass
class Select(WholeStage):
    """Takes the videos with a label at or below `root`, each once.

    Fills `youtube_id`, `audioset_labels` and `provenance`. A video that stands in the tables again falls out under its
    own id, and so do those of the tables in `exclude`.
    """

    name: ClassVar[str] = "select"
    incidental: ClassVar[tuple[str, ...]] = ("block_size",)

    segments: tuple[Path, ...]
    """`balanced_train_segments.csv` and its like, as AudioSet's owners publish them."""
    ontology: Path
    """`ontology.json` of github.com/audioset/ontology."""
    exclude: tuple[Path, ...] = ()
    """Tables whose first column are videos to leave out: `eval_segments.csv`, a benchmark's list."""
    root: str = "Music"
    limit: int | None = None
    """Videos taken at most, the first ones; all by default."""
    block_size: int = 100

    def check(self) -> None:
        if not self.segments:
            raise ValueError("select.segments names no table")
        for path in (*self.segments, self.ontology, *self.exclude):
            if not path.is_file():
                raise FileNotFoundError(f"select: there is no file {path}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"select.limit must be at least 1, not {self.limit}")
        labels_below(self.ontology, self.root)
        for path in self.segments:
            next(read_segments(path), None)

    def settings(self) -> dict[str, Any]:
        """Files by their content: another copy of a table is the same."""
        return super().settings() | {
            "segments": [_digest(path) for path in self.segments],
            "ontology": _digest(self.ontology),
            "exclude": [_digest(path) for path in self.exclude],
        }

    def __call__(self, blocks: Sequence[list[Row]] = ()) -> Iterator[Outcome]:
        names = labels_below(self.ontology, self.root)
        all_names = label_names(self.ontology)
        seen = {video: path.name for path in self.exclude for video in _first_column(path)}
        outcome, taken = Outcome([]), 0
        for path in self.segments:
            for segment in read_segments(path):
                video = segment.youtube_id
                reason = None
                if names.keys().isdisjoint(segment.labels):
                    reason = f"not {self.root}: no label at or below it"
                elif video in seen:
                    reason = f"known already: in {seen[video]}"
                elif self.limit is not None and taken >= self.limit:
                    reason = f"beyond the limit: after the first {self.limit}"
                if reason:
                    outcome.dropped.append(Dropped(video, self.name, reason))
                else:
                    seen[video] = path.name
                    taken += 1
                    labels = [all_names.get(label, label) for label in segment.labels]
                    outcome.kept.append(
                        {"id": video, "youtube_id": video, "audioset_labels": labels, "provenance": path.name}
                    )
                if max(len(outcome.kept), len(outcome.dropped) // 10) >= self.block_size:
                    yield outcome
                    outcome = Outcome([])
        if outcome.kept or outcome.dropped:
            yield outcome


def read_segments(path: Path) -> Iterator[Segment]:
    """The lines of a table of segments; those that begin with "#" and a header are passed over.

    Raises:
        ValueError: a line is none of a table of segments.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = (line if not line.startswith("#") else "\n" for line in file)
        for number, fields in enumerate(csv.reader(lines, skipinitialspace=True), start=1):
            if not fields or fields[0] == "YTID":
                continue
            if len(fields) != 4 or not _VIDEO.fullmatch(fields[0]):
                raise ValueError(
                    f"line {number} of {path} is no segment: it must hold a video's id of 11 characters, start, end "
                    f"and labels in quotes, not {','.join(fields)!r}"
                )
            yield Segment(fields[0], tuple(fields[3].split(",")))


def labels_below(ontology: Path, root: str) -> dict[str, str]:
    """Names by identifier of the labels of that name and of all that descend from it.

    Raises:
        ValueError: the file is no ontology, or knows no such label.
    """
    labels = _read_ontology(ontology)
    found = {key: label["name"] for key, label in labels.items() if label["name"] == root}
    if not found:
        raise ValueError(f"{ontology} has no label {root!r}")
    waiting = list(found)
    while waiting:
        for child in labels[waiting.pop()]["child_ids"]:
            if child in labels and child not in found:
                found[child] = labels[child]["name"]
                waiting.append(child)
    return found


def label_names(ontology: Path) -> dict[str, str]:
    """Names of all labels by identifier."""
    return {key: label["name"] for key, label in _read_ontology(ontology).items()}


def _read_ontology(path: Path) -> dict[str, Any]:
    try:
        labels = {label["id"]: label for label in json.loads(path.read_text(encoding="utf-8"))}
        if all({"name", "child_ids"} <= label.keys() for label in labels.values()):
            return labels
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ValueError(f"{path} is no AudioSet ontology: a JSON list of labels with id, name and child_ids")


def _first_column(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for fields in csv.reader(file, skipinitialspace=True):
            if fields and _VIDEO.fullmatch(fields[0]):
                yield fields[0]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
