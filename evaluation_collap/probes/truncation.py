"""How much of a long caption a score makes use of: retrieval by captions that are cut short."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from datasets import Dataset

from ..scorers import Scorer
from .base import ProbeResult, markdown_table
from .recall import retrieval_both_ways
from .tracks import draw_rows, encode_texts, encode_tracks

WORDS = (5, 10, 20, 40, 80, 100, 150, 200, 250)
# Recall counts as saturated from where on it stays this close to that of whole captions.
SATURATED = 0.95

_SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)


@dataclass(frozen=True)
class CutCaptions:
    """Retrieval by captions that are cut in one way.

    Args:
        kept: what is left of every caption: "20 words", "first sentence", "all".
        words: how many words are kept at most; None where they are not counted.
        mean_words: words that are left, mean over the captions.
        beyond_limit: share, in percent, of these texts that the model cuts once more; None where it does not know.
        metrics: see `retrieval_both_ways`.
    """

    kept: str
    words: int | None
    mean_words: float
    beyond_limit: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class TruncationResult(ProbeResult):
    probe: ClassVar[str] = "truncation"

    scorer: str
    tracks: int
    seed: int
    cuts: tuple[CutCaptions, ...]
    saturation_words: dict[str, int | None]  # see `saturation`; by metric

    def table(self) -> str:
        header = ["Caption", "Words", "T2A R@1", "T2A R@5", "A2T R@1", "A2T R@5"]
        names = ("text_to_audio_R@1", "text_to_audio_R@5", "audio_to_text_R@1", "audio_to_text_R@5")
        return markdown_table(
            header, [[cut.kept, cut.mean_words, *(cut.metrics[name] for name in names)] for cut in self.cuts]
        )


def run(
    scorer: Scorer, rows: Dataset, *, seed: int = 0, tracks: int | None = None, words: Sequence[int] = WORDS
) -> TruncationResult:
    """Ranks all tracks by the first words of their captions, and all captions by their tracks.

    The layout of a caption stays: it is cut behind a word, and nothing else is touched. Captions that are the same once
    they are cut tie, which counts against the model as everywhere.

    Args:
        rows: of the dataset schema.
        tracks: how many tracks, drawn by the seed; all by default.
        words: numbers of words to keep; the first sentence and the whole caption are always tried too.
    """
    rows = draw_rows(rows, tracks, seed=seed)
    captions = list(rows["caption"])
    kept: dict[str, tuple[int | None, list[str]]] = {
        "first sentence": (None, [first_sentence(caption) for caption in captions])
    }
    for count in sorted(set(words)):
        kept[f"{count} words"] = (count, [first_words(caption, count) for caption in captions])
    kept["all"] = (None, captions)

    encoded = encode_tracks(scorer, rows)
    cuts = []
    for name, (limit, texts) in kept.items():
        scores = scorer.score(encoded, encode_texts(scorer, texts, f"Encoding captions: {name}"))
        known = [cut for cut in map(scorer.is_cut, texts) if cut is not None]
        beyond_limit = 100 * sum(known) / len(known) if known else None
        mean_words = sum(len(text.split()) for text in texts) / len(texts)
        cuts.append(CutCaptions(name, limit, mean_words, beyond_limit, retrieval_both_ways(scores)))
    names = ("text_to_audio_R@1", "text_to_audio_R@5", "audio_to_text_R@1", "audio_to_text_R@5")
    return TruncationResult(
        scorer=scorer.name,
        tracks=len(rows),
        seed=seed,
        cuts=tuple(cuts),
        saturation_words={name: saturation(cuts, name) for name in names},
    )


def saturation(cuts: Sequence[CutCaptions], metric: str) -> int | None:
    """The fewest words from which on the metric stays at 95% or more of its value for whole captions.

    None where even the longest cut falls short: the score still gains from words beyond it.
    """
    whole = next(cut.metrics[metric] for cut in cuts if cut.kept == "all")
    found = None
    for cut in sorted((cut for cut in cuts if cut.words is not None), key=lambda cut: -(cut.words or 0)):
        if cut.metrics[metric] < SATURATED * whole:
            break
        found = cut.words
    return found


def first_words(text: str, count: int) -> str:
    """The text up to its `count`-th word, its line breaks included."""
    match = re.match(rf"\s*(?:\S+\s+){{0,{count - 1}}}\S+", text)
    return match[0] if match else text


def first_sentence(text: str) -> str:
    """Up to the first full stop, exclamation or question mark that ends a word; the whole text where there is none."""
    match = _SENTENCE.match(text.strip())
    return match[0] if match else text.strip()
