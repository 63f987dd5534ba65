"""Labels of songbook rows: the genre and the instruments, read back from their captions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from datasets import ClassLabel, Dataset, List

from .caption_wording import GENRE_NAMES, INSTRUMENT_NAMES
from .orchestration import ALIASES, GENRES, INSTRUMENTS, KITS


@dataclass(frozen=True)
class SongbookLabels:
    """What a row of the songbook says about its song, in the songbook's plain names.

    Args:
        genre: "bossa nova", "film score"; `None` where the caption names none.
        instruments: all that the caption or a section names, drum kits included, sorted.
    """

    genre: str | None
    instruments: tuple[str, ...]


def songbook_labels(row: Mapping[str, Any]) -> SongbookLabels:
    """Reads style and instruments off the captions of a row, every wording mapped to the one name that it stands for.

    The global caption names the seven instruments that play longest, the sections' captions those that they speak of:
    what is named plays, what is not named may play for a moment.
    """
    texts = [row["global_caption"], *(section["caption"] for section in row["structure"] or ())]
    style = _genre_pattern().search(row["global_caption"])
    wordings = _wordings(INSTRUMENT_NAMES, _INSTRUMENTS)
    named = {wordings[match.lower()] for text in texts for match in _instrument_pattern().findall(text or "")}
    genre = None
    if style is not None:
        genre = _wordings(GENRE_NAMES, _GENRES)[next(filter(None, style.groups())).lower()]
    return SongbookLabels(genre, tuple(sorted(named)))


def songbook_labelled(
    rows: Dataset, task: Literal["genre", "instruments"] = "genre", *, min_tracks: int = 1
) -> Dataset:
    """Rows of the songbook with the column `labels` that `zero_shot` reads; rows without such a label are left out.

    Args:
        task: "genre" is a classification, "instruments" tagging.
        min_tracks: passes over labels that fewer tracks have; an area over one or two tracks says little.

    Raises:
        ValueError: the task is unknown, or no row has such a label.
    """
    if task not in ("genre", "instruments"):
        raise ValueError(f"the songbook has labels of genre and instruments, not of {task!r}.")
    found = [songbook_labels(row) for row in rows.select_columns(["global_caption", "structure"])]
    named = [labels.instruments if task == "instruments" else (labels.genre,) for labels in found]
    counts = Counter(label for labels in named for label in labels if label is not None)
    names = sorted(label for label, count in counts.items() if count >= min_tracks)
    kept = [[label for label in labels if label in names] for labels in named]
    chosen = [row for row, labels in enumerate(kept) if labels]
    if not chosen:
        raise ValueError(f"no row names a label of {task} that {min_tracks} tracks have.")
    feature = List(ClassLabel(names=names))
    column = [feature.feature.str2int(kept[row]) for row in chosen]
    return rows.select(chosen).add_column("labels", column, feature=feature)


_GENRES = (*GENRES, *ALIASES)
_INSTRUMENTS = (*(instrument.name for instrument in INSTRUMENTS), *(kit.name for kit in KITS.values()))


def _wordings(names: Mapping[str, Sequence[str]], known: Sequence[str]) -> dict[str, str]:
    """The plain name of every wording, in lower case."""
    return {wording.lower(): name for name in known for wording in (name, *names.get(name, ()))}


def _any_of(wordings: Mapping[str, str]) -> str:
    # The longest first: an electric piano is no piano.
    return "|".join(re.escape(wording) for wording in sorted(wordings, key=len, reverse=True))


@cache
def _instrument_pattern() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{_any_of(_wordings(INSTRUMENT_NAMES, _INSTRUMENTS))})(?![\w-])", re.IGNORECASE)


@cache
def _genre_pattern() -> re.Pattern[str]:
    """The genre where the opening of a caption names the style; elsewhere "march" may be a beat."""
    genre = _any_of(_wordings(GENRE_NAMES, _GENRES))
    return re.compile(rf"\ban? ({genre}) (?:style|feel)\b|\bstyle is ({genre})\b", re.IGNORECASE)
