"""Long captions for the recordings of a benchmark, by the same stages that caption the corpus."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from datasets import Dataset

from ..audioset.stage import Outcome, Row, WholeStage

if TYPE_CHECKING:
    from ..audioset.captioners import Captioner

_CARRIED = ("youtube_id", "audioset_labels", "provenance", "licence", "duration")


@dataclass
class Recordings(WholeStage):
    """The first stage of a build: the recordings of a benchmark, each once, called by their `song_id`."""

    name: ClassVar[str] = "recordings"

    benchmark: Dataset
    """Rows in the dataset schema, as the loaders give them."""
    block_size: int = 10

    def settings(self) -> dict[str, Any]:
        """The recordings by name and path."""
        rows = [[row["id"], row["path"]] for row in self._rows()]
        return {"recordings": sha256(json.dumps(rows).encode()).hexdigest()}

    def __call__(self, blocks: Sequence[list[Row]] = ()) -> Iterator[Outcome]:
        rows = self._rows()
        for first in range(0, len(rows), self.block_size):
            yield Outcome(rows[first : first + self.block_size])

    def _rows(self) -> list[Row]:
        rows: dict[str, Row] = {}
        for row in self.benchmark:
            carried = {name: row[name] for name in _CARRIED}
            rows.setdefault(row["song_id"], {"id": row["song_id"], "path": row["audio"]["path"], **carried})
        return list(rows.values())


def caption_benchmark(
    benchmark: Dataset,
    captioner: "Captioner",
    work: Path,
    *,
    num_gpus: float = 0,
    concurrency: int | None = 1,
    ray_address: str | None = None,
) -> Path:
    """Has the recordings captioned; a run that is killed goes on where it was when it is started again.

    Args:
        benchmark: rows of a loader of this package.
        captioner: one of `dataset_scripts.audioset.captioners`.
        work: folder of what is finished, and of `ledger.parquet`: what got no caption, and why.
        num_gpus: of each of the captioner's processes.
        concurrency: how many of these there are.
        ray_address: of a cluster; by default this machine works alone.

    Returns:
        The folder of the captions, which the loaders take as `captions` and `collap evaluate` as `--captions-file`.

    Raises:
        ValueError: an option of the captioner is wrong, or `work` was begun with other recordings or options.
        OSError: a file or server is missing.
        StageError: the captioner failed. What was finished is kept.
    """
    # Ray and the captioners' libraries are an extra of the package, and the loaders do without.
    from ..audioset.caption import Caption
    from ..audioset.config import BuildConfig
    from ..audioset.pipeline import build
    from ..audioset.structure import Structure

    work = work.absolute()
    caption = Caption(work, captioner, num_gpus=num_gpus, concurrency=concurrency)
    build(BuildConfig(work, (Recordings(benchmark), caption, Structure())), ray_address=ray_address)
    return work / Structure.name / "rows"
