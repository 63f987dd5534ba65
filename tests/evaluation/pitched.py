"""Songs of pitched sections for the probes, and scorers for which the right answers are known by construction."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torchcodec.encoders import AudioEncoder

from dataset_scripts.permutation import CaptionLayout
from dataset_scripts.schema import dataset_from_rows
from evaluation_collap.scorers import Encoded
from tests.evaluation.fakes import PITCHES, RATE, FakeScorer, sound

# Three of the 24 orders of the four pitches, none the reverse of another.
TUNES = (("low", "middle", "high", "shrill"), ("high", "low", "shrill", "middle"), ("shrill", "low", "middle", "high"))


def song(index: int, pitches: Sequence[str], *, seconds: float = 1.0, caption: str | None = None) -> dict[str, Any]:
    """A row of the dataset schema whose sections are one pitch each; their captions name it."""
    structure = [
        {"start": i * seconds, "end": (i + 1) * seconds, "label": "verse", "caption": f"A {pitch} tone ."}
        for i, pitch in enumerate(pitches)
    ]
    samples = torch.from_numpy(sound(*pitches, seconds=seconds))[None]
    row = {
        "id": f"song-{index}",
        "song_id": f"song-{index}",
        "audio": {"bytes": AudioEncoder(samples, sample_rate=RATE).to_tensor("flac").numpy().tobytes(), "path": None},
        "duration": len(pitches) * seconds,
        "global_caption": f"Song {index} .",
        "structure": structure,
        "source": "tones",
        "licence": "CC0-1.0",
        "split": "validation",
    }
    return {**row, "caption": CaptionLayout().write(row) if caption is None else caption}


def songs(tunes: Sequence[Sequence[str]] = TUNES, **options: Any) -> Dataset:
    """One song a tune."""
    rows = [song(index, tune, **options) for index, tune in enumerate(tunes)]
    return dataset_from_rows(rows)


class ListeningScorer(FakeScorer):
    """Scores each pair with a function of what is heard, the pitch of each quarter second, and of what is read."""

    def __init__(self, judge: Callable[[list[str], list[str]], float]):
        super().__init__()
        self.judge = judge

    def encode_text(self, text: str) -> Encoded:
        """The pitches that it names, in their order."""
        self.texts_encoded += 1
        return {"pitches": torch.tensor([list(PITCHES).index(word) for word in text.split() if word in PITCHES])}

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        names = list(PITCHES)
        heard = [[names[i] for i in track["features"].argmax(1).tolist()] for track in tracks]
        read = [[names[i] for i in text["pitches"].tolist()] for text in texts]
        return torch.tensor([[self.judge(track, text) for text in read] for track in heard], dtype=torch.float32)


def in_order(heard: list[str], read: list[str]) -> float:
    """Share of the track in which the pitch is heard that the text, spread evenly over it, names there."""
    if not read:
        return 0.0
    places = np.arange(len(heard)) * len(read) // len(heard)
    return sum(pitch == read[place] for pitch, place in zip(heard, places, strict=True)) / len(heard)
