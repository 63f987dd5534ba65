"""What a stage of the pipeline is: rows in, rows and a ledger out.

A stage knows nothing of files of rows, of blocks or of Ray: that is the engine's. It is pickled into the processes that
run it, so its fields are plain values, and what is heavy (a model, a connection) is made in `start`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

Row = dict[str, Any]
"""A track on its way through the pipeline, in columns of `ROW_SCHEMA`; those that no stage has filled may be absent."""

ROW_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # equal to youtube_id in the corpus from AudioSet
        ("youtube_id", pa.string()),
        ("audioset_labels", pa.list_(pa.string())),  # names such as "Guitar", not "/m/0342h"
        ("provenance", pa.string()),  # where the row is from: the file of segments
        ("licence", pa.string()),  # of the recording, as its host tells it
        ("path", pa.string()),  # of the audio file, relative to the work folder
        ("duration", pa.float64()),  # seconds
        ("sha256", pa.string()),  # of the audio file
        ("fingerprint", pa.binary()),  # Chromaprint's, little-endian uint32 each
        ("description", pa.string()),  # what the captioner wrote, as it wrote it
        ("caption_source", pa.string()),  # the backend: transformers, openai, imported
        ("caption_model", pa.string()),
        ("caption", pa.string()),
        ("global_caption", pa.string()),
        (
            "structure",
            pa.list_(
                pa.struct(
                    [("start", pa.float64()), ("end", pa.float64()), ("label", pa.string()), ("caption", pa.string())]
                )
            ),
        ),
        ("flags", pa.list_(pa.string())),  # what the parser of descriptions found odd
    ]
)

LEDGER_SCHEMA = pa.schema([("id", pa.string()), ("stage", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Dropped:
    """An item that fell out.

    The reason is the same in every run: no times, no names of temporary files. What stands in it before a colon or
    parenthesis is its kind, by which reasons are counted.
    """

    id: str
    stage: str
    reason: str


@dataclass
class Outcome:
    """What became of a block's rows; every row is in one of the two lists, in the order of the input."""

    kept: list[Row]
    dropped: list[Dropped] = field(default_factory=list)


class ItemError(RuntimeError):
    """What went wrong unexpectedly with one item; the run stops and says so, and finished blocks stay."""

    def __init__(self, item: str, cause: str) -> None:
        super().__init__(item, cause)  # both, so that it survives pickling
        self.item, self.cause = item, cause

    def __str__(self) -> str:
        return f"item {self.item}: {self.cause}"


class _Named(ABC):
    name: ClassVar[str]
    incidental: ClassVar[tuple[str, ...]] = ("work",)
    """Fields on which the rows do not depend, such as folders, credentials and limits of speed."""

    def check(self) -> None:  # noqa: B027 - nothing to check is no mistake
        """Look at every option and every file that the stage needs, before any stage works.

        Raises:
            ValueError: an option is wrong.
            OSError: a file or program is missing.
        """

    def settings(self) -> dict[str, Any]:
        """What the rows depend on beside the input, as JSON: the dataclass fields that are not `incidental`.

        A work folder that was begun with other settings is refused. Stages that read files add their digests.
        """
        if not is_dataclass(self):
            return {}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.incidental}

    def drop(self, row: Row, reason: str) -> Dropped:
        return Dropped(row["id"], self.name, reason)


class Stage(_Named):
    """A stage that looks at each row by itself, and so works on blocks in any order and in many processes."""

    actor: bool = False
    """Whether processes stay from block to block, as those with a model in memory should."""
    num_cpus: float = 1
    num_gpus: float = 0
    """What one process needs of the machine."""
    concurrency: int | None = None
    """Most processes at a time; None for as many as there is room for. An actor stage has one where it is None."""
    block_size: int | None = None
    """Rows of a block; None for the pipeline's. What a kill costs is a block of a stage."""

    def start(self) -> None:
        """Called in each process once before its first block: load models here."""

    @abstractmethod
    def __call__(self, rows: list[Row]) -> Outcome:
        """Work on one block. It may run again on the same rows after a kill, and must then give the same.

        Raises:
            ItemError: something unexpected happened to an item. What is to be expected of an item is `Dropped`.
        """


class RowStage(Stage):
    """A stage that handles one row after another."""

    @abstractmethod
    def process(self, row: Row) -> Row | Dropped:
        """The row with its new columns, or why it falls out."""

    def __call__(self, rows: list[Row]) -> Outcome:
        outcome = Outcome([])
        for row in rows:
            try:
                result = self.process(row)
            except Exception as error:
                raise ItemError(row["id"], f"{type(error).__name__}: {error}") from error
            if isinstance(result, Dropped):
                outcome.dropped.append(result)
            else:
                outcome.kept.append(result)
        return outcome


class WholeStage(_Named):
    """A stage that has to see all rows: the first, which has no input, and the search for duplicates."""

    @abstractmethod
    def __call__(self, blocks: Sequence[list[Row]]) -> Iterator[Outcome]:
        """What becomes the blocks of the output, one after another.

        It runs in the main process and from the beginning after a kill, so it is to be quick beside the other stages.

        Args:
            blocks: the rows of the stage before, each block read from disk when it is asked for; none for the first.
        """


class OutputStage(_Named):
    """A stage that makes files of its own from the rows: the last."""

    num_cpus: float = 1
    num_gpus: float = 0
    concurrency: int | None = None
    """As those of `Stage`."""

    @abstractmethod
    def plan(self, files: list[Path], digest: str) -> list[dict[str, Any]]:
        """A piece of work for each file that is to be written and is not there yet, as JSON.

        Its key "file" names the file, "rows" says how many rows it gets; the others are for `write`.

        Args:
            files: the rows of the stage before, parquet in `ROW_SCHEMA`, in order.
            digest: of these rows; what was written from others is not to be mixed with what is written now.
        """

    @abstractmethod
    def write(self, piece: dict[str, Any]) -> None:
        """Write one file, as a whole or not at all; in any order and in many processes."""

    @abstractmethod
    def finish(self, files: list[Path]) -> None:
        """What remains to be done when all files are written."""
