"""POP909 (Wang et al., 2020, MIT) with the human section labels of Dai et al. (2020, MIT) as compositions.

Their owners publish them at https://github.com/music-x-lab/POP909-Dataset and
https://github.com/Dsqvival/hierarchical-structure-analysis. The labels count bars on a grid of their own, so a compact
copy is needed that adds their times in seconds.

Expected layout, as a folder or as the `.tar.xz` archive of it: `midi/NNN.mid` (tracks MELODY, BRIDGE, PIANO),
`annotations/NNN_{beat_midi,chord_midi,key_audio}.txt`, `structure.jsonl` (section letters with `segments1_sec`, and how
well they fit the MIDI), `split.csv`. Only songs whose section times fit the melody are used.
"""

import csv
import json
import logging
import re
import tarfile
from pathlib import Path
from typing import Literal, cast

import numpy as np
from symusic import Score

from .composition import Chord, Composition, Note
from .form import Phrase, functional_sections
from .harmony import pitch_class, pitch_classes

LICENCE = "MIT"
MIN_ALIGNMENT = 0.9  # share of melody onsets within 120 ms of where the section labels expect them
SHORTEST_SONG, LONGEST_SONG = 120.0, 300.0  # seconds
_TAIL = 8.0  # seconds; what sounds longer than this after the last labelled phrase is an outro of its own
_FILES = re.compile(
    r"(?:^|/)(midi/\d+\.mid|annotations/\d+_(?:beat_midi|chord_midi|key_audio)\.txt|structure\.jsonl|split\.csv)$"
)

logger = logging.getLogger(__name__)


def load_pop909(root: Path) -> list[Composition]:
    """Every well-aligned POP909 song, in the order of its number: 517 for training, 100 for validation.

    Songs shorter than two minutes are left out, those longer than five end at the last phrase boundary before that.
    Time 0 is the beat of the first note.

    Args:
        root: the extracted folder, or the `.tar.xz` archive itself (read in memory, nothing is written).

    Raises:
        FileNotFoundError: `root`, its `structure.jsonl` or its `split.csv` does not exist.
    """
    files = _read_files(Path(root))
    for name in ("structure.jsonl", "split.csv"):
        if name not in files:
            raise FileNotFoundError(f"{root} holds no {name}: it is not a POP909 folder or archive")
    split = {row["song_id"]: row["split"] for row in csv.DictReader(files["split.csv"].decode().splitlines())}
    structures = [json.loads(line) for line in files["structure.jsonl"].decode().splitlines() if line.strip()]
    songs: list[Composition] = []
    skipped: list[str] = []
    short = 0
    for structure in sorted(structures, key=lambda row: row["song_id"]):
        song_id = structure["song_id"]
        fit = (structure.get("align") or {}).get("share_of_melody_onsets_within_120ms") or 0.0
        if fit < MIN_ALIGNMENT or song_id not in split:
            continue
        try:
            song = _read_song(song_id, structure, split[song_id], files)
        except Exception as error:  # one bad file must not cost the other songs
            skipped.append(song_id)
            logger.warning("POP909 song %s is skipped: %s: %s", song_id, type(error).__name__, error)
            continue
        if song.duration >= SHORTEST_SONG:
            songs.append(song)
        else:
            short += 1
    logger.info("POP909: %d songs read, %d skipped, %d shorter than 2 minutes", len(songs), len(skipped), short)
    return songs


def _read_files(root: Path) -> dict[str, bytes]:
    """The files that matter, by their path inside the data set."""
    if root.is_dir():
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return {match[1]: path.read_bytes() for name, path in found.items() if (match := _FILES.search(name))}
    if not root.is_file():
        raise FileNotFoundError(f"no POP909 folder or archive at {root}")
    files = {}
    with tarfile.open(root, "r|*") as archive:
        for member in archive:
            match, content = _FILES.search(member.name), archive.extractfile(member)
            if match and content:
                files[match[1]] = content.read()
    return files


def _read_song(song_id: str, structure: dict, split: str, files: dict[str, bytes]) -> Composition:
    """One song as a composition; raises whatever is wrong with its files."""
    score = Score.from_midi(files[f"midi/{song_id}.mid"], ttype="second")
    tracks = {track.name: track.notes.numpy() for track in score.tracks}  # type: ignore[union-attr]  # symusic's stubs
    if "MELODY" not in tracks or not len(tracks["MELODY"]["time"]):
        raise ValueError("the MIDI file has no MELODY track")
    first_note = min(track["time"].min() for track in tracks.values() if len(track["time"]))
    last_note = max((track["time"] + track["duration"]).max() for track in tracks.values() if len(track["time"]))

    grid = np.loadtxt(
        files[f"annotations/{song_id}_beat_midi.txt"].decode().splitlines(), ndmin=2
    )  # time, two kinds of downbeat
    beats = _extended(grid[:, 0], float(last_note))
    origin = float(beats[beats <= first_note + 0.05][-1])
    end = float(last_note) - origin
    beats = beats - origin
    beats = beats[(beats > -0.02) & (beats < end)].clip(min=0.0)
    labelled = [(letter, start - origin, stop - origin) for letter, _, start, stop in structure["segments1_sec"]]
    phrases = _phrases(labelled, end)
    beats_per_bar, downbeats = _bars(beats, grid[:, 0] - origin, grid[:, 1], [phrase.start for phrase in phrases])

    duration = end
    if end > LONGEST_SONG:
        duration = max((phrase.end for phrase in phrases if phrase.end <= LONGEST_SONG), default=LONGEST_SONG)
    melody = _notes(tracks["MELODY"], origin, end)
    tonic, mode = _key(structure["analyzed_key"] or files[f"annotations/{song_id}_key_audio.txt"].decode().split()[-1])
    return Composition(
        id=f"pop909-{song_id}",
        source="pop909",
        licence=LICENCE,
        split=cast(Literal["train", "validation"], split),
        duration=duration,
        tempo_bpm=round(60.0 / float(np.median(np.diff(beats))), 2),
        beats_per_bar=beats_per_bar,
        tonic=tonic,
        mode=mode,
        beats=tuple(beats[beats < duration].tolist()),
        downbeats=tuple(downbeats[downbeats < duration].tolist()),
        chords=_chords(files[f"annotations/{song_id}_chord_midi.txt"].decode(), origin, duration),
        sections=functional_sections(phrases, melody, downbeats.tolist(), duration),
        melody=_notes(tracks["MELODY"], origin, duration),
        counter_melody=_notes(tracks.get("BRIDGE"), origin, duration),
        accompaniment=_notes(tracks.get("PIANO"), origin, duration),
    )


def _notes(track: dict[str, np.ndarray] | None, origin: float, duration: float) -> tuple[Note, ...]:
    """A track's notes with times from `origin`, in order, cut at `duration`."""
    if track is None:
        return ()
    rows = zip(*(track[name].tolist() for name in ("time", "duration", "pitch", "velocity")), strict=True)
    notes = [
        Note(max(start - origin, 0.0), min(length, duration - (start - origin)), pitch, max(velocity, 1))
        for start, length, pitch, velocity in rows
        if length > 0.01 and start - origin < duration - 0.05
    ]
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))


def _extended(beats: np.ndarray, end: float) -> np.ndarray:
    """The beat track continued at its own pace to before 0 and past `end` seconds."""
    pace = float(np.median(np.diff(beats)))
    before = np.arange(beats[0] - pace, -pace, -pace)[::-1]
    after = np.arange(beats[-1] + pace, end + pace, pace)
    return np.concatenate([before, beats, after])


def _bars(beats: np.ndarray, grid: np.ndarray, marks: np.ndarray, phrase_starts: list[float]) -> tuple[int, np.ndarray]:
    """Beats per bar and the downbeats, in seconds.

    The annotated marks tell three from two beats but not always which beat of four is the first; the phrases do, as
    they begin on bars.
    """
    triple = round(float(np.median(np.diff(np.flatnonzero(marks))))) == 3
    beats_per_bar = 3 if triple else 4
    wanted = grid[marks > 0] if triple else np.array(phrase_starts)
    nearest = np.abs(beats[:, None] - wanted[None]).argmin(0)
    phase = int(np.bincount(nearest[wanted > 0.1] % beats_per_bar, minlength=beats_per_bar).argmax())
    return beats_per_bar, beats[phase::beats_per_bar]


def _phrases(labelled: list[tuple[str, float, float]], end: float) -> list[Phrase]:
    """Labelled spans made contiguous over [0, end]: what sounds around them joins them, or stands for itself."""
    spans = [
        (letter, max(start, 0.0), min(stop, end))
        for letter, start, stop in labelled
        if min(stop, end) - max(start, 0.0) > 0.5
    ]
    if spans[0][1] > _TAIL:
        spans.insert(0, ("i", 0.0, spans[0][1]))
    if end - spans[-1][2] > _TAIL:
        spans.append(("o", spans[-1][2], end))
    bounds = [0.0, *(start for _, start, _ in spans[1:]), end]
    return [Phrase(letter, bounds[i], bounds[i + 1]) for i, (letter, _, _) in enumerate(spans)]


def _key(text: str) -> tuple[int, Literal["major", "minor"]]:
    """The first of the analysed keys, such as `Gb:maj`: tonic 0-11 and mode."""
    name, _, mode = text.split()[0].partition(":")
    return pitch_class(name), "minor" if mode.startswith("min") else "major"


def _chords(text: str, origin: float, duration: float) -> tuple[Chord, ...]:
    """Harte labels (`start end root:quality/bass`) as chords inside [0, duration]; a chord that goes on is one."""
    chords: list[Chord] = []
    for line in text.splitlines():
        start_text, end_text, label = line.split()
        start, end = max(float(start_text) - origin, 0.0), min(float(end_text) - origin, duration)
        if label == "N" or end - start < 0.01:
            continue
        root_name, _, quality = label.partition(":")
        root, quality = pitch_class(root_name), quality.partition("/")[0].replace("sus4(b7)", "7sus4") or "maj"
        previous = chords[-1] if chords else None
        if previous and (previous.root, previous.quality) == (root, quality) and start - previous.end < 0.02:
            start = chords.pop().start
        chords.append(Chord(start, end, root, quality, pitch_classes(root, quality)))
    return tuple(chords)
