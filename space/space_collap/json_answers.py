"""What the API answers: the same as the tabs, as JSON. Times are in seconds."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F

from retrieval_collap import Location

from .audio_urls import audio_url
from .results import Comparison, Description, Result, TextResult, TrackView

# As many points of a curve as a picture shows.
_POINTS = 400
_DIGITS = 4


def found_json(results: Sequence[Result]) -> dict[str, Any]:
    """`{"results": [...]}`, the best track first."""
    return {
        "results": [
            {
                "rank": rank,
                "track": _track(result.track),
                "score": round(result.score, _DIGITS),
                **_location(result.location),
            }
            for rank, result in enumerate(results, start=1)
        ]
    }


def described_json(description: Description) -> dict[str, Any]:
    """`{"track", "tags", "texts"}`, the best tag and the best text first."""
    return {
        "track": _track(description.track),
        "tags": [
            {"label": tag.label, "share": round(tag.share, _DIGITS), "score": round(tag.score, _DIGITS)}
            for tag in description.tags
        ],
        "texts": [
            {"rank": rank, "id": result.id, **_text(result)} for rank, result in enumerate(description.texts, start=1)
        ],
    }


def compared_json(comparison: Comparison) -> dict[str, Any]:
    """`{"track", "first", "second"}`."""
    return {
        "track": _track(comparison.track),
        "first": _text(comparison.first),
        "second": _text(comparison.second),
    }


def _track(track: TrackView) -> dict[str, Any]:
    return {
        "id": track.id,
        "title": track.title,
        "duration": round(track.duration, _DIGITS),
        "audio": audio_url(track.path),
        "licence": track.licence,
        "sections": [
            {"start": section.start, "end": section.end, "label": section.label} for section in track.sections
        ],
    }


def _text(result: TextResult) -> dict[str, Any]:
    return {"text": result.text, "score": round(result.score, _DIGITS), **_location(result.location)}


def _location(location: Location) -> dict[str, Any]:
    """The spans, the best first, and the attention over time: 1 is an even one."""
    attention = location.attention
    points = F.adaptive_avg_pool1d(attention[None].float(), min(_POINTS, len(attention)))[0]
    seconds = len(attention) / location.steps_per_second
    return {
        "spans": [
            {"start": round(span.start, 2), "end": round(span.end, 2), "similarity": round(span.score, _DIGITS)}
            for span in location.spans
        ],
        "attention": {
            "seconds_per_value": seconds / len(points),
            "values": [round(value, _DIGITS) for value in points.tolist()],
        },
    }
