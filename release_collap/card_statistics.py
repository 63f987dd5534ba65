"""What a dataset card counts: computed from the rows of the shards that are published."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from dataset_scripts.schema import check_schema

_COLUMNS = (
    "duration",
    "caption",
    "structure",
    "source",
    "licence",
    "audioset_labels",
    "caption_source",
    "caption_model",
    "flags",
)
_BATCH = 1000  # rows read at once
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
_UNKNOWN = "not stated"


@dataclass(frozen=True)
class Split:
    """Rows of a split, and the pattern of its files from the data set's folder."""

    name: str
    path: str
    rows: int


@dataclass(frozen=True)
class DatasetFigures:
    """Counts over the rows of a configuration.

    Args:
        config: its name, the folder of its shards; "default" for shards in `data`, or in no folder.
        columns: names and types as parquet has them.
        hours, mean_seconds: of the recordings that are described.
        mean_words: of the captions; `sections` is a mean too, over the tracks.
        labels: of AudioSet, rows that have each; the other counts are rows as well.
        captions: by source and model of the caption.
    """

    config: str
    columns: dict[str, str]
    splits: tuple[Split, ...]
    rows: int
    hours: float
    mean_seconds: float
    mean_words: float
    sections: float
    labels: dict[str, int]
    sources: dict[str, int]
    licences: dict[str, int]
    captions: dict[tuple[str, str], int]
    flags: dict[str, int]

    @property
    def split_rows(self) -> dict[str, int]:
        """Rows by split."""
        return {split.name: split.rows for split in self.splits}

    @property
    def audio(self) -> bool:
        """Whether the recordings are in the rows."""
        return "audio" in self.columns

    @property
    def size_category(self) -> str:
        """As the Hub writes it: "10K<n<100K"."""
        return next((name for limit, name in _SIZES.items() if self.rows < limit), "n>1M")


def dataset_statistics(shards: Sequence[str | Path]) -> DatasetFigures:
    """Reads the shards of one configuration once, batch by batch, without the audio.

    Args:
        shards: parquet files in the schema, called SPLIT-00000-of-00001.parquet in the folder of their configuration.

    Raises:
        FileNotFoundError: none are named, or one is absent.
        ValueError: a shard is no parquet file or does not match the schema, or the shards lie in several folders.
    """
    files = [Path(shard) for shard in shards]
    if not files:
        raise FileNotFoundError("no shards are named.")
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"there is no shard {missing[0]}.")
    if len({file.parent for file in files}) > 1:
        raise ValueError(f"shards of one configuration lie in one folder, not in {files[0].parent} and others.")
    folder = files[0].parent.name
    counts: dict[str, Counter] = {name: Counter() for name in ("labels", "sources", "licences", "captions", "flags")}
    splits: Counter[str] = Counter()
    columns: dict[str, str] = {}
    rows, seconds, words, sections = 0, 0.0, 0, 0
    for file in files:
        with _open(file) as shard:
            columns |= {field.name: str(field.type) for field in shard.schema_arrow}
            there = [name for name in _COLUMNS if name in shard.schema_arrow.names]
            for batch in shard.iter_batches(_BATCH, columns=there):
                for row in batch.to_pylist():
                    rows += 1
                    seconds += row["duration"]
                    words += len(row["caption"].split())
                    sections += len(row["structure"])
                    splits[_split(file)] += 1
                    counts["sources"][row["source"]] += 1
                    counts["licences"][row["licence"]] += 1
                    counts["captions"][row.get("caption_source") or _UNKNOWN, row.get("caption_model") or "none"] += 1
                    counts["labels"].update(row.get("audioset_labels") or ())
                    counts["flags"].update(row.get("flags") or ())
    each = max(rows, 1)
    return DatasetFigures(
        config="default" if folder in ("data", "") else folder,
        columns=columns,
        splits=tuple(Split(name, f"{folder}/{name}-*.parquet", count) for name, count in sorted(splits.items())),
        rows=rows,
        hours=seconds / 3600,
        mean_seconds=seconds / each,
        mean_words=words / each,
        sections=sections / each,
        **{name: _ordered(counter) for name, counter in counts.items()},
    )


def _open(file: Path) -> pq.ParquetFile:
    try:
        shard = pq.ParquetFile(file)
    except (OSError, ValueError) as error:  # Arrow's errors are of these
        raise ValueError(f"{file} is no parquet file: {error}") from error
    check_schema(shard.schema_arrow, str(file))
    return shard


def _split(file: Path) -> str:
    """The split of a shard, as the Hub's file names tell it."""
    return file.name.split("-")[0].removesuffix(".parquet")


def _ordered(counter: Counter) -> dict:
    """The most frequent first, equals by name."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], str(item[0]))))
