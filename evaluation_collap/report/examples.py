"""Hits and misses to look at and listen to: where the text fits in the track, over the track's sections."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torchcodec.encoders import AudioEncoder

from ..benchmarks import Benchmark
from ..embeddings import EmbeddingCache, load_samples
from ..probes.localisation import MIN_SPAN_SECONDS, locate_section
from ..spans import best_spans
from .collect import Chapter, Retrieval
from .document import Example, Examples, Found, Heard

# The right track of a miss is none of the first.
_MISSED = 5
# A page of all examples should open on a phone: 11 MB of audio, a third more as text.
_AUDIO_BYTES = 8_000_000
_RATE, _BITS_PER_SECOND = 24_000, 32_000


def draw_examples(
    chapters: Sequence[Chapter], benchmark: Benchmark, scorer: EmbeddingCache, *, count: int = 3, seed: int = 0
) -> dict[str, Examples]:
    """Texts whose right track is found first, and texts whose right track is not among the first five.

    Args:
        chapters: one of them holds the retrieval of the scorer on the benchmark, with its scores.
        count: hits, and misses; fewer where there are fewer.
        seed: of the choice.

    Returns:
        By the title of the benchmark, for `build_report`.

    Raises:
        ValueError: there is no such retrieval, it is of other encodings or rows, or the scorer cannot locate.
    """
    if not scorer.can_locate:
        raise ValueError(f"{scorer.name} cannot say where in a track a text fits, so it has no examples to show")
    retrieval = _retrieval(chapters, benchmark.title, scorer)
    pairs, scores = retrieval.pairs, retrieval.scores
    if pairs is None or scores is None or retrieval.best_ranks is None:
        raise ValueError(f"the scores of {scorer.name} on {benchmark.title} do not lie beside their result")
    rows = benchmark.rows()
    places = {name: index for index, name in reversed(list(enumerate(rows["id"])))}
    if missing := [name for name in pairs["tracks"] if name not in places]:
        raise ValueError(f"{benchmark.name} has no track {missing[0]!r}, which the results name")

    ranks = retrieval.best_ranks["text_to_audio"]
    least = _MISSED if (ranks > _MISSED).any() else 1
    hits, misses = np.flatnonzero(ranks == 1), np.flatnonzero(ranks > least)
    generator = np.random.default_rng(seed)
    chosen = [_draw(texts, count, generator) for texts in (hits, misses)]
    seconds = _AUDIO_BYTES * 8 / _BITS_PER_SECOND / max(1, len(chosen[0]) + 2 * len(chosen[1]))

    def example(text: int) -> Example:
        right = pairs["tracks_of_text"][text]
        shown = [max(right, key=lambda track: scores[track, text])]
        if ranks[text] > 1:  # what was found instead is shown too
            shown.append(_first_wrong(scores[:, text], right))
        words = pairs["texts"][text]
        found = [rows.select([places[pairs["tracks"][track]]]) for track in shown]
        heard = (_hear(scorer, row, words, track in right, seconds) for row, track in zip(found, shown, strict=True))
        return Example(words, int(ranks[text]), len(scores), tuple(heard))

    intro = (
        f"Drawn by the seed {seed} from the {len(hits)} texts whose right track {scorer.name} finds first, and from "
        f"the {len(misses)} whose right track has a rank above {least}."
    )
    return {benchmark.title: Examples(scorer.name, intro, *(tuple(map(example, texts)) for texts in chosen))}


def _retrieval(chapters: Sequence[Chapter], title: str, scorer: EmbeddingCache) -> Retrieval:
    for chapter in chapters:
        for retrieval in chapter.retrieval:
            if chapter.title == title and retrieval.model == scorer.name:
                if retrieval.result.model["fingerprint"] != scorer.fingerprint:
                    raise ValueError(f"the results of {scorer.name} on {title} are of other weights than the model's")
                return retrieval
    raise ValueError(f"the results hold no retrieval of {scorer.name} on {title} to draw examples from")


def _draw(texts: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
    return sorted(generator.choice(texts, min(count, len(texts)), replace=False).tolist())


def _first_wrong(scores: np.ndarray, right: Sequence[int]) -> int:
    """The track with the highest of the scores (tracks,) of a text that it does not belong to."""
    wrong = np.array(scores, copy=True)
    wrong[list(right)] = -np.inf
    return int(wrong.argmax())


def _hear(scorer: EmbeddingCache, rows: Dataset, text: str, right: bool, seconds: float) -> Heard:
    """The one row of `rows` under a text."""
    track, read = scorer.tracks(rows)[0], scorer.encode_text(text)
    row: dict[str, Any] = rows[0]
    profile, steps_per_second = scorer.relevance(track, read)
    sections = tuple(row.get("structure") or ())
    found = []
    for section in sections if right else ():
        if section["caption"]:
            heard = scorer.relevance(track, scorer.encode_text(section["caption"]))
            at = locate_section(*heard, row, section, MIN_SPAN_SECONDS)
            inside = section["start"] <= at.peak < section["end"]
            found.append(Found(section["label"] or "", section["start"], section["end"], at.peak, inside))
    samples = load_samples(row["audio"], _RATE)
    duration = len(samples) / _RATE
    kept = samples[: round(seconds * _RATE)]
    return Heard(
        id=row["id"],
        right=right,
        score=float(scorer.score([track], [read])[0, 0]),
        duration=duration,
        sections=sections,
        profile=profile[: max(1, round(duration * steps_per_second))],
        steps_per_second=steps_per_second,
        spans=_spans(profile, steps_per_second, duration),
        mp3=_mp3(kept),
        audible=len(kept) / _RATE,
        found=tuple(found),
    )


def _spans(profile: torch.Tensor, steps_per_second: float, duration: float) -> tuple[Mapping[str, float], ...]:
    least = max(1, round(MIN_SPAN_SECONDS * steps_per_second))
    return tuple(
        {"start": min(first / steps_per_second, duration), "end": min(last / steps_per_second, duration)}
        for first, last in best_spans(profile, least, 2, flat=1e-6 * float(profile.abs().max()))
    )


def _mp3(samples: np.ndarray) -> bytes:
    encoder = AudioEncoder(torch.from_numpy(samples)[None], sample_rate=_RATE)
    return encoder.to_tensor("mp3", bit_rate=_BITS_PER_SECOND).numpy().tobytes()
