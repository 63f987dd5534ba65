"""What goes into a library: songs that no model of this project has heard, or the files of a folder."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from dataset_scripts.songbook.arrangement import Arrangement
from dataset_scripts.songbook.caption import write_caption
from dataset_scripts.songbook.caption_sentences import key_name
from dataset_scripts.songbook.render import render
from dataset_scripts.whole_files import whole_file
from retrieval_collap.audio_files import find_audio
from retrieval_collap.index.metadata import read_metadata
from retrieval_collap.queries import QUERIES
from retrieval_collap.songs import choose_songs

from .results import Section

# MP3 is what every browser plays. The models hear up to 8 kHz, and a listener of a rendered song up to 12 kHz; of the
# user's own tracks, all that there is, in stereo.
_SONG_HERTZ, _SONG_BITS_PER_SECOND = 24_000, 48_000
_FILE_HERTZ, _FILE_BITS_PER_SECOND = 44_100, 96_000
_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A track that is to be in the library.

    Attributes:
        name: of its audio file; another sound has another name.
        source: where it is from, in words.
        write: writes the audio file, in any process.

    The others are those of `TrackView`.
    """

    id: str
    title: str
    name: str
    licence: str
    source: str
    write: Callable[[Path], None]
    caption: str = ""
    sections: tuple[Section, ...] = ()


def song_entries(number: int, seed: int) -> list[Entry]:
    """Songs of the songwriter's test split with their captions, the same for the same numbers."""
    entries = []
    titles: dict[str, int] = {}
    for arrangement in choose_songs(number, QUERIES, seed):
        song, caption = arrangement.composition, write_caption(arrangement)
        title = f"{arrangement.genre.capitalize()}, {key_name(song.tonic, song.mode)}, {song.tempo_bpm:.0f} BPM"
        titles[title] = titles.get(title, 0) + 1
        entries.append(
            Entry(
                id=arrangement.id,
                title=title if titles[title] == 1 else f"{title} (no. {titles[title]})",
                name=f"{arrangement.id}.mp3",
                licence=song.licence,
                source="composed by this project's songwriter for testing, and heard by no model in training",
                write=partial(_write_song, arrangement),
                caption=caption.caption,
                sections=tuple(Section(part.start, part.end, part.label, part.caption) for part in caption.passages),
            )
        )
    return entries


def file_entries(folder: Path, licence: str) -> list[Entry]:
    """The audio files of a folder; nobody has said what is heard in them.

    Raises:
        OSError: there is no folder, or no audio file in it.
    """
    return [_file_entry(path, path.relative_to(folder).as_posix(), licence) for path in find_audio(folder)]


def _file_entry(path: Path, track_id: str, licence: str) -> Entry:
    stat = path.stat()
    digest = hashlib.sha256(f"{track_id} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    return Entry(
        id=track_id,
        title=read_metadata(path).title,
        name=f"{digest}.mp3",
        licence=licence,
        source=f"the file {track_id}",
        write=partial(_write_copy, path),
    )


def _write_song(arrangement: Arrangement, path: Path) -> None:
    samples = torch.from_numpy(render(arrangement, sampling_rate=_SONG_HERTZ))[None]  # (1, samples)
    _write(samples, _SONG_HERTZ, _SONG_BITS_PER_SECOND, path)


def _write_copy(source: Path, path: Path) -> None:
    """
    Raises:
        ValueError: the source does not decode.
    """
    from torchcodec.decoders import AudioDecoder

    try:
        samples = AudioDecoder(source, sample_rate=_FILE_HERTZ).get_all_samples().data  # (channels, samples)
    except Exception as error:  # torchcodec raises several kinds
        raise ValueError("it does not decode") from error
    if not samples.isfinite().all():
        raise ValueError("it holds samples that are no numbers")
    if len(samples) > _CHANNELS:
        samples = samples.mean(0, keepdim=True)
    _write(samples.clamp(-1, 1), _FILE_HERTZ, _FILE_BITS_PER_SECOND, path)


def _write(samples: torch.Tensor, hertz: int, bits_per_second: int, path: Path) -> None:
    from torchcodec.encoders import AudioEncoder

    with whole_file(path) as temporary:
        encoded = AudioEncoder(samples, sample_rate=hertz).to_tensor("mp3", bit_rate=bits_per_second)
        temporary.write_bytes(encoded.numpy().tobytes())
