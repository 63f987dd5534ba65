"""From an arrangement to sound: synthesise the parts, balance them, set the level, encode."""

import os
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from symusic import Note as SynthNote
from symusic import Score, Synthesizer, Track
from torchcodec.encoders import AudioEncoder

from .arrangement import Arrangement
from .composition import Note

AudioFormat = Literal["flac", "ogg"]

# Decibels of each role in the mix; the melody stands out.
ROLE_LEVEL = {"melody": 0.0, "counter-melody": -5.0, "accompaniment": -7.0, "pad": -10.0, "bass": -4.0, "drums": -4.0}
TARGET_RMS = 0.11  # of the whole song
KNEE = 0.8  # peaks above are rounded off, so that nothing clips


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

    The song as a whole is brought to one level; how its sections differ is kept. `augment` adds a gain, a room and a
    tilt of the spectrum, drawn from the arrangement's id.
    """
    path = str(soundfont or default_soundfont())
    if not Path(path).is_file():
        raise FileNotFoundError(f"SoundFont {path} does not exist")
    samples = round(arrangement.composition.duration * sampling_rate)
    mix = np.zeros(samples, dtype=np.float32)
    for (role, program, is_drum), notes in _stems(arrangement).items():
        stem = _play(path, sampling_rate, program, is_drum, notes)[:samples]
        gain = 10 ** (ROLE_LEVEL[role] / 20) / _reference_level(path, sampling_rate, program, is_drum)
        mix[: len(stem)] += np.float32(gain) * stem
    level = float(np.sqrt(np.mean(np.square(mix))))
    if level > 0:
        mix *= TARGET_RMS / level
    if augment:
        mix = _augment(mix, sampling_rate, np.random.default_rng(_seed(arrangement.id)))
    return _limit(mix)


def encode(audio: np.ndarray, sampling_rate: int, audio_format: AudioFormat = "flac") -> bytes:
    """Encode mono float32 samples of shape (samples,) to the bytes of an audio file."""
    encoder = AudioEncoder(torch.from_numpy(audio).unsqueeze(0), sample_rate=sampling_rate)
    return encoder.to_tensor(audio_format).numpy().tobytes()


def _stems(arrangement: Arrangement) -> dict[tuple[str, int, bool], list[Note]]:
    """The song's notes by (role, program, is_drum): each is played alone, so that it can be balanced."""
    stems: dict[tuple[str, int, bool], list[Note]] = defaultdict(list)
    for section in arrangement.sections:
        for part in section.parts:
            stems[part.role, part.program, part.is_drum].extend(part.notes)
    return stems


@cache
def _synthesizer(soundfont: str, sampling_rate: int) -> Synthesizer:
    return Synthesizer(sf_path=soundfont, sample_rate=sampling_rate, quality=0)


def _play(soundfont: str, sampling_rate: int, program: int, is_drum: bool, notes: list[Note]) -> np.ndarray:
    """One instrument's notes as mono samples, from second 0 on; the mean of both channels."""
    track = Track("", program, is_drum, ttype="second")
    track.notes = SynthNote.from_numpy(
        time=np.array([note.start for note in notes], dtype=np.float32),
        duration=np.array([note.duration for note in notes], dtype=np.float32),
        pitch=np.array([note.pitch for note in notes], dtype=np.int8),
        velocity=np.array([note.velocity for note in notes], dtype=np.int8),
        ttype="second",
    )
    score = Score(480, "second")
    score.tracks.append(track)
    stereo = np.asarray(_synthesizer(soundfont, sampling_rate).render(score, stereo=True))
    return stereo.mean(axis=0, dtype=np.float32)


@cache
def _reference_level(soundfont: str, sampling_rate: int, program: int, is_drum: bool) -> float:
    """How loud the SoundFont makes this instrument: RMS of a phrase all instruments play alike, which balances them."""
    pitches = (36, 42, 38, 42) * 2 if is_drum else (60, 64, 67, 72, 67, 64, 60, 55)
    notes = [Note(0.25 * i, 0.25, pitch, 90) for i, pitch in enumerate(pitches)]
    phrase = _play(soundfont, sampling_rate, program, is_drum, notes)
    level = float(np.sqrt(np.mean(np.square(phrase))))
    return max(level, 1e-3)


def _limit(audio: np.ndarray) -> np.ndarray:
    """Round off what exceeds the knee, smoothly and below 1."""
    excess = np.maximum(np.abs(audio) - KNEE, 0.0)
    return np.where(excess > 0, np.sign(audio) * (KNEE + (0.99 - KNEE) * np.tanh(excess / (0.99 - KNEE))), audio).astype(np.float32)


def _seed(name: str) -> int:
    return int.from_bytes(name.encode()[-8:], "big")


def _augment(audio: np.ndarray, sampling_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A light room, a spectral tilt of up to 3 dB an octave-decade and a gain of -9 to 0 dB."""
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
