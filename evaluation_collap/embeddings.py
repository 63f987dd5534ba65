"""Encodings on disk: what was encoded once, by whichever command, is never encoded again."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from datasets import Audio, Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from dataset_scripts.whole_files import whole_file
from processing_collap import load_audio

from .scorers.base import Encoded, Scorer


@dataclass(frozen=True, slots=True)
class BrokenTrack:
    """A track that cannot be decoded or heard: its row, counted from 0, its id, and why."""

    row: int
    id: str
    reason: str


class BrokenTracksError(ValueError):
    """Some tracks of a dataset cannot be evaluated; the message names them all."""

    def __init__(self, broken: Sequence[BrokenTrack]):
        self.broken = tuple(broken)
        lines = [f"row {track.row} ({track.id}): {track.reason}" for track in broken]
        super().__init__("\n  ".join([f"{len(broken)} tracks cannot be used:", *lines]))


class EncodedTracks(Sequence[Encoded]):
    """The encodings of a dataset's tracks, each read from disk when it is asked for.

    Attributes:
        rows: the rows that are encoded, in order: those of the dataset without the broken ones.
        digests: SHA-256 of the samples of every track.
        broken: the rows that are left out.
    """

    def __init__(self, rows: Dataset, digests: Sequence[str], files: Sequence[Path], broken: Sequence[BrokenTrack]):
        self.rows = rows
        self.digests = tuple(digests)
        self.broken = tuple(broken)
        self._files = tuple(files)

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [load_file(file) for file in self._files[index]]
        return load_file(self._files[index])


class EmbeddingCache(Scorer):
    """A scorer that remembers on disk what it has encoded.

    It is a `Scorer` itself: whatever takes one, a probe for example, takes this one and can be cut short and run again.
    An encoding belongs to the samples of its track, or to its text, and to the fingerprints of the scorer, so that
    neither ids nor files' names matter. Every file is whole or absent.

    Args:
        folder: of the caches of all scorers; this one's is a subfolder that is named after the fingerprint.
        progress: show bars.

    Attributes:
        tracks_encoded: how many this object has encoded itself.
    """

    def __init__(self, folder: Path, scorer: Scorer, *, progress: bool = True):
        self.scorer = scorer
        self.folder = folder / hashlib.sha256(scorer.fingerprint.encode()).hexdigest()[:16]
        self.progress = progress
        self.name = scorer.name
        self.sampling_rate = scorer.sampling_rate
        self.can_locate = scorer.can_locate
        self.tracks_encoded = 0
        self._describe()

    @property
    def fingerprint(self) -> str:
        return self.scorer.fingerprint

    @property
    def text_fingerprint(self) -> str:
        return self.scorer.text_fingerprint

    @property
    def protocol(self) -> dict[str, str]:
        return self.scorer.protocol

    @property
    def settings(self) -> dict[str, Any]:
        return self.scorer.settings

    def tracks(self, rows: Dataset, *, skip_broken: bool = False) -> EncodedTracks:
        """Encodes what is not on disk yet, in the order of the rows; on disk, what is encoded stays so.

        Args:
            rows: with the columns `id` and `audio`.
            skip_broken: leave tracks out that cannot be decoded or heard.

        Raises:
            BrokenTracksError: there are such tracks; only after all others have been encoded.
        """
        sources = rows.select_columns(["id", "audio"]).cast_column("audio", Audio(decode=False))
        digests: list[str] = []
        kept: list[int] = []
        broken: list[BrokenTrack] = []
        for index, row in enumerate(self._bar(sources, f"Encoding tracks with {self.name}")):
            try:
                digests.append(self._track(row["audio"]))
                kept.append(index)
            except (ValueError, OSError) as error:
                broken.append(BrokenTrack(index, row["id"], str(error)))
        if broken and not skip_broken:
            raise BrokenTracksError(broken)
        files = [self._file("tracks", digest) for digest in digests]
        return EncodedTracks(rows.select(kept) if broken else rows, digests, files, broken)

    def texts(self, texts: Sequence[str]) -> list[Encoded]:
        """Encodes what is not on disk yet."""
        return [self.encode_text(text) for text in self._bar(texts, f"Encoding texts with {self.name}")]

    def encode_track(self, samples: np.ndarray) -> Encoded:
        samples = np.ascontiguousarray(samples, np.float32)
        return load_file(self._encode_samples(samples, _digest(samples)))

    def encode_text(self, text: str) -> Encoded:
        file = self._file("texts", _digest(f"{self.text_fingerprint}{text}".encode()))
        if not file.exists():
            _save(self.scorer.encode_text(text), file)
        return load_file(file)

    @property
    def device(self) -> str:
        return self.scorer.device

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        return self.scorer.score(tracks, texts)

    def is_cut(self, text: str) -> bool | None:
        return self.scorer.is_cut(text)

    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        return self.scorer.relevance(track, text)

    def _track(self, audio: Mapping[str, Any]) -> str:
        """Digest of the samples of a track that is on disk now. Encoded audio that was seen before is not decoded."""
        content = _content(audio)
        seen = self.folder / "sources" / f"{_digest(content)}.txt"
        if seen.exists() and self._file("tracks", digest := seen.read_text()).exists():
            return digest
        samples = _decode(content, audio, self.sampling_rate)
        digest = _digest(samples)
        self._encode_samples(samples, digest)
        seen.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(seen) as temporary:
            temporary.write_text(digest)
        return digest

    def _encode_samples(self, samples: np.ndarray, digest: str) -> Path:
        file = self._file("tracks", digest)
        if not file.exists():
            _save(self.scorer.encode_track(samples), file)
            self.tracks_encoded += 1
        return file

    def _file(self, kind: str, digest: str) -> Path:
        return self.folder / kind / digest[:2] / f"{digest}.safetensors"

    def _bar(self, items: Any, description: str) -> Iterator[Any]:
        return tqdm(items, description, disable=not self.progress or not len(items))

    def _describe(self) -> None:
        """Says in the folder whose encodings these are, for those who clear caches."""
        file = self.folder / "scorer.json"
        if file.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {"name": self.name, "fingerprint": self.fingerprint, "protocol": self.protocol}
        with whole_file(file) as temporary:
            temporary.write_text(json.dumps(about, indent=2) + "\n")


def load_samples(audio: Mapping[str, Any], sampling_rate: int) -> np.ndarray:
    """The whole track of a row's `audio` that was not decoded: (samples,) mono float32 at `sampling_rate`.

    Raises:
        OSError: there is no such file.
        ValueError: it does not decode.
    """
    return _decode(_content(audio), audio, sampling_rate)


def _content(audio: Mapping[str, Any]) -> bytes:
    return audio["bytes"] if audio["bytes"] is not None else Path(audio["path"]).read_bytes()


def _decode(content: bytes, audio: Mapping[str, Any], sampling_rate: int) -> np.ndarray:
    try:
        return load_audio(content, sampling_rate=sampling_rate).numpy()
    except ValueError as error:
        raise ValueError(f"{audio['path']}: {error}" if audio["path"] else str(error)) from error


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()


def _save(encoded: Encoded, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in encoded.items()}, temporary)
