"""Stage `filter`: recordings of the right length that decode to their end and can be heard."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from .stage import Dropped, ItemError, Row, RowStage

_FULL_SCALE = 32767
# A header may promise so much more, in seconds and as a share, than is decoded: rounding, and priming of codecs.
_SLACK, _SLACK_SHARE = 1.0, 0.01


@dataclass(frozen=True)
class Hearing:
    """What decoding a recording to its end has shown."""

    seconds: float
    complete: bool
    """Whether the decoder had nothing to complain of."""
    silent_share: float
    """Seconds that are silent, as a share of all."""
    clipped_share: float
    """Samples at full scale, as a share of all."""
    fingerprint: bytes
    """Chromaprint's, about 8 little-endian uint32 per second."""


@dataclass
class Filter(RowStage):
    """Keeps what lasts `min_seconds` to `max_seconds` and can be heard; fills `duration` and `fingerprint`."""

    name: ClassVar[str] = "filter"
    incidental: ClassVar[tuple[str, ...]] = ("work", "block_size")

    work: Path
    min_seconds: float = 120.0
    max_seconds: float = 300.0
    silence_dbfs: float = -60.0
    """A second whose root mean square lies below is silent; a full-scale square wave has 0 dB."""
    max_silent_share: float = 0.5
    max_clipped_share: float = 0.1
    block_size: int | None = None

    def check(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds:
            raise ValueError(
                f"filter: 0 < min_seconds < max_seconds must hold, not {self.min_seconds:g} and {self.max_seconds:g}"
            )
        for option in ("max_silent_share", "max_clipped_share"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"filter.{option} must be a share from 0 to 1, not {getattr(self, option):g}")
        for program in ("ffmpeg", "ffprobe"):
            if shutil.which(program) is None:
                raise FileNotFoundError(f"filter needs the program {program}: install FFmpeg")
        muxers = subprocess.run(["ffmpeg", "-v", "error", "-muxers"], capture_output=True, text=True, check=True)
        if "chromaprint" not in muxers.stdout:
            raise ValueError("filter needs an FFmpeg with chromaprint, and `ffmpeg -muxers` here does not list it")

    def process(self, row: Row) -> Row | Dropped:
        path = self.work / row["path"]
        if not path.is_file():
            raise ItemError(row["id"], f"its audio file {path} is not there")
        audio = probe(path)
        if audio is None:
            return self.drop(row, "broken: no audio that FFmpeg reads")
        if audio.seconds is not None and (reason := self._wrong_length(audio.seconds)):
            return self.drop(row, reason)  # without decoding hours
        heard = listen(path, audio, self.max_seconds + 1, self.silence_dbfs)
        if not heard.complete or (audio.seconds or 0) > heard.seconds * (1 + _SLACK_SHARE) + _SLACK:
            told = "" if audio.seconds is None else f" of {audio.seconds:.0f} s"
            return self.drop(row, f"broken: decodes to {heard.seconds:.0f} s{told}")
        reason = self._wrong_length(heard.seconds)
        if not reason and heard.silent_share > self.max_silent_share:
            reason = f"silent: {heard.silent_share:.0%} of its length"
        if not reason and heard.clipped_share > self.max_clipped_share:
            reason = f"clipped: {heard.clipped_share:.0%} of its samples"
        if reason:
            return self.drop(row, reason)
        return row | {"duration": heard.seconds, "fingerprint": heard.fingerprint}

    def _wrong_length(self, seconds: float) -> str | None:
        if seconds < self.min_seconds:
            return f"too short: {seconds:.1f} s, less than {self.min_seconds:g} s"
        if seconds > self.max_seconds:
            return f"too long: {seconds:.1f} s, more than {self.max_seconds:g} s"
        return None


@dataclass(frozen=True)
class AudioStream:
    """What a file says of its first audio stream."""

    sampling_rate: int
    channels: int
    seconds: float | None


def probe(path: Path) -> AudioStream | None:
    """What the file's header says; None where there is no audio in it."""
    entries = "stream=sample_rate,channels,duration:format=duration"
    command = ["ffprobe", "-v", "quiet", "-select_streams", "a:0", "-show_entries", entries, "-of", "json"]
    result = subprocess.run([*command, f"file:{path}"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    told = json.loads(result.stdout or "{}")
    if result.returncode or not told.get("streams"):
        return None
    stream = told["streams"][0]
    seconds = stream.get("duration") or told.get("format", {}).get("duration")
    rate, channels = int(stream.get("sample_rate", 0)), int(stream.get("channels", 0))
    return AudioStream(rate, channels, float(seconds) if seconds else None) if rate and channels else None


def listen(path: Path, audio: AudioStream, longest: float, silence_dbfs: float) -> Hearing:
    """Decode a recording once, in a process of its own and a second at a time.

    Args:
        longest: seconds after which no more is decoded.
        silence_dbfs: see `Filter`.
    """
    threshold = 10 ** (silence_dbfs / 20) * _FULL_SCALE
    samples = silent = clipped = blocks = 0
    with tempfile.TemporaryDirectory(prefix="collap-") as folder:
        prints = Path(folder) / "fingerprint"
        command = ["ffmpeg", "-nostdin", "-v", "quiet", "-xerror", "-threads", "1", "-i", f"file:{path}"]
        limit = ["-map", "0:a:0", "-t", f"{longest:g}"]
        pcm = ["-f", "s16le", "-ar", f"{audio.sampling_rate}", "-ac", f"{audio.channels}", "pipe:1"]
        chromaprint = ["-f", "chromaprint", "-fp_format", "raw", str(prints)]
        with subprocess.Popen([*command, *limit, *pcm, *limit, *chromaprint], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while block := process.stdout.read(2 * audio.channels * audio.sampling_rate):
                values = np.frombuffer(block[: len(block) // 2 * 2], dtype="<i2").astype(np.float32)
                samples += len(values)
                clipped += int((np.abs(values) >= _FULL_SCALE).sum())
                silent += bool(np.sqrt(np.mean(values**2)) < threshold)
                blocks += 1
        fingerprint = prints.read_bytes() if prints.exists() else b""
    return Hearing(
        seconds=samples / audio.channels / audio.sampling_rate,
        complete=process.returncode == 0,
        silent_share=silent / max(blocks, 1),
        clipped_share=clipped / max(samples, 1),
        fingerprint=fingerprint,
    )
