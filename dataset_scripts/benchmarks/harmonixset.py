"""HarmonixSet: sections, beats and metadata of 912 pop songs, annotated by people (Nieto et al., ISMIR 2019)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from datasets import Dataset

from ..schema import dataset_from_rows
from .owners import Owner
from .recordings import AudioFiles, Recording, available_recordings
from .rows import Row, benchmark_row
from .written_captions import recaptioned

_OWNER = Owner("HarmonixSet", "https://github.com/urinieto/harmonixset (its folder dataset)")
_METADATA, _SEGMENTS, _VIDEOS = "metadata.csv", "segments", "youtube_urls.csv"
_COLUMNS = ("File", "Title", "Artist", "Duration", "BPM", "Time Signature", "Genre")
# Marks where the last section ends; whatever is heard behind it belongs to none.
_END = "end"
# A recording that differs by more from the one that was annotated is another version: its sections lie elsewhere.
_SAME_VERSION = 3.0  # seconds

logger = logging.getLogger(__name__)


def load_harmonixset(folder: str | Path, captions: str | Path | None = None) -> Dataset:
    """The songs whose recording is there, as rows in the dataset schema with the annotated sections as `structure`.

    The set has no captions. Where `captions` has none either, the caption says what the annotations say: genre, metre,
    tempo and the order of sections. The owners publish no audio: what is not there is left out with a warning.

    Args:
        folder: the folder `dataset` of the owners' repository, or the repository: `metadata.csv`,
            `segments/0001_12step.txt`, and `youtube_urls.csv` if audio is named after it. Audio lies in it at any
            depth, called as the annotations are, `0001_12step.mp3`, or by the id of its YouTube video,
            `iBHNgV6_znU.m4a`.
        captions: a file that the caption stage wrote for these recordings, see `recaptioned`, by the name of the
            annotations. Its sections take the place of the annotated ones, which have no captions.

    Raises:
        FileNotFoundError: a table, the sections of a song, or all audio is absent.
        ValueError: a table is not that of HarmonixSet.
    """
    folder = Path(folder)
    root = folder / "dataset" if (folder / "dataset" / _METADATA).is_file() else folder
    path, segments = _OWNER.find(root, _METADATA), _OWNER.find(root, _SEGMENTS)
    table = {line["File"]: line for line in _OWNER.table(path, _COLUMNS)}
    lengths = dict(zip(table, _OWNER.numbers(path, list(table.values()), "Duration"), strict=True))
    videos, files = _videos(root), AudioFiles(folder)
    found = {name: files.find((name, *videos.get(name, ()))) for name in table}
    recordings = available_recordings(_OWNER, found, f"{root / 'audio' / next(iter(table))}.mp3")
    rows = [
        _row(table[name], recording, _sections(_OWNER.find(segments, f"{name}.txt")), videos.get(name, ()))
        for name, recording in recordings.items()
    ]
    others = [name for name, recording in recordings.items() if abs(recording.duration - lengths[name]) > _SAME_VERSION]
    if others:
        logger.warning(
            "%s: %d recordings last longer or shorter than the annotated ones by more than %g s, %s the first of them; "
            "their sections may lie elsewhere",
            _OWNER.title, len(others), _SAME_VERSION, others[0],
        )  # fmt: skip
    return dataset_from_rows(rows if captions is None else recaptioned(rows, Path(captions), _OWNER.title))


def _videos(root: Path) -> dict[str, tuple[str, ...]]:
    """Ids of YouTube videos by the name of the annotations."""
    if not (root / _VIDEOS).is_file():
        return {}
    lines = _OWNER.table(root / _VIDEOS, ("File", "URL"))
    return {line["File"]: tuple(parse_qs(urlsplit(line["URL"]).query).get("v", ())) for line in lines}


def _sections(path: Path) -> list[tuple[float, str]]:
    """Starts in seconds, and labels, in the order of the file: `8.495568 verse`."""
    boundaries: list[tuple[float, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        start, _, label = line.strip().partition(" ") if "\t" not in line else line.strip().partition("\t")
        try:
            boundaries.append((float(start), label.strip()))
        except ValueError as error:
            raise ValueError(f"line {number} of {path} reads {line!r}, not a time in seconds and a label.") from error
    if not boundaries:
        raise ValueError(f"{path} has no sections.")
    return boundaries


def _row(
    line: Mapping[str, str], recording: Recording, boundaries: Sequence[tuple[float, str]], videos: Sequence[str]
) -> Row:
    ends = [start for start, _ in boundaries[1:]] + [recording.duration]
    sections: list[Row] = [
        {"start": start, "end": min(end, recording.duration), "label": label, "caption": ""}
        for (start, label), end in zip(boundaries, ends, strict=True)
        if label != _END and start < min(end, recording.duration)
    ]
    style = f"{line['Genre']} song" if line["Genre"] else "Song"
    about = f"{style} in {line['Time Signature'].replace('|', '/')} time at {line['BPM']} beats per minute."
    order = ", ".join(section["label"] for section in sections)
    return benchmark_row(
        recording,
        id=line["File"],
        song_id=line["File"],
        youtube_id=videos[0] if videos else None,
        caption=f"{about} Sections: {order}." if sections else about,
        global_caption=about,
        structure=sections,
        source="harmonixset",
        caption_source="annotations",
        licence="annotations MIT, audio not published",
        provenance=f"github.com/urinieto/harmonixset, dataset/{_SEGMENTS}/{line['File']}.txt",
    )
