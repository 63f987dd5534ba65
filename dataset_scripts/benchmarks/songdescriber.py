"""The Song Describer Dataset: 1,106 captions of 706 tracks by 142 people (Manco et al., arXiv 2311.10057)."""

from pathlib import Path

from datasets import Dataset

from ..schema import dataset_from_rows
from .owners import Owner
from .recordings import all_recordings
from .rows import benchmark_row
from .written_captions import recaptioned

SUBSETS = ("full", "valid")
_CSV, _ZIP, _LICENCES = "song_describer.csv", "audio.zip", "audio_licenses.txt"
_OWNER = Owner("SongDescriber", f"https://zenodo.org/records/10072001 ({_CSV}, {_ZIP}, {_LICENCES})")
_COLUMNS = ("caption_id", "track_id", "caption", "is_valid_subset", "path")


def load_songdescriber(folder: str | Path, subset: str = "full", captions: str | Path | None = None) -> Dataset:
    """A row in the dataset schema for each caption, in the order of the official table; a track may have several.

    Args:
        folder: holds `song_describer.csv`, the folder `audio` of the unpacked audio.zip (`audio/34/1004034.2min.mp3`:
            two minutes of each track) and, for the licence of each track, `audio_licenses.txt`.
        subset: "full" (1,106 captions of 706 tracks), or "valid" (the 746 captions of 547 tracks that the owners
            checked).
        captions: a file that the caption stage wrote for these recordings, see `recaptioned`; its captions by
            `track_id` take the place of the official ones, one a track.

    Raises:
        FileNotFoundError: the table, or the audio of a track, is absent.
        ValueError: the subset is unknown, or the table is not that of SongDescriber.
    """
    folder = Path(folder)
    if subset not in SUBSETS:
        raise ValueError(f"SongDescriber has no subset {subset!r}; it has {' and '.join(SUBSETS)}.")
    path = _OWNER.find(folder, _CSV)
    table = _OWNER.table(path, _COLUMNS)
    if subset == "valid":
        # Empty where the owners did not decide.
        table = [line for line in table if line["is_valid_subset"].lower() == "true"]
        if not table:
            raise ValueError(f"{path} marks no caption as valid.")
    audio = {line["track_id"]: _audio(folder, line["path"]) for line in table}
    if absent := [track for track, file in audio.items() if file is None]:
        first = next(line["path"] for line in table if line["track_id"] == absent[0])
        raise _OWNER.missing(
            f"{folder} lacks the audio of {len(absent)} of {len(audio)} tracks, such as audio/{_excerpt(first)}"
        )
    recordings = all_recordings(_OWNER, {track: file for track, file in audio.items() if file is not None})
    licences = _licences(folder)
    rows = [
        benchmark_row(
            recordings[line["track_id"]],
            id=f"{line['track_id']}-{line['caption_id']}",
            song_id=line["track_id"],
            caption=line["caption"],
            source="songdescriber",
            caption_source="human",
            licence=f"text CC-BY-SA-4.0, audio {licences.get(line['path'], 'Creative Commons, see ' + _LICENCES)}",
            provenance=f"zenodo.org/records/10072001, {_CSV}, caption {line['caption_id']}",
        )
        for line in table
    ]
    return dataset_from_rows(rows if captions is None else recaptioned(rows, Path(captions), _OWNER.title))


def _excerpt(path: str) -> str:
    """The table names whole tracks, `34/1004034.mp3`; audio.zip holds two minutes of each."""
    return path.removesuffix(".mp3") + ".2min.mp3"


def _audio(folder: Path, path: str) -> Path | None:
    # Archives unpack into a folder `audio` of their own, or into one within another.
    roots = (folder / "audio", folder / "audio" / "audio", folder)
    return next((root / name for root in roots for name in (_excerpt(path), path) if (root / name).is_file()), None)


def _licences(folder: Path) -> dict[str, str]:
    """Addresses of licences by the path of the track. A block of the file is path, attribution and licence."""
    if not (folder / _LICENCES).is_file():
        return {}
    blocks = (folder / _LICENCES).read_text(encoding="utf-8").replace("\r\n", "\n").split("\n\n")
    lines = [block.strip().split("\n") for block in blocks if block.strip()]
    return {block[0].strip(): block[2].rpartition(" ")[2] for block in lines if len(block) >= 3}
