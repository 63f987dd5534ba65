"""Where a score hears what a text says: the caption of one section against the whole track."""

from dataclasses import dataclass
from statistics import mean
from typing import Any, ClassVar

from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from ..scorers import Scorer
from ..spans import best_spans
from .base import ProbeResult, markdown_table
from .tracks import draw_rows, encode_texts, encode_tracks, plain_rows

# A span is at least as long as the paper's kernel: whatever the truth is, and for every scorer alike.
MIN_SPAN_SECONDS = 10.0
IOU_AT = (0.3, 0.5, 0.7)
# A profile whose values differ by less, relative to the largest, is the same everywhere.
_FLAT = 1e-6


@dataclass(frozen=True)
class Located:
    """One section; times in seconds.

    Args:
        start, end: the truth.
        pointing: 1 where the profile peaks inside the truth, 0 where it does not; where several moments share the
            peak, the share of them that lies inside.
        found_start, found_end: the span that stands out most.
        iou: intersection over union of both spans.
        share: of the track that the section takes up: what a peak anywhere, or the whole track as the span, would earn.
    """

    id: str
    label: str
    start: float
    end: float
    peak: float
    pointing: float
    found_start: float
    found_end: float
    iou: float
    share: float


@dataclass(frozen=True)
class LocalisationResult(ProbeResult):
    """Percent, means over the sections of a track and then over the tracks.

    `metrics` and `chance` have `pointing`, `mean_IoU` and `IoU@0.3` and so on; chance is a peak anywhere, and the whole
    track as the span.
    """

    probe: ClassVar[str] = "localisation"

    scorer: str
    tracks: int
    seed: int
    min_span_seconds: float
    metrics: dict[str, float]
    chance: dict[str, float]
    sections: tuple[Located, ...]

    def table(self) -> str:
        return markdown_table(
            ["", *self.metrics], [[self.scorer, *self.metrics.values()], ["chance", *self.chance.values()]]
        )


def run(
    scorer: Scorer,
    rows: Dataset,
    *,
    seed: int = 0,
    tracks: int | None = None,
    min_span_seconds: float = MIN_SPAN_SECONDS,
) -> LocalisationResult:
    """Looks for every section of every track by its caption alone.

    The span that is found is the one that `best_spans` cuts out of the scorer's profile. Its rule knows nothing of the
    truth but a least length, which is the same for all.

    Args:
        rows: of the dataset schema; those without captioned sections are left out.
        tracks: how many tracks, drawn by the seed; all by default.
        min_span_seconds: least length of a span that is found.

    Raises:
        ValueError: the scorer cannot locate, or no row has a captioned section.
    """
    if not scorer.can_locate:
        raise ValueError(f"{scorer.name} scores whole tracks only: it has no profile over time to look at.")
    captioned = [i for i, row in enumerate(plain_rows(rows)) if _sections(row)]
    if not captioned:
        raise ValueError("the localisation probe needs a track with captions of its sections (column structure).")
    rows = draw_rows(rows.select(captioned), tracks, seed=seed)
    encoded = encode_tracks(scorer, rows)
    by_track: list[list[Located]] = []
    for track, row in zip(encoded, tqdm(plain_rows(rows), "Locating sections", leave=False), strict=True):
        sections = _sections(row)
        texts = encode_texts(scorer, [section["caption"] for section in sections])
        by_track.append(
            [
                locate_section(*scorer.relevance(track, text), row, section, min_span_seconds)
                for text, section in zip(texts, sections, strict=True)
            ]
        )
    return LocalisationResult(
        scorer=scorer.name,
        tracks=len(by_track),
        seed=seed,
        min_span_seconds=min_span_seconds,
        metrics=_means([[(found.pointing, found.iou) for found in track] for track in by_track]),
        chance=_means([[(found.share, found.share) for found in track] for track in by_track]),
        sections=tuple(found for track in by_track for found in track),
    )


def locate_section(
    profile: Tensor, steps_per_second: float, row: dict[str, Any], section: dict[str, Any], min_span_seconds: float
) -> Located:
    """Compares a profile (T,) with the span of a section; step i lasts from i / steps_per_second to the next."""
    start, end, duration = section["start"], section["end"], row["duration"]
    steps = [i for i in range(len(profile)) if i / steps_per_second < duration]
    profile = profile[: len(steps)].double()
    flat = _FLAT * float(profile.abs().max())
    peaks = (profile >= profile.max() - flat).nonzero().flatten()
    moments = (peaks + 0.5) / steps_per_second  # seconds
    inside = ((moments >= start) & (moments < end)).double().mean()
    ((first, last),) = best_spans(profile, max(1, round(min_span_seconds * steps_per_second)), flat=flat)
    found_start, found_end = first / steps_per_second, min(last / steps_per_second, duration)
    common = max(0.0, min(end, found_end) - max(start, found_start))
    return Located(
        id=row["id"],
        label=section["label"] or "",
        start=start,
        end=end,
        peak=float(moments[0]),
        pointing=float(inside),
        found_start=found_start,
        found_end=found_end,
        iou=common / (end - start + found_end - found_start - common),
        share=(end - start) / duration,
    )


def _sections(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [section for section in row["structure"] or () if section["caption"]]


def _means(tracks: list[list[tuple[float, float]]]) -> dict[str, float]:
    """From (pointing, IoU) of every section of every track."""
    pointing = mean(mean(found for found, _ in sections) for sections in tracks)
    iou = mean(mean(found for _, found in sections) for sections in tracks)
    reached = {k: mean(mean(float(found >= k) for _, found in sections) for sections in tracks) for k in IOU_AT}
    return {
        "pointing": 100 * pointing,
        "mean_IoU": 100 * iou,
        **{f"IoU@{k}": 100 * share for k, share in reached.items()},
    }
