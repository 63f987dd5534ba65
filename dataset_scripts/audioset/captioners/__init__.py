"""Captioners: three ways to a description, by the names that a configuration gives them."""

from .base import Captioner, Refusal, Track
from .imported import ImportedCaptions
from .local import TransformersCaptioner
from .server import ServerCaptioner

CAPTIONERS: dict[str, type[Captioner]] = {
    kind.source: kind for kind in (TransformersCaptioner, ServerCaptioner, ImportedCaptions)
}

__all__ = [
    "CAPTIONERS",
    "Captioner",
    "ImportedCaptions",
    "Refusal",
    "ServerCaptioner",
    "Track",
    "TransformersCaptioner",
]
