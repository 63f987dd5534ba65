"""Training: recipes, data, and the Trainer with a contrastive loss."""

from .collator import CollapCollator
from .feature_store import FeatureStore
from .recipe import Recipe, load_recipe
from .retrieval_metrics import both_directions, retrieval_metrics
from .run import run
from .tracks import CaptionedTracks
from .trainer import CollapTrainer

__all__ = [
    "CaptionedTracks",
    "CollapCollator",
    "CollapTrainer",
    "FeatureStore",
    "Recipe",
    "both_directions",
    "load_recipe",
    "retrieval_metrics",
    "run",
]
