"""GTZAN: 1000 excerpts of 30 s in ten genres (Tzanetakis and Cook, IEEE TSAP 10(5), 2002)."""

import logging
import re
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, List
from torchcodec.decoders import AudioDecoder

from ..schema import dataset_features, dataset_from_rows

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
# As a sentence would say them; the others are words already.
_WORDS = {"hiphop": "hip hop"}
# Does not decode in the copies that are passed around.
_KNOWN_BROKEN = ("jazz.00054",)
_TRACK = re.compile(rf"(?:{'|'.join(GENRES)})\.\d{{5}}")

logger = logging.getLogger(__name__)


def load_gtzan(folder: str | Path, tracks: str | Path | None = None) -> Dataset:
    """The excerpts as rows in the dataset schema, with their genre in the column `labels`.

    Args:
        folder: `genres`, or the folder around it: `genres/blues/blues.00000.wav`, or `.au` as the owner packed them.
            The rows name the audio where it lies.
        tracks: keeps the excerpts that this text file names, one a line, as in the lists of the fault-filtered split
            (Kereliuk et al., IEEE TMM 17(11), 2015): `blues/blues.00029.wav`, or `blues.00029` alone. By default all.

    Returns:
        Rows without captions; `labels` is a list of one class.

    Raises:
        FileNotFoundError: there is no such folder or list.
        ValueError: the folder holds no GTZAN; the list names nothing, or excerpts that are absent; or an excerpt does
            not decode. The one that is known not to, jazz.00054, is left out with a warning.
    """
    folder = Path(folder)
    files = {path.stem: path for path in _find(folder)}
    if tracks is not None:
        files = _chosen(files, Path(tracks), folder)
    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    for name, path in sorted(files.items()):
        try:
            duration = AudioDecoder(str(path)).metadata.duration_seconds
        except Exception as error:  # torchcodec raises several kinds
            duration, reason = None, str(error)
        else:
            reason = "it has no length"
        if duration:
            rows.append(_row(name, path, duration))
        elif name in _KNOWN_BROKEN:
            logger.warning("left out of GTZAN: %s does not decode, as is known of it", path)
        else:
            broken.append(f"{path.name} ({reason})")
    if broken:
        raise ValueError(f"{folder} holds {len(broken)} excerpts that do not decode: {', '.join(broken)}.")
    words = [_WORDS.get(genre, genre) for genre in GENRES]
    features = Features({**dataset_features(decode=False), "labels": List(ClassLabel(names=words))})
    return dataset_from_rows(rows, features)


def _find(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}.")
    root = folder / "genres" if (folder / "genres").is_dir() else folder
    found = [path for genre in GENRES for path in (root / genre).glob(f"{genre}.*") if path.suffix in (".wav", ".au")]
    if not found:
        raise ValueError(f"{folder} holds no GTZAN: there are no files such as genres/blues/blues.00000.wav in it.")
    return found


def _chosen(files: dict[str, Path], tracks: Path, folder: Path) -> dict[str, Path]:
    names = _TRACK.findall(tracks.read_text(encoding="utf-8"))
    if not names:
        raise ValueError(f"{tracks} names no excerpt of GTZAN, as in blues/blues.00029.wav.")
    if missing := [name for name in names if name not in files]:
        raise ValueError(f"{tracks} names {len(missing)} excerpts that {folder} lacks, {missing[0]} the first of them.")
    return {name: files[name] for name in names}


def _row(name: str, path: Path, duration: float) -> dict[str, Any]:
    genre = name.partition(".")[0]
    return {
        "id": name,
        "song_id": name,
        "audio": {"bytes": None, "path": str(path.resolve())},
        "duration": duration,
        "caption": "",
        "global_caption": "",
        "structure": [],
        "source": "gtzan",
        "licence": "not stated by the owner",
        "split": "test",
        "labels": [_WORDS.get(genre, genre)],
    }
