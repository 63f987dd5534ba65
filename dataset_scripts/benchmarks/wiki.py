"""Wiki-SD and Wiki-MC: passages of Wikipedia about the artist, title or genre of SongDescriber's and MusicCaps' tracks.

No file of such passages is published. Whoever collects them writes CSV or JSON lines in UTF-8 with the columns `track`,
`about` ("artist", "title" or "genre"), `page` (title of the article in the English Wikipedia), `passage` (the text)
and, if it is known, `revision` (the number of the article's version, `oldid` in its permanent link). A track may have
several passages. A passage about a genre may belong to many tracks: it then stands in a row for each.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datasets import Dataset

from ..captions_file import read_captions_file
from ..schema import dataset_from_rows
from .musiccaps import load_musiccaps
from .songdescriber import load_songdescriber

SUBJECTS = ("artist", "title", "genre")
_COLUMNS = ("track", "about", "page", "passage")

logger = logging.getLogger(__name__)


def load_wiki_sd(folder: str | Path, passages: str | Path | None = None) -> Dataset:
    """A row in the dataset schema for each passage about a track of SongDescriber, in the order of their file.

    Args:
        folder: that of `load_songdescriber`.
        passages: the file, which calls tracks by their `track_id`; by default `wiki-sd.jsonl` or `wiki-sd.csv` in the
            folder.

    Raises:
        FileNotFoundError: there is no such file, or `load_songdescriber` misses one.
        ValueError: rows of the file cannot be used, a line for each; or it has no passage about any of the tracks.
    """
    return _with_passages("Wiki-SD", load_songdescriber, Path(folder), passages)


def load_wiki_mc(folder: str | Path, passages: str | Path | None = None) -> Dataset:
    """A row in the dataset schema for each passage about a track of MusicCaps whose audio is there.

    Args:
        folder: that of `load_musiccaps`.
        passages: the file, which calls tracks by their `ytid`; by default `wiki-mc.jsonl` or `wiki-mc.csv` in the
            folder.

    Raises:
        FileNotFoundError: there is no such file, or `load_musiccaps` misses one.
        ValueError: rows of the file cannot be used, a line for each; or it has no passage about any of the tracks.
    """
    return _with_passages("Wiki-MC", load_musiccaps, Path(folder), passages)


def _with_passages(
    title: str, load_audio: Callable[[Path], Dataset], folder: Path, passages: str | Path | None
) -> Dataset:
    path = _passages_file(title, folder, passages)
    rows = read_captions_file(path, _COLUMNS)
    if problems := [f"row {number}: {problem}" for number, row in rows if (problem := _problem(row))]:
        raise ValueError("\n  ".join([f"{path} cannot be used:", *problems]))
    tracks = {track["song_id"]: track for track in load_audio(folder).to_list()}
    found = [_row(title, tracks[str(row["track"])], row, number) for number, row in rows if str(row["track"]) in tracks]
    if not found:
        example = min(tracks)
        raise ValueError(f"{path} has no passage about a track that is in {folder}; tracks are called as {example} is.")
    if len(found) < len(rows):
        first = next(row["track"] for _, row in rows if str(row["track"]) not in tracks)
        logger.warning(
            "%s: %d of %d passages are about tracks that are not there and left out, %s the first of them",
            title, len(rows) - len(found), len(rows), first,
        )  # fmt: skip
    return dataset_from_rows(found)


def _passages_file(title: str, folder: Path, passages: str | Path | None) -> Path:
    if passages is not None:
        return Path(passages)
    names = [f"{title.lower()}{suffix}" for suffix in (".jsonl", ".csv")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{title}: {folder} holds no {' or '.join(names)}; no such file is published, and docs/benchmarks.md says "
            "how it is written."
        )
    return found


def _problem(row: dict[Any, Any]) -> str | None:
    """What makes a row unusable."""
    if None in row:
        return "more fields than columns; a passage with commas needs double quotes"
    if empty := [name for name in _COLUMNS if not str(row[name] or "").strip()]:
        return f"{empty[0]} is empty"
    if row["about"] not in SUBJECTS:
        return f"about is {row['about']!r}, not one of {', '.join(SUBJECTS)}"
    return None


def _row(title: str, track: dict[str, Any], passage: dict[Any, Any], number: int) -> dict[str, Any]:
    address = f"https://en.wikipedia.org/wiki/{quote(str(passage['page']).strip().replace(' ', '_'))}"
    revision = str(passage.get("revision") or "").strip()
    return {
        **track,
        "id": f"{track['song_id']}-{number}",
        "caption": passage["passage"],
        "global_caption": passage["passage"],
        "structure": [],
        "source": title.lower(),
        "caption_source": f"wikipedia, {passage['about']}",
        "licence": f"text CC-BY-SA-4.0, audio{track['licence'].partition(', audio')[2]}",
        "provenance": f"{address}?oldid={revision}" if revision else address,
    }
