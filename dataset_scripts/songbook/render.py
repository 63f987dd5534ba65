"""From an arrangement to sound: synthesise the parts, balance them, set the level, encode."""

import hashlib
import os
import subprocess
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from symusic import Note as SynthNote
from symusic import Score, Synthesizer, Track
from torchcodec.encoders import AudioEncoder

from .arrangement import Arrangement, Role
from .composition import Note
from .orchestration import INSTRUMENTS

AudioFormat = Literal["flac", "ogg"]

# Decibels of each role in the mix; the melody stands out.
ROLE_LEVEL: dict[Role, float] = {
    "melody": 0.0,
    "counter-melody": -5.0,
    "accompaniment": -7.0,
    "pad": -10.0,
    "bass": -4.0,
    "drums": -4.0,
}
VELOCITY_STEP = 8
LOUDEST_STEM = 16.0  # a full orchestral chord reaches about 5 in the synthesiser's own scale
TARGET_RMS = 0.11  # of the whole song
CENTRES = {player.program: (player.low + player.high) // 2 for player in INSTRUMENTS}
KNEE, CEILING = 0.8, 0.99  # peaks above are rounded off, so that nothing clips


def default_soundfont() -> Path:
    """TimGM6mb, the General MIDI SoundFont that pretty_midi carries in its wheel."""
    spec = find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pretty_midi, which carries the default SoundFont TimGM6mb.sf2, is not installed")
    return Path(spec.origin).parent / "TimGM6mb.sf2"


def render(
    arrangement: Arrangement,
    soundfont: str | os.PathLike[str] | None = None,
    sampling_rate: int = 16_000,
    *,
    augment: bool = False,
) -> np.ndarray:
    """Play the arrangement: float32 mono samples of shape (duration * sampling_rate,), within [-1, 1].

    Two renderings of one arrangement sound the same but may differ in samples the synthesiser leaves unset.
    The song as a whole is brought to one level; how its sections differ is kept. `augment` adds a gain, a room and a
    tilt of the spectrum, drawn from the arrangement's id.
    """
    path = str(soundfont or default_soundfont())
    if not Path(path).is_file():
        raise FileNotFoundError(f"SoundFont {path} does not exist")
    samples = round(arrangement.composition.duration * sampling_rate)
    mix = np.zeros(samples, dtype=np.float32)
    for (role, program, is_drum, velocity), notes in _stems(arrangement).items():
        first = int(notes[0].start * sampling_rate)
        stem = _play(path, sampling_rate, program, is_drum, notes, first / sampling_rate)[: samples - first]
        gain = 10 ** (ROLE_LEVEL[role] / 20) * (velocity / 127) ** 1.6
        gain /= _reference_level(path, sampling_rate, program, is_drum)
        mix[first : first + len(stem)] += np.float32(gain) * stem
    level = float(np.sqrt(np.mean(np.square(mix))))
    if level > 0:
        mix *= TARGET_RMS / level
    if augment:
        mix = _augment(mix, sampling_rate, np.random.default_rng(seed_of(arrangement.id)))
    return _limit(mix)


def encode(audio: np.ndarray, sampling_rate: int, audio_format: AudioFormat = "flac") -> bytes:
    """Encode mono float32 samples of shape (samples,) to the bytes of a FLAC or an Ogg Vorbis file."""
    if audio_format == "flac":
        # Samples on a grid of 16 bits: FLAC finds the empty low bits, and the file is half as large.
        samples = torch.from_numpy(np.round(audio * 32767).astype(np.float32) / 32768)
        encoder = AudioEncoder(samples.unsqueeze(0), sample_rate=sampling_rate)
        return encoder.to_tensor("flac").numpy().tobytes()
    # torchcodec 0.11 takes minutes for a few minutes of a lossy format, so Ogg goes through FFmpeg itself.
    source = ["-f", "f32le", "-ar", str(sampling_rate), "-ac", "1", "-i", "pipe:0"]
    target = ["-c:a", "libvorbis", "-q:a", "4", "-f", "ogg", "pipe:1"]
    command = ["ffmpeg", "-v", "error", *source, *target]
    return subprocess.run(command, input=audio.astype("<f4").tobytes(), capture_output=True, check=True).stdout


def _stems(arrangement: Arrangement) -> dict[tuple[Role, int, bool, int], list[Note]]:
    """The song's notes, ascending, by (role, program, is_drum, velocity), each group to be played alone.

    That lets the instruments be balanced; and as symusic's synthesiser plays every velocity alike, loudness has to be
    given here, in steps of `VELOCITY_STEP`.
    """
    stems: dict[tuple[Role, int, bool, int], list[Note]] = defaultdict(list)
    for section in arrangement.sections:
        for part in section.parts:
            for note in part.notes:
                velocity = (note.velocity // VELOCITY_STEP) * VELOCITY_STEP + VELOCITY_STEP // 2
                stems[part.role, part.program, part.is_drum, velocity].append(note)
    for notes in stems.values():
        notes.sort(key=lambda note: note.start)
    return stems


@cache
def _synthesizer(soundfont: str, sampling_rate: int) -> Any:
    return Synthesizer(sf_path=soundfont, sample_rate=sampling_rate, quality=0)


def _play(
    soundfont: str, sampling_rate: int, program: int, is_drum: bool, notes: list[Note], origin: float = 0.0
) -> np.ndarray:
    """One instrument's notes as mono samples of shape (samples,), from second `origin` on, all equally loud."""
    track: Any = Track("", program, is_drum, ttype="second")
    track.notes = SynthNote.from_numpy(
        time=np.array([note.start - origin for note in notes], dtype=np.float32),
        duration=np.array([note.duration for note in notes], dtype=np.float32),
        pitch=np.array([note.pitch for note in notes], dtype=np.int8),
        velocity=np.full(len(notes), 100, dtype=np.int8),
        ttype="second",
    )
    score: Any = Score(480, "second")
    score.tracks.append(track)
    samples = np.asarray(_synthesizer(soundfont, sampling_rate).render(score, stereo=False))[0]
    # symusic 0.5.9 leaves a few samples at the end of some notes unset: whatever they hold, it must not spoil the song.
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -LOUDEST_STEM, LOUDEST_STEM)


@cache
def _reference_level(soundfont: str, sampling_rate: int, program: int, is_drum: bool) -> float:
    """How loud the SoundFont makes this instrument: RMS of a phrase in the middle of its range."""
    centre = CENTRES.get(program, 60)
    pitches = (36, 42, 38, 42) * 2 if is_drum else tuple(centre + step for step in (0, 4, 7, 4, 0, -5, 0, 4))
    notes = [Note(0.25 * i, 0.25, pitch, 90) for i, pitch in enumerate(pitches)]
    phrase = _play(soundfont, sampling_rate, program, is_drum, notes)
    level = float(np.sqrt(np.mean(np.square(phrase))))
    return max(level, 1e-3)


def _limit(audio: np.ndarray) -> np.ndarray:
    """Round off what exceeds the knee, smoothly and below 1."""
    excess = np.maximum(np.abs(audio) - KNEE, 0.0)
    rounded = KNEE + (CEILING - KNEE) * np.tanh(excess / (CEILING - KNEE))
    return np.where(excess > 0, np.sign(audio) * rounded, audio).astype(np.float32)


def seed_of(name: str) -> int:
    """A number that depends on nothing but `name`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _augment(audio: np.ndarray, sampling_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A light room, a spectral tilt of up to 3 dB a decade and a gain of -9 to 0 dB."""
    size = 1 << (sampling_rate // 2).bit_length()
    decay = rng.uniform(0.15, 0.6)  # seconds to -60 dB
    time = np.arange(size) / sampling_rate
    room = rng.standard_normal(size) * 10 ** (-3 * time / decay)
    room *= rng.uniform(0.05, 0.35) / np.sqrt(np.square(room).sum())
    room[0] = 1.0
    frequency = np.maximum(np.fft.rfftfreq(2 * size, 1 / sampling_rate), 50.0)
    response = np.fft.rfft(room, 2 * size) * (frequency / 1000) ** rng.uniform(-0.15, 0.15)
    blocks = np.zeros((-(-len(audio) // size), size), dtype=np.float32)
    blocks.reshape(-1)[: len(audio)] = audio
    wet = np.fft.irfft(np.fft.rfft(blocks, 2 * size) * response, 2 * size)
    joined = np.zeros((len(blocks) + 1, size))
    joined[:-1] += wet[:, :size]
    joined[1:] += wet[:, size:]
    return (joined.reshape(-1)[: len(audio)] * 10 ** (rng.uniform(-9, 0) / 20)).astype(np.float32)
