"""Models under evaluation behind one interface, and how a command line names them."""

from .base import Encoded, Scorer
from .specs import build_scorer

__all__ = ["Encoded", "Scorer", "build_scorer"]
