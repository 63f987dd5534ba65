"""A file that a user gave: looked at before it is decoded, decoded, and refused with a sentence that helps."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from evaluation_collap.timeline import clock
from processing_collap import load_audio

from .limits import MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SECONDS, MIN_SECONDS, SILENCE, SpaceError

_FLOAT_BYTES = 4
# Text files that FFmpeg takes for lists of other files, which it would open.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<MPD", b"v=0")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that may well be audio.

    Attributes:
        digest: SHA-256 of its bytes.
    """

    path: Path
    digest: str

    @property
    def name(self) -> str:
        return f"“{self.path.name}”"

    @classmethod
    def of(cls, path: Path) -> "Upload":
        """
        Raises:
            SpaceError: it is not there, empty, or too large.
        """
        name = f"“{path.name}”"
        if not path.is_file():
            raise SpaceError(f"The file {name} is not there (any more); please choose it again.")
        size = path.stat().st_size
        if not size:
            raise SpaceError(f"The file {name} is empty.")
        if size > MAX_FILE_BYTES:
            raise SpaceError(
                f"The file {name} has {size / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} MB can be read. "
                "A compressed copy (MP3, Opus) will do."
            )
        with path.open("rb") as file:
            return cls(path, hashlib.file_digest(file, "sha256").hexdigest())

    def decode(self, sampling_rate: int) -> Tensor:
        """The whole track as mono (samples,).

        Raises:
            SpaceError: it is no audio, damaged, silent, too short or too long.
        """
        self._look()
        try:
            # A second more shows that it is too long, where its header did not say so.
            samples = load_audio(self.path, sampling_rate, end_seconds=MAX_SECONDS + 1)
        except ValueError as error:
            raise SpaceError(f"The file {self.name} is damaged and cannot be decoded.") from error
        self._check_duration(len(samples) / sampling_rate)
        if float(samples.abs().max()) < SILENCE:
            raise SpaceError(f"The file {self.name} is silent: there is nothing to hear in it.")
        return samples

    def _look(self) -> None:
        """Refuse by what the file says of itself, before anything is decoded."""
        from torchcodec.decoders import AudioDecoder

        with self.path.open("rb") as file:
            if file.read(64).lstrip(b"\xef\xbb\xbf \r\n").startswith(_PLAYLISTS):
                raise SpaceError(f"The file {self.name} is a list of files or other text, not audio.")
        try:
            metadata = AudioDecoder(self.path).metadata
        except Exception as error:  # torchcodec raises several kinds
            raise SpaceError(
                f"The file {self.name} cannot be read as audio: it holds none, or is damaged. MP3, WAV, FLAC, Ogg, M4A "
                "and the sound of videos can be read."
            ) from error
        seconds = metadata.duration_seconds_from_header
        if seconds is None:
            seconds = MAX_SECONDS  # as long as it may be; recordings of browsers do not say
        else:
            self._check_duration(seconds)
        rate, channels = metadata.sample_rate or 0, metadata.num_channels or 0
        if seconds * rate * channels * _FLOAT_BYTES > MAX_DECODED_BYTES:
            raise SpaceError(
                f"The file {self.name} has {channels} channels at {rate / 1000:g} kHz, which is too much for "
                f"{clock(seconds)} minutes; a copy in stereo at 44.1 kHz will do."
            )

    def _check_duration(self, seconds: float) -> None:
        if seconds > MAX_SECONDS:
            raise SpaceError(
                f"The file {self.name} lasts more than the limit of {clock(MAX_SECONDS)} minutes"
                + (f": {clock(seconds)}." if seconds > MAX_SECONDS + 1 else ".")
            )
        if seconds < MIN_SECONDS:
            raise SpaceError(f"The file {self.name} lasts {seconds:.2f} s; at least {MIN_SECONDS:g} s are needed.")
