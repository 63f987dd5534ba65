"""MagnaTagATune: 25,863 clips of 29 s with the tags that players of a game agreed on (Law et al., ISMIR 2009)."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, List

from ..schema import dataset_features, dataset_from_rows

_ANNOTATIONS, _CLIPS = "annotations_final.csv", "clip_info_final.csv"
_NO_TAGS = ("clip_id", "mp3_path")
# The split that most papers use goes by the sixteen folders of the audio.
_FOLDERS = {"train": "0123456789ab", "validation": "c", "test": "def"}
# Tags that mean the same by the name that they are merged under, which is one of them. The groups are those that papers
# which merge tags have in common (github.com/keunwoochoi/magnatagatune-list); the names are the ones that read best.
SYNONYMS = {
    "beat": "beats",
    "chant": "chanting",
    "choir": "choral",
    "classical": "classic, clasical",
    "drums": "drum",
    "electronic": "electro, electronica, electric",
    "fast": "fast beat, quick",
    "female singer": "female, female singing, female vocal, female vocals, female voice, woman, woman singing, women",
    "flute": "flutes",
    "guitar": "guitars",
    "hard rock": "hard",
    "harpsichord": "harpsicord",
    "heavy metal": "heavy, metal",
    "horn": "horns",
    "indian": "india",
    "instrumental": "no singer, no singing, no vocal, no vocals, no voice, no voices",
    "jazz": "jazzy",
    "male singer": "male, male vocal, male vocals, male voice, man, man singing, men",
    "no drums": "no beat",
    "opera": "operatic",
    "orchestra": "orchestral",
    "quiet": "silence",
    "singing": "singer",
    "space": "spacey",
    "strings": "string",
    "synthesizer": "synth",
    "violin": "violins",
    "vocals": "vocal, voice, voices",
    "weird": "strange",
}
_CANONICAL = {other: name for name, others in SYNONYMS.items() for other in others.split(", ")}

logger = logging.getLogger(__name__)


def load_magnatagatune(
    folder: str | Path,
    split: str = "test",
    *,
    top_tags: int = 50,
    merge_synonyms: bool = False,
    tagged_only: bool = False,
) -> Dataset:
    """The clips of a split as rows in the dataset schema, with their tags in the column `labels`.

    Args:
        folder: holds `annotations_final.csv` and `clip_info_final.csv`, and the folders `0` to `f` of the unpacked
            mp3.zip, there or in `mp3`. The rows name the audio where it lies.
        split: "train" (folders 0 to b), "validation" (c) or "test" (d to f).
        top_tags: keeps the tags that the most clips of the whole data set have, 50 in nearly all papers.
        merge_synonyms: merges the groups of `SYNONYMS` before tags are counted.
        tagged_only: leaves clips out that have none of these tags, as some papers do.

    Returns:
        Rows without captions. `labels` is a list of classes, whose names are the tags, the most frequent first.

    Raises:
        FileNotFoundError: a CSV file, or the audio of a clip, is absent.
        ValueError: the split is unknown, or the CSV files are not those of MagnaTagATune. Audio files of no bytes, of
            which the data set has three, are left out with a warning.
    """
    folder = Path(folder)
    if split not in _FOLDERS:
        raise ValueError(f"MagnaTagATune has no split {split!r}; it has {', '.join(_FOLDERS)}.")
    annotations = _read(folder / _ANNOTATIONS, _NO_TAGS)
    clips = _read(folder / _CLIPS, ("clip_id", "segmentStart", "segmentEnd"))
    tags = {clip: _tags(row, merge_synonyms) for clip, row in annotations.items()}
    counts = Counter(tag for of_clip in tags.values() for tag in of_clip)
    names = sorted(counts, key=lambda tag: (-counts[tag], tag))[:top_tags]
    rank = {tag: position for position, tag in enumerate(names)}
    root = folder / "mp3" if (folder / "mp3").is_dir() else folder
    rows: list[dict[str, Any]] = []
    for clip, annotation in annotations.items():
        labels = sorted((tag for tag in tags[clip] if tag in rank), key=rank.__getitem__)
        if annotation["mp3_path"][:1] not in _FOLDERS[split] or (tagged_only and not labels):
            continue
        audio = root / annotation["mp3_path"]
        if not audio.is_file():
            raise FileNotFoundError(f"{folder}: clip {clip} is absent, there is no {audio}.")
        if not audio.stat().st_size:
            logger.warning("left out of MagnaTagATune: clip %s, %s has no bytes", clip, audio)
            continue
        if clip not in clips:
            raise ValueError(f"{folder / _CLIPS} says nothing of clip {clip}.")
        rows.append(_row(annotation, clips[clip], audio, split, labels))
    if not rows:
        raise ValueError(f"{folder} leaves no clip for the split {split!r}.")
    features = Features({**dataset_features(decode=False), "labels": List(ClassLabel(names=names))})
    return dataset_from_rows(rows, features)


def _read(path: Path, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Rows of a tab-separated file by their clip."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}.")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path} is not a file of MagnaTagATune: it has no column {missing[0]}.")
        return {row["clip_id"]: row for row in reader}


def _tags(annotation: Mapping[str, str], merge: bool) -> set[str]:
    given = {name for name, value in annotation.items() if name not in _NO_TAGS and value == "1"}
    return {_CANONICAL.get(name, name) for name in given} if merge else given


def _row(
    annotation: Mapping[str, str], clip: Mapping[str, str], audio: Path, split: str, labels: list[str]
) -> dict[str, Any]:
    path = annotation["mp3_path"]
    return {
        "id": annotation["clip_id"],
        # The name of a clip is that of its song, with the clip's first and last second behind.
        "song_id": re.sub(r"-\d+-\d+\.mp3$", "", path),
        "audio": {"bytes": None, "path": str(audio.resolve())},
        "duration": float(clip["segmentEnd"]) - float(clip["segmentStart"]),
        "caption": "",
        "global_caption": "",
        "structure": [],
        "source": "magnatagatune",
        "licence": "CC-BY-NC-SA-3.0",
        "split": split,
        "labels": labels,
    }
