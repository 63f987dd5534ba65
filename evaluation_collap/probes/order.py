"""Whether a score hears the order of a song: the truth against itself with its sections in another order.

Three styles of captions are tried, see `CaptionLayout`: "as written", "no times" and "passages" (no times, no labels).
The true caption and the permuted ones are written by the same layout, so that they differ in nothing but the order.
What the words themselves give away is measured: the same captions are scored against other tracks, where a preference
for the true order cannot come from hearing it ("blind"; 50% is none).

Permuted audio is cut and joined in the samples and encoded anew. Its seams may be audible, so the same control is made
with other tracks' captions. And there is a comparison that no such preference can win: a permuted track and its own
permuted caption have to go together, as the true ones do. "matched" counts s(audio, caption) + s(permuted audio,
permuted caption) > s(audio, permuted caption) + s(permuted audio, caption), in which all that a text or a track scores
by itself cancels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from dataset_scripts.permutation import (
    CaptionLayout,
    Order,
    permute_audio,
    permute_structure,
    random_orders,
    reversed_order,
)

from ..scorers import Encoded, Scorer
from .base import ProbeResult, markdown_table
from .pairs import rank_of_truth, win_shares
from .tracks import draw_rows, encode_texts, encode_tracks, plain_rows, track_samples

RANDOM_ORDERS = 9
STYLES = ("as written", "no times", "passages")
_OTHERS = 4  # tracks, or captions, of the blind control


@dataclass(frozen=True)
class Preference:
    """How often the truth scores above permutations of itself, in percent; means over the tracks.

    Args:
        tracks: how many tracks have two sections or more that can be told apart.
        against_reversed, against_random: two-way accuracy; ties count half, chance is 50.
        ranked_tracks: how many of the tracks have orders enough to be ranked.
        first: the truth ranks first among ten permutations, itself one of them; ties count against it, chance is 10.
        mean_rank: of the truth among the ten; chance is 5.5. None, as `first`, where no track has orders enough.
        blind_reversed, blind_random: as the first two, where captions are scored against other tracks, or tracks
            against other captions. What lies above 50 was not heard. None with a single track.
        matched_reversed, matched_random: permuted audio with its own caption, see the module. None for captions alone.
    """

    tracks: int
    against_reversed: float | None
    against_random: float | None
    ranked_tracks: int
    first: float | None
    mean_rank: float | None
    blind_reversed: float | None
    blind_random: float | None
    matched_reversed: float | None = None
    matched_random: float | None = None


@dataclass(frozen=True)
class OrderResult(ProbeResult):
    """`captions` by style, and `audio`, which is None where it was left out."""

    probe: ClassVar[str] = "order"

    scorer: str
    seed: int
    captions: dict[str, Preference]
    audio: Preference | None

    def table(self) -> str:
        header = ["Permuted", "Tracks", "Reversed", "Random", "First of ten", "Blind reversed", "Blind random"]
        named = {f"caption, {style}": preference for style, preference in self.captions.items()}
        if self.audio is not None:
            named["audio"] = self.audio
        lines: list[list[Any]] = [
            [name, p.tracks, p.against_reversed, p.against_random, p.first, p.blind_reversed, p.blind_random]
            for name, p in named.items()
        ]
        if (p := self.audio) is not None:
            lines.append(["both, matched", p.tracks, p.matched_reversed, p.matched_random, None, None, None])
        lines.append(["chance", None, 50.0, 50.0, 10.0, 50.0, 50.0])
        return markdown_table(header, lines)


def run(
    scorer: Scorer,
    rows: Dataset,
    *,
    seed: int = 0,
    tracks: int | None = None,
    audio_tracks: int | None = None,
    audio_orders: int = RANDOM_ORDERS,
) -> OrderResult:
    """Permuted captions of every track, and permuted audio of some.

    Args:
        rows: of the dataset schema; those without two sections that can be told apart are left out.
        tracks: how many tracks, drawn by the seed; all by default.
        audio_tracks: how many of them are also permuted as audio, which encodes each of them `audio_orders` + 1 times
            more; all by default, 0 for none.
        audio_orders: random orders of the audio, at most 9; with fewer the truth is not ranked among ten.

    Raises:
        ValueError: no row has two such sections.
    """
    plain = plain_rows(rows)
    permutable = [index for index, row in enumerate(plain) if reversed_order(row) or random_orders(row, 1, seed=seed)]
    if not permutable:
        raise ValueError("the order probe needs a track with two sections or more that differ in label or caption.")
    rows = draw_rows(rows.select(permutable), tracks, seed=seed)
    songs = [_Song.of(row, seed) for row in plain_rows(rows)]
    encoded = encode_tracks(scorer, rows)
    captions = {style: _permuted_captions(scorer, songs, encoded, style) for style in STYLES}
    audio = None
    if audio_tracks != 0:
        chosen = draw_rows(rows, audio_tracks, seed=seed)
        audio = _permuted_audio(scorer, chosen, [_Song.of(row, seed, audio_orders) for row in plain_rows(chosen)])
    return OrderResult(scorer.name, seed, captions, audio)


@dataclass(frozen=True)
class _Song:
    """A row and the orders that it is tried in: the reversed one (None where it tells the same), and random ones."""

    row: dict[str, Any]
    reverse: Order | None
    others: list[Order]

    @classmethod
    def of(cls, row: dict[str, Any], seed: int, count: int = RANDOM_ORDERS) -> "_Song":
        return cls(row, reversed_order(row), random_orders(row, count, seed=seed))

    @property
    def orders(self) -> list[Order]:
        """The true order, the random ones, and last the reversed one if there is one."""
        true = tuple(range(len(self.row["structure"])))
        return [true, *self.others, *([self.reverse] if self.reverse else [])]

    def captions(self, style: str) -> list[str]:
        """The caption in each of `orders`."""
        layout = CaptionLayout.of(self.row)
        if style == "no times":
            layout = layout.without_times()
        elif style == "passages":
            layout = layout.without_headers()
        return [layout.write({**self.row, "structure": permute_structure(self.row, order)}) for order in self.orders]


def _permuted_captions(scorer: Scorer, songs: Sequence[_Song], encoded: Sequence[Encoded], style: str) -> Preference:
    texts = [song.captions(style) for song in songs]
    vectors = iter(encode_texts(scorer, [text for own in texts for text in own], f"Encoding captions: {style}"))
    tally = _Tally()
    for index, song in enumerate(tqdm(songs, f"Permuted captions, {style}", leave=False)):
        own = [next(vectors) for _ in song.orders]
        others = _neighbours(index, len(songs))
        scores = scorer.score([encoded[i] for i in (index, *others)], own)  # (1 + others, orders)
        tally.add(song, scores[:1], scores[1:])
    return tally.preference()


def _permuted_audio(scorer: Scorer, rows: Dataset, songs: Sequence[_Song]) -> Preference:
    texts = [song.captions("as written") for song in songs]
    vectors = [encode_texts(scorer, own) for own in tqdm(texts, "Encoding captions", leave=False)]
    tally = _Tally()
    for index, samples in enumerate(track_samples(scorer, rows, "Encoding permuted tracks")):
        song, own = songs[index], vectors[index]
        others = [vectors[i][0] for i in _neighbours(index, len(songs))]
        heard = {
            order: scorer.score([_encode(scorer, samples, song, order)], [*own, *others])
            for order in dict.fromkeys(song.orders)  # the reverse may be among the random ones
        }
        scores = torch.cat([heard[order] for order in song.orders]).T  # (texts, orders of the audio)
        tally.add(song, scores[:1], scores[len(own) :], pairs=scores[: len(own)])
    return tally.preference()


def _encode(scorer: Scorer, samples: np.ndarray, song: _Song, order: Order) -> Encoded:
    if order == tuple(range(len(order))):
        return scorer.encode_track(samples)
    return scorer.encode_track(permute_audio(samples, scorer.sampling_rate, song.row, order))


def _neighbours(index: int, count: int) -> list[int]:
    """Up to `_OTHERS` other rows."""
    return [(index + step) % count for step in range(1, min(_OTHERS, count - 1) + 1)]


class _Tally:
    """Collects wins and ranks, track by track."""

    def __init__(self) -> None:
        self.shares: dict[str, list[float]] = {}
        self.ranks: list[int] = []
        self.tracks = 0

    def add(self, song: _Song, own: Tensor, blind: Tensor, pairs: Tensor | None = None) -> None:
        """One track.

        Args:
            own: scores (1, orders) of `song.orders` against what belongs to the song.
            blind: scores (others, orders) against what does not.
            pairs: scores (orders of the caption, orders of the audio).
        """
        self.tracks += 1
        last = len(song.others) + 1  # where the reversed order stands
        for name, scores in (("against", own), ("blind", blind)):
            if len(scores):
                wins = win_shares(scores[:, :1], scores)  # (rows, orders)
                self._count(name, song, wins.mean(0))
        if pairs is not None:
            same = pairs[0, 0] + pairs.diagonal()  # (orders,)
            self._count("matched", song, win_shares(same, pairs[0] + pairs[:, 0]))
        if len(song.others) == RANDOM_ORDERS:
            self.ranks.append(rank_of_truth(own[0, 0], own[0, 1:last]))

    def _count(self, name: str, song: _Song, wins: Tensor) -> None:
        """Wins (orders,) of the true order over each of `song.orders`."""
        last = len(song.others) + 1
        if song.others:
            self.shares.setdefault(f"{name}_random", []).append(float(wins[1:last].mean()))
        if song.reverse:
            self.shares.setdefault(f"{name}_reversed", []).append(float(wins[last]))

    def preference(self) -> Preference:
        means: dict[str, Any] = {name: 100 * sum(shares) / len(shares) for name, shares in self.shares.items()}
        return Preference(
            tracks=self.tracks,
            ranked_tracks=len(self.ranks),
            first=100 * self.ranks.count(1) / len(self.ranks) if self.ranks else None,
            mean_rank=sum(self.ranks) / len(self.ranks) if self.ranks else None,
            **{name: means.get(name) for name in _SHARES},
        )


_SHARES = tuple(f"{name}_{order}" for name in ("against", "blind", "matched") for order in ("reversed", "random"))
