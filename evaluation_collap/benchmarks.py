"""What models are evaluated on: the paper's benchmarks, the songbook, and anyone's own data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from datasets import Audio, Dataset, load_dataset

from dataset_scripts.fields import suggestion

from .audio_folder import CAPTIONS_FILES, read_audio_folder
from .paper_benchmarks import PAPER_BENCHMARKS, PaperBenchmark

SONGBOOK = Path(__file__).resolve().parents[1] / "data" / "songbook"
# The k of R@k in Tables II to IV of arXiv 2410.02271, and 1.
RECALL_AT = (1, 5, 20, 100)
DEFAULT_SPLIT = "validation"


@dataclass(frozen=True)
class Benchmark:
    """A set of captioned tracks.

    Args:
        name: as the command line takes it.
        title: as a table shows it.
        captions: which captions are the texts, in words.
        load: makes the rows, in the schema of `dataset_scripts.schema`.
        caption_column: the column that holds the texts.
        recall_at: the k of R@k.
    """

    name: str
    title: str
    captions: str
    load: Callable[[], Dataset]
    caption_column: str = "caption"
    recall_at: tuple[int, ...] = RECALL_AT

    def rows(self, limit: int | None = None) -> Dataset:
        """The rows with their texts as `caption`, and with `audio` that is not decoded.

        Args:
            limit: of the rows only the first ones, in their order.

        Raises:
            ValueError, OSError: the rows cannot be loaded, or lack a column, a caption, or rows altogether.
        """
        rows = self._loaded
        if missing := [column for column in ("id", "audio", self.caption_column) if column not in rows.column_names]:
            raise ValueError(f"{self.name} lacks the column {missing[0]}; it has {', '.join(rows.column_names)}")
        if not isinstance(rows.features["audio"], Audio):
            raise ValueError(f"the column audio of {self.name} holds {rows.features['audio']}, not Audio")
        if not len(rows):
            raise ValueError(f"{self.name} has no rows")
        rows = rows.cast_column("audio", Audio(decode=False))
        if limit is not None:
            rows = rows.select(range(min(limit, len(rows))))
        if self.caption_column != "caption":
            rows = rows.remove_columns([name for name in ("caption",) if name in rows.column_names])
            rows = rows.rename_column(self.caption_column, "caption")
        for index, caption in enumerate(rows["caption"]):
            if not (caption or "").strip():
                raise ValueError(f"row {index} of {self.name} ({rows[index]['id']}) has an empty {self.caption_column}")
        return rows

    @cached_property
    def _loaded(self) -> Dataset:
        return self.load()


@dataclass(frozen=True)
class DataOptions:
    """What the command line says about the data of any benchmark.

    Args:
        split: of a dataset in the schema.
        caption_column: the column that holds the texts.
        captions_file: of a folder of audio; by default one of `audio_folder.CAPTIONS_FILES` in it.
            Of one of the paper's benchmarks, the captions that take the place of the official ones, or the passages.
        cache: folder for what `datasets` keeps of local parquet files.
        data_dir: folder with the official files of one of the paper's benchmarks, or with such folders called as the
            benchmarks are.
    """

    split: str = DEFAULT_SPLIT
    caption_column: str = "caption"
    captions_file: Path | None = None
    cache: Path | None = None
    data_dir: Path | None = None


_KINDS = ("folder", "dataset")


def known_benchmarks() -> list[str]:
    """Names that `find_benchmark` takes, beside "folder:PATH" and "dataset:PATH"."""
    return [*PAPER_BENCHMARKS, "songbook"]


def find_benchmark(spec: str, options: DataOptions | None = None) -> Benchmark:
    """The benchmark of a name, or of data of one's own.

    Args:
        spec: one of `known_benchmarks()`; "dataset:PATH" for a folder of parquet files or a Hub name in the schema;
            "folder:PATH" for a folder of audio with a file of captions; or the path of such a folder alone.

    Raises:
        ValueError: there is no such benchmark; whether its data are there is known when `rows` loads them.
    """
    options = options or DataOptions()
    kind, colon, path = spec.partition(":")
    if not colon and Path(spec).is_dir():
        kind, path = ("dataset" if _parquet_files(Path(spec)) else "folder"), spec
    elif not colon:
        return _named(spec, options)
    if kind not in _KINDS or not path:
        raise ValueError(f"unknown kind of benchmark {spec!r}: it is folder:PATH, dataset:PATH or a name")
    if options.captions_file is not None and kind != "folder":
        raise ValueError(f"--captions-file goes with a folder of audio, which {spec} is not")
    title = Path(path).resolve().name if Path(path).is_dir() else path
    if kind == "dataset":
        words = f"the column {options.caption_column} of the split {options.split}"
        return Benchmark(spec, title, words, partial(_load_dataset, path, options), options.caption_column)
    words = f"the column {options.caption_column} of {options.captions_file or ' or '.join(CAPTIONS_FILES)}"
    load = partial(read_audio_folder, Path(path), options.captions_file, options.caption_column)
    return Benchmark(spec, title, words, load)  # its rows call the column caption


def _named(name: str, options: DataOptions) -> Benchmark:
    if name in PAPER_BENCHMARKS:
        return _of_paper(name, PAPER_BENCHMARKS[name], options)
    if name == "songbook":
        if options.captions_file is not None:
            raise ValueError(f"--captions-file goes with a folder of audio, which {name} is not")
        words = f"the column {options.caption_column} of the split {options.split}, exact by construction"
        load = partial(_load_songbook, options)
        return Benchmark(name, f"songbook ({options.split})", words, load, options.caption_column)
    raise ValueError(
        f"unknown benchmark {name!r}{suggestion(name, known_benchmarks())}; "
        "data of your own are folder:PATH or dataset:PATH"
    )


def _of_paper(name: str, about: PaperBenchmark, options: DataOptions) -> Benchmark:
    if options.data_dir is None:
        raise ValueError(
            f"name the folder of {about.title} with --data-dir; docs/benchmarks.md says which official files are in it"
        )
    if options.split != DEFAULT_SPLIT:
        raise ValueError(f"--split goes with a dataset in the schema, which {name} is not")
    if options.captions_file is not None and about.file_option is None:
        raise ValueError(f"--captions-file does not go with {name}, whose texts are {about.captions}")
    words = about.captions
    if options.captions_file is not None:
        words = f"{about.file_option} of {options.captions_file.name}"
    if options.caption_column != "caption":
        words = f"the column {options.caption_column}: {words}"
    load = partial(about.rows, options.data_dir, options.captions_file)
    return Benchmark(name, about.title, words, load, options.caption_column)


def _load_songbook(options: DataOptions) -> Dataset:
    if not SONGBOOK.is_dir():
        raise ValueError(f"the songbook is not at {SONGBOOK}: `make songbook` renders it")
    return _load_dataset(str(SONGBOOK), options)


def _load_dataset(path: str, options: DataOptions) -> Dataset:
    """One split of a folder of parquet files, or of a Hub dataset. Of a folder no other split is read."""
    folder, split = Path(path), options.split
    if not folder.is_dir():
        loaded: Any = _from_hub(path, split)
        return loaded
    files = _parquet_files(folder)
    splits = sorted({file.name.partition("-")[0].removesuffix(".parquet") for file in files})
    if split not in splits:
        there = f"the splits {', '.join(splits)}" if splits else "no parquet files"
        raise ValueError(f"{path} has no split {split!r}: it holds {there} (see --split)")
    chosen = [str(file) for file in files if file.name.partition("-")[0].removesuffix(".parquet") == split]
    cache = None if options.cache is None else str(options.cache)
    rows: Any = load_dataset("parquet", data_files={split: chosen}, split=split, cache_dir=cache)
    return rows


def _from_hub(name: str, split: str) -> Any:
    try:
        return load_dataset(name, split=split)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} is neither a folder nor a Hub dataset with a split {split!r}: {error}") from error


def _parquet_files(folder: Path) -> list[Path]:
    """`data/SPLIT-*.parquet`, as the Hub lays datasets out, or `SPLIT*.parquet` in the folder itself."""
    return sorted(folder.glob("data/*.parquet")) or sorted(folder.glob("*.parquet"))
