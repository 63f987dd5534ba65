"""Stage `pack`: parquet shards in Hub layout, which `load_dataset(folder, "captions")` and `"audio"` read.

OUTPUT/README.md                                  the card; its YAML names configurations and splits
OUTPUT/build.json                                 what it was packed from
OUTPUT/captions/train-00000-of-00005.parquet      everything but the audio: may be passed on
OUTPUT/audio/train-00000-of-00482.parquet         with the audio, for use on the spot
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, List, Value

from ..schema import check_table, dataset_features
from ..whole_files import whole_file
from .card import CardFacts, dataset_card
from .stage import ItemError, OutputStage, Row

SPLITS = ("train", "validation")
SAMPLING_RATE = 16_000
_ROWS_PER_GROUP = {"captions": 1000, "audio": 10}  # 10 tracks with audio are 50 MB
_AUDIO_ROWS_PER_SHARD = 100


@dataclass
class Pack(OutputStage):
    """Writes `output`; audio is decoded, mixed down to its channels' mean and stored as FLAC at 16 kHz."""

    name: ClassVar[str] = "pack"
    incidental: ClassVar[tuple[str, ...]] = ("work", "num_cpus", "concurrency")

    work: Path
    output: Path
    audio: bool = True
    """Whether the configuration `audio` is written too."""
    validation_share: float = 0.05
    """Of the ids, by their hash: an id stays in its split when the corpus grows."""
    rows_per_shard: int = 10_000
    """Of `captions`; those of `audio` have 100, about 500 MB."""
    title: str = "CoLLAP-AudioSet"
    licence: str | None = None
    """Of the captions, as the Hub writes it: "cc-by-4.0"."""
    num_cpus: float = 1
    concurrency: int | None = None

    def check(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"pack.validation_share must lie from 0 to below 1, not {self.validation_share:g}")
        if self.rows_per_shard < 1:
            raise ValueError(f"pack.rows_per_shard must be at least 1, not {self.rows_per_shard}")
        if self.output.exists() and not self.output.is_dir():
            raise NotADirectoryError(f"pack.output: {self.output} is no folder")

    def plan(self, files: list[Path], digest: str) -> list[dict[str, Any]]:
        self._claim(digest)
        pieces = [piece for config in self._configs() for piece in self._shards(config, files)]
        names = {piece["file"] for piece in pieces}
        for folder in ("captions", "audio"):
            for path in sorted((self.output / folder).glob("*")):
                if path.name.endswith(".tmp") and path.name.startswith("."):
                    path.unlink()  # of a run that was killed
                elif f"{folder}/{path.name}" not in names:
                    raise ValueError(f"{path} is not of this build: remove it, or choose another pack.output")
        for config in self._configs():
            (self.output / config).mkdir(exist_ok=True)
        return [piece for piece in pieces if not (self.output / piece["file"]).exists()]

    def write(self, piece: dict[str, Any]) -> None:
        config = piece["config"]
        schema = packed_features(audio=config == "audio").arrow_schema
        group: list[Row] = []
        path = self.output / piece["file"]
        with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

            def flush() -> None:
                if group:
                    table = pa.Table.from_pylist(group, schema=schema)
                    check_table(table, piece["file"])
                    writer.write_table(table)
                    group.clear()

            for row in _rows(piece["sources"]):
                group.append(self._packed(row, piece["split"], config))
                if len(group) == _ROWS_PER_GROUP[config]:
                    flush()
            flush()

    def finish(self, files: list[Path]) -> None:
        facts = CardFacts.of(files)
        splits = [split for split in SPLITS if any(self.output.glob(f"captions/{split}-*.parquet"))]
        card = dataset_card(facts, title=self.title, configs=self._configs(), splits=splits, licence=self.licence)
        with whole_file(self.output / "README.md") as temporary:
            temporary.write_text(card, encoding="utf-8")

    def _configs(self) -> list[str]:
        return ["captions", "audio"] if self.audio else ["captions"]

    def _claim(self, digest: str) -> None:
        """Note what the output is packed from, or compare it with what is noted there."""
        options = {key: value for key, value in asdict(self).items() if key not in (*self.incidental, "output")}
        wanted = {"rows": digest, **options}
        noted = self.output / "build.json"
        if not noted.exists():
            self.output.mkdir(parents=True, exist_ok=True)
            with whole_file(noted) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        elif json.loads(noted.read_text(encoding="utf-8")) != wanted:
            raise ValueError(
                f"{self.output} was packed from other rows or with other settings: choose another pack.output"
            )

    def _shards(self, config: str, files: list[Path]) -> Iterator[dict[str, Any]]:
        """The shards of a configuration, each with the rows that it takes from which files."""
        size = self.rows_per_shard if config == "captions" else _AUDIO_ROWS_PER_SHARD
        places: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
        for number, path in enumerate(files):
            for index, name in enumerate(pq.read_table(path, columns=["id"])["id"].to_pylist()):
                places[split_of(name, self.validation_share)].append((number, index))
        for split, rows in places.items():
            count = -(-len(rows) // size)
            for shard in range(count):
                sources: dict[str, list[int]] = {}
                taken = rows[shard * size : (shard + 1) * size]
                for number, index in taken:
                    sources.setdefault(str(files[number]), []).append(index)
                file = f"{config}/{split}-{shard:05d}-of-{count:05d}.parquet"
                yield {"file": file, "config": config, "split": split, "rows": len(taken), "sources": sources}

    def _packed(self, row: Row, split: str, config: str) -> Row:
        video = row["youtube_id"]
        address = f"https://www.youtube.com/watch?v={video} ({row['provenance']})" if video else row["provenance"]
        own = {name: row[name] for name in packed_features(audio=False) if name in row}
        packed = own | {
            "song_id": row["id"],
            "source": "audioset",
            "licence": row["licence"] or "not stated",
            "provenance": address,
            "split": split,
        }
        if config == "audio":
            packed["audio"] = {"bytes": _flac(self.work / row["path"], row["id"]), "path": f"{row['id']}.flac"}
        return packed


def packed_features(*, audio: bool) -> Features:
    """The dataset schema, and `flags`: what was amiss with the description, see `ParsedDescription`."""
    features = dataset_features(audio=audio, sampling_rate=SAMPLING_RATE)
    features["flags"] = List(Value("string"))
    return features


def split_of(name: str, validation_share: float) -> str:
    """The split of an id; it does not depend on the other ids."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "validation" if place < validation_share else "train"


def _rows(sources: dict[str, list[int]]) -> Iterator[Row]:
    for path, indices in sources.items():
        yield from pq.read_table(path).take(indices).to_pylist()


def _flac(path: Path, name: str) -> bytes:
    from ..songbook.render import encode
    from .captioners.base import UnreadableAudioError, read_mono

    try:
        samples = read_mono(path, SAMPLING_RATE)
    except (UnreadableAudioError, OSError) as error:
        raise ItemError(name, f"its audio file {path}: {error}") from error
    return encode(np.clip(samples, -1, 1), SAMPLING_RATE)
