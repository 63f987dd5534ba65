"""The paper's benchmarks: which loader reads the official files of each, and what its texts are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from dataset_scripts import benchmarks

_PASSAGES = "passages of Wikipedia about artist, title or genre"


@dataclass(frozen=True)
class PaperBenchmark:
    """One of the paper's benchmarks, whose official files the user has.

    Args:
        title: as a table shows it.
        load: reads a folder, see `dataset_scripts.benchmarks`.
        captions: what the texts are, in words.
        folder: what its folder is called in a folder of all benchmarks.
        options: of `load`.
        file_option: the option of `load` that `--captions-file` is for, if there is one.
    """

    title: str
    load: Callable[..., Dataset]
    captions: str
    folder: str
    options: Mapping[str, str] = field(default_factory=dict)
    file_option: str | None = "captions"

    def rows(self, data_dir: Path, captions_file: Path | None) -> Dataset:
        """The rows from `data_dir`, or from the folder in it that is called as the benchmark is."""
        folder = data_dir / self.folder if (data_dir / self.folder).is_dir() else data_dir
        files = {} if captions_file is None or self.file_option is None else {self.file_option: captions_file}
        return self.load(folder, **self.options, **files)


# Eight names for seven: the owners of SongDescriber publish it with a subset that they checked.
PAPER_BENCHMARKS = {
    "songdescriber": PaperBenchmark(
        "SongDescriber", benchmarks.load_songdescriber, "all captions, several a track", "songdescriber"
    ),
    "songdescriber-valid": PaperBenchmark(
        "SongDescriber (valid)",
        benchmarks.load_songdescriber,
        "the captions that the owners checked, several a track",
        "songdescriber",
        {"subset": "valid"},
    ),
    "musiccaps": PaperBenchmark("MusicCaps", benchmarks.load_musiccaps, "the musicians' captions", "musiccaps"),
    "audioset-eval": PaperBenchmark(
        "AudioSet-Eval", benchmarks.load_audioset_eval, "the labels of each clip in a sentence", "audioset-eval"
    ),
    "harmonixset": PaperBenchmark(
        "HarmonixSet",
        benchmarks.load_harmonixset,
        "genre, metre, tempo and order of sections in words",
        "harmonixset",
    ),
    "vctk": PaperBenchmark("VCTK", benchmarks.load_vctk, "the transcripts", "vctk", file_option=None),
    "wiki-sd": PaperBenchmark("Wiki-SD", benchmarks.load_wiki_sd, _PASSAGES, "songdescriber", file_option="passages"),
    "wiki-mc": PaperBenchmark("Wiki-MC", benchmarks.load_wiki_mc, _PASSAGES, "musiccaps", file_option="passages"),
}
