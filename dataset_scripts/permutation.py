"""The same song with its sections in another order: caption, structure and audio, laid out anew.

A score that hears the order of a song prefers the true caption to one whose passages stand in another order. That
preference must come from the audio, so nothing else may give the true order away. Therefore both captions are written
by the same `CaptionLayout`, and

- a section keeps its label, its text and its length; the time stamps are laid out anew, one section after another, and
  end where they ended before;
- "First verse" and "Second verse" are counted anew, in the order in which the passages now stand;
- the global caption, the number of passages and the words of every passage stay.

What stays in the words themselves cannot be taken out of them: an intro is likelier to come first, "it is louder than
before" says something of the section before, and a global caption may tell how the song begins. `without_headers`
leaves the labels out, and a probe has to report how often a text alone, without its own audio, is preferred.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torchcodec.decoders import AudioDecoder
from torchcodec.encoders import AudioEncoder

ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")
CROSSFADE_SECONDS = 0.02

# How each clock writes a span.
_SPANS = {
    "minutes": re.compile(r"\b\d+:\d\d-\d+:\d\d\b"),
    "seconds": re.compile(r"\b\d+-\d+ s\b"),
    "percent": re.compile(r"\b\d+-\d+%"),
}

Order = tuple[int, ...]  # section `order[i]` of the true song comes i-th


# --- orders -----------------------------------------------------------------------------------------------------------


def reversed_order(row: Mapping[str, Any]) -> Order | None:
    """The last section first; `None` where that tells the same, as of a song with fewer than two sections."""
    told = _told(row)
    return tuple(reversed(range(len(told)))) if told != told[::-1] else None


def random_orders(row: Mapping[str, Any], count: int, *, seed: int) -> list[Order]:
    """Up to `count` orders of a row's sections that tell of another course, each of a different one.

    Sections with the same label and text are alike. There are fewer orders than asked for where the song has no more.
    They depend on the seed and the row's id alone.
    """
    told = _told(row)
    courses = math.factorial(len(told)) // math.prod(math.factorial(number) for number in Counter(told).values())
    rng = random.Random(f"{seed}/{row['id']}/orders")
    found: dict[tuple, Order] = {}
    while len(found) < min(count, courses - 1):
        order = tuple(rng.sample(range(len(told)), len(told)))
        course = tuple(told[i] for i in order)
        if course != tuple(told):
            found.setdefault(course, order)
    return list(found.values())


def _told(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(section["label"] or "", section["caption"] or "") for section in row["structure"] or ()]


# --- captions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CaptionLayout:
    """How a caption puts its global text and its passages on lines.

    Args:
        header: what stands before a passage; "{span}" and "{label}" in it are replaced.
        clock: how a span is written: "minutes" as 0:17-0:47, "seconds" as 17-47 s, "percent" of the track as 8-21%.
        numbered: whether labels that occur several times are counted: First verse, Second verse.
    """

    header: str = "**{span}:** {label}."
    clock: str = "minutes"
    numbered: bool = True

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "CaptionLayout":
        """The layout that writes a row's caption, up to the rounding of its stamps; the default one where none does."""
        lines = row["caption"].splitlines()[1 if row["global_caption"] else 0 :]
        if not row["structure"] or len(lines) != len(row["structure"]):
            return cls()
        found = lines[0].removesuffix(row["structure"][0]["caption"] or "").rstrip()
        for clock, span in _SPANS.items():
            for numbered in (True, False):
                layout = cls("", clock, numbered)
                name = layout._names(row["structure"])[0]
                layout = replace(layout, header=span.sub("{span}", found, count=1).replace(name, "{label}"))
                if span.sub("", layout.write(row)) == span.sub("", row["caption"]):
                    return layout
        return cls()

    def without_times(self) -> "CaptionLayout":
        return replace(self, header="{label}:")

    def without_headers(self) -> "CaptionLayout":
        """Passages alone: no times and no labels."""
        return replace(self, header="")

    def write(self, row: Mapping[str, Any]) -> str:
        """The caption of a row by its `global_caption` and `structure`."""
        names = self._names(row["structure"])
        lines = [row["global_caption"] or ""]
        for section, name in zip(row["structure"], names, strict=True):
            header = self.header.replace("{span}", self._span(section, row)).replace("{label}", name)
            lines.append(f"{header} {section['caption'] or ''}".strip())
        return "\n".join(line for line in lines if line)

    def _names(self, structure: Sequence[Mapping[str, Any]]) -> list[str]:
        """Labels with a capital, counted where they repeat; "Section" where there is none."""
        labels = [section["label"] or "section" for section in structure]
        names = []
        for index, label in enumerate(labels):
            turn = labels[:index].count(label)
            counted = self.numbered and labels.count(label) > 1 and turn < len(ORDINALS)
            names.append(f"{ORDINALS[turn]} {label}" if counted else label[:1].upper() + label[1:])
        return names

    def _span(self, section: Mapping[str, Any], row: Mapping[str, Any]) -> str:
        start, end = section["start"], section["end"]
        if self.clock == "minutes":
            return "-".join(f"{round(time) // 60}:{round(time) % 60:02d}" for time in (start, end))
        if self.clock == "seconds":
            return f"{start:.0f}-{end:.0f} s"
        return f"{100 * start / row['duration']:.0f}-{100 * end / row['duration']:.0f}%"


# --- the song ---------------------------------------------------------------------------------------------------------


def permute_row(row: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """A row of the dataset schema with its sections in another order: structure, caption, and audio if it is there.

    The caption keeps the layout of the row's own (see `CaptionLayout.of`); the identity order gives the row back. The
    audio is decoded, permuted and encoded as FLAC at its own rate.

    Raises:
        ValueError: `order` is none of the row's sections, or these do not follow one another in time.
    """
    permuted = dict(row)
    permuted["id"] = f"{row['id']}-{'.'.join(map(str, order))}"
    permuted["structure"] = permute_structure(row, order)
    permuted["caption"] = CaptionLayout.of(row).write(permuted)
    if row.get("audio") is not None:
        permuted["audio"] = {"bytes": _permute_encoded(row, order), "path": None}
    return permuted


def permute_structure(row: Mapping[str, Any], order: Sequence[int]) -> list[dict[str, Any]]:
    """The sections of a row in another order, laid out again one after another from where the first one began.

    A section owns the time until the next one begins, so that gaps travel with the section before them; where sections
    overlap, the first ends as the second begins.

    Raises:
        ValueError: as `permute_row`.
    """
    blocks = _blocks(row, order)
    position = blocks[0][0]
    structure = []
    for index in order:
        section, (start, end) = row["structure"][index], blocks[index]
        length = min(section["end"], end) - start
        structure.append({**section, "start": position, "end": position + length})
        position += end - start
    return structure


def permute_audio(
    samples: np.ndarray,
    sampling_rate: int,
    row: Mapping[str, Any],
    order: Sequence[int],
    *,
    crossfade_seconds: float = CROSSFADE_SECONDS,
) -> np.ndarray:
    """The audio of a row with its sections in another order, as long as before.

    Sections are cut where they begin and joined by linear crossfades, for which each lends half of the length from its
    old neighbours; thus the identity order gives the samples back. What lies before the first section and behind the
    last one stays.

    Args:
        samples: (..., samples), the whole track.
        sampling_rate: in Hz.

    Raises:
        ValueError: as `permute_row`, or the sections do not lie within the samples.
    """
    total = samples.shape[-1]
    blocks = _blocks(row, order)
    edges = [round(start * sampling_rate) for start, _ in blocks] + [round(blocks[-1][1] * sampling_rate)]
    if edges[-1] > total + sampling_rate:
        raise ValueError(
            f"{row['id']}: the sections end at {blocks[-1][1]:.1f} s, the audio at {total / sampling_rate:.1f} s."
        )
    edges = [min(edge, total) for edge in edges]
    cuts = [(0, edges[0]), *((edges[i], edges[i + 1]) for i in order), (edges[-1], total)]
    cuts = [(start, end) for start, end in cuts if end > start]
    half = min(round(crossfade_seconds * sampling_rate / 2), *((end - start) // 2 for start, end in cuts))
    around = [(0, 0)] * (samples.ndim - 1) + [(half, half)]
    source = np.pad(samples, around)  # sample i of the track is sample i + half here
    joined = np.zeros_like(source)
    rise = (np.arange(2 * half, dtype=samples.dtype) + 0.5) / max(2 * half, 1)
    position = 0
    for start, end in cuts:
        piece = source[..., start : end + 2 * half].copy()
        if half and position > 0:
            piece[..., : 2 * half] *= rise
        if half and position + end - start < total:
            piece[..., -2 * half :] *= 1 - rise
        joined[..., position : position + piece.shape[-1]] += piece
        position += end - start
    return joined[..., half : half + total]


def _blocks(row: Mapping[str, Any], order: Sequence[int]) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the time that each section owns."""
    structure = row["structure"] or ()
    if not structure or sorted(order) != list(range(len(structure))):
        raise ValueError(f"{row['id']} has {len(structure)} sections, which {tuple(order)} does not put in an order.")
    edges = [section["start"] for section in structure] + [structure[-1]["end"]]
    if any(later <= earlier for earlier, later in pairwise(edges)):
        raise ValueError(f"{row['id']}: its sections do not follow one another in time.")
    return list(pairwise(edges))


def _permute_encoded(row: Mapping[str, Any], order: Sequence[int]) -> bytes:
    """FLAC of the row's audio, which is a dict of the schema or a decoder, in another order."""
    audio = row["audio"]
    if isinstance(audio, Mapping):
        audio = AudioDecoder(audio["bytes"] if audio["bytes"] is not None else audio["path"])
    decoded = audio.get_all_samples()
    samples = permute_audio(decoded.data.numpy(), decoded.sample_rate, row, order)
    # Samples on a grid of 16 bits: FLAC finds the empty low bits, and the file is half as large.
    samples = np.round(np.clip(samples, -1, 32767 / 32768) * 32768).astype(np.float32) / 32768
    return AudioEncoder(torch.from_numpy(samples), sample_rate=decoded.sample_rate).to_tensor("flac").numpy().tobytes()
