"""Stage `caption`: a description of every track, written by a model or looked up in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .captioners import Captioner, Refusal, Track
from .stage import ItemError, Outcome, Row, Stage


@dataclass
class Caption(Stage):
    """Fills `description`, `caption_source` and `caption_model`; what gets no description falls out with the reason."""

    name: ClassVar[str] = "caption"

    work: Path
    captioner: Captioner
    num_cpus: float = 1
    num_gpus: float = 0
    """Of one process: 1 for a model on a GPU of its own."""
    concurrency: int | None = 1
    """Processes, each with a model of its own."""
    block_size: int | None = None

    def __post_init__(self) -> None:
        self.actor = True  # a model, a connection or a table stays in memory from block to block

    def check(self) -> None:
        if self.num_cpus < 0 or self.num_gpus < 0:
            raise ValueError("caption.num_cpus and caption.num_gpus must not be below 0")
        self.captioner.check()

    def settings(self) -> dict[str, Any]:
        return self.captioner.settings()

    def start(self) -> None:
        self.captioner.start()

    def __call__(self, rows: list[Row]) -> Outcome:
        descriptions = self.captioner.describe([self._track(row) for row in rows])
        outcome = Outcome([])
        for row, description in zip(rows, descriptions, strict=True):
            if isinstance(description, Refusal):
                outcome.dropped.append(self.drop(row, description.reason))
            else:
                told = {"caption_source": self.captioner.described_by, "caption_model": self.captioner.writer}
                outcome.kept.append(row | {"description": description} | told)
        return outcome

    def _track(self, row: Row) -> Track:
        path = self.work / row["path"] if row.get("path") else None
        if self.captioner.listens and (path is None or not path.is_file()):
            raise ItemError(row["id"], f"its audio file {path or ''} is not there".replace("  ", " "))
        return Track(row["id"], path)
