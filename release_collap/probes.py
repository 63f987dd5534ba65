"""Texts and sounds that are as different as can be, made on the fly: what the gate hears a model with."""

from collections.abc import Iterator
from functools import cache
from itertools import count, islice

import numpy as np

SAMPLING_RATE = 16_000
_TONE_SECONDS, _SONG_SECONDS = 12.0, 24.0
_SONGS = 3

TEXTS = (
    "A solo piano plays slowly and softly, with long pauses between the chords.",
    "Fast electronic dance music: a pounding kick drum, a heavy bass line and bright synthesizers.",
    "A string quartet. It opens with a sad melody in a minor key, then the tempo rises and it ends in joy.",
    "Heavy metal with distorted guitars, double bass drums and a screaming singer.",
    "Bossa nova: a nylon guitar, brushed drums and a whispering voice.",
    "A brass band marches in the street, with trumpets, trombones and a snare drum.",
    "Silence, then one low drone that never changes.",
    "Verse: an acoustic guitar accompanies a woman's voice. Chorus: drums and organ enter and the song grows loud. "
    "Bridge: only a flute is left. Outro: everybody plays the chorus once more and it fades out.",
)


@cache
def sounds() -> tuple[np.ndarray, ...]:
    """Six sounds made of sines and noise, and three songs; each (samples,), float32 in [-1, 1], at 16 kHz."""
    return (*_made(), *islice(_songs(), _SONGS))


def _made() -> Iterator[np.ndarray]:
    time = np.arange(round(_TONE_SECONDS * SAMPLING_RATE)) / SAMPLING_RATE
    noise = np.random.default_rng(0).standard_normal(time.shape)
    yield _loud(np.sin(2 * np.pi * 110 * time))
    yield _loud(np.sin(2 * np.pi * 1760 * time) * (np.sin(np.pi * time) > 0))  # a high tone, on and off each second
    yield _loud(noise)
    yield _loud(noise * np.exp(-12 * (time % 0.5)))  # strokes of noise, 120 a minute
    chords = [(220.0, 277.2, 329.6), (246.9, 311.1, 370.0), (196.0, 246.9, 293.7)]
    voices = np.stack([sum(np.sin(2 * np.pi * hertz * time) for hertz in chord) for chord in chords])  # (3, samples)
    yield _loud(np.choose((time / 2).astype(int) % len(chords), voices))  # another chord every two seconds
    yield _loud(np.sin(2 * np.pi * (100 * time + 3900 * time**2 / (2 * _TONE_SECONDS))))  # from 100 to 4,000 Hz


def _songs() -> Iterator[np.ndarray]:
    """The middles of songs that no model of this project was trained on."""
    from dataset_scripts.songbook.arranger import arrange
    from dataset_scripts.songbook.render import render
    from dataset_scripts.songbook.songwriter import split_of, write_song

    length = round(_SONG_SECONDS * SAMPLING_RATE)
    for seed in count():
        if split_of(seed) == "test":
            samples = render(arrange(write_song(seed), 0), sampling_rate=SAMPLING_RATE)
            start = max(len(samples) - length, 0) // 2
            yield samples[start : start + length].astype(np.float32)


def _loud(samples: np.ndarray) -> np.ndarray:
    """With a peak of 0.5."""
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)
