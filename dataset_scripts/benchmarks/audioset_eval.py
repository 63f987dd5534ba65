"""AudioSet-Eval: the clips of AudioSet's evaluation segments that hold music (Gemmeke et al., ICASSP 2017)."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from ..audioset.select import label_names, labels_below
from ..schema import dataset_from_rows
from .owners import Owner
from .recordings import AudioFiles, available_recordings, clip_names
from .rows import benchmark_row
from .written_captions import recaptioned

_OWNER = Owner(
    "AudioSet-Eval",
    "https://research.google.com/audioset/download.html (eval_segments.csv) and https://github.com/audioset/ontology "
    "(ontology.json)",
)
_CSV, _ONTOLOGY = "eval_segments.csv", "ontology.json"


class Clip(NamedTuple):
    """A part of a video, `start` and `end` in seconds, with the ids of its labels."""

    youtube_id: str
    start: float
    end: float
    labels: tuple[str, ...]


def load_audioset_eval(folder: str | Path, captions: str | Path | None = None) -> Dataset:
    """The clips whose labels descend from "Music" and whose audio is there, as rows in the dataset schema.

    The owners publish no audio, and videos vanish: what is not there is left out with a warning that says how many.

    Args:
        folder: holds `eval_segments.csv`, `ontology.json` and, at any depth, audio under one of the names of
            `clip_names`. A file of a whole video is taken as such, and heard in full.
        captions: a file that the caption stage wrote for these recordings, see `recaptioned`, by YouTube id. Without
            it the texts are the labels, "The sounds of guitar and music.": many clips share one, and all of these are
            right for it.

    Raises:
        FileNotFoundError: a table or all audio is absent.
        ValueError: a table is not that of AudioSet.
    """
    folder = Path(folder)
    path, ontology = _OWNER.find(folder, _CSV), _OWNER.find(folder, _ONTOLOGY)
    names, music = label_names(ontology), labels_below(ontology, "Music").keys()
    clips = {clip.youtube_id: clip for clip in _read_clips(path) if not music.isdisjoint(clip.labels)}
    if not clips:
        raise ValueError(f"{path} has no clip with music.")
    if unknown := {label for clip in clips.values() for label in clip.labels} - names.keys():
        raise ValueError(f"{ontology} does not know the label {min(unknown)} of {path}.")
    files = AudioFiles(folder)
    found = {video: files.find(clip_names(video, clip.start, clip.end)) for video, clip in clips.items()}
    rows = []
    for video, recording in available_recordings(_OWNER, found, f"{folder / 'audio' / next(iter(found))}.wav").items():
        clip = clips[video]
        labels = [names[label] for label in clip.labels]
        rows.append(
            benchmark_row(
                recording,
                id=video,
                song_id=video,
                youtube_id=video,
                caption=_sentence(labels),
                audioset_labels=labels,
                source="audioset-eval",
                caption_source="audioset labels",
                licence="labels CC-BY-4.0, audio as its uploader says",
                provenance=f"research.google.com/audioset, {_CSV}, {video} {clip.start:g}-{clip.end:g} s",
            )
        )
    return dataset_from_rows(rows if captions is None else recaptioned(rows, Path(captions), _OWNER.title))


def _sentence(labels: Sequence[str]) -> str:
    *first, last = [label.lower() for label in labels]
    return f"The sounds of {', '.join(first)} and {last}." if first else f"The sound of {last}."


def _read_clips(path: Path) -> Iterator[Clip]:
    """The rows of the table, `-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw"`, behind a header that may be a comment."""
    with path.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if not line or line[0].startswith("#") or line[0] == "YTID":
                continue
            try:
                video, start, end, labels = line
                yield Clip(video, float(start), float(end), tuple(labels.split(",")))
            except ValueError as error:
                raise ValueError(f"{path} is no table of segments: row {number} reads {','.join(line)!r}.") from error
