"""Training: recipes, data, and the Trainer with a contrastive loss."""

from .arguments import CollapTrainingArguments
from .collator import CollapCollator
from .encoder_store import EncoderStore
from .feature_store import FeatureStore
from .objectives import Objective, ObjectiveSection, build_objective
from .recipe import Recipe, load_recipe
from .retrieval_metrics import both_directions, retrieval_metrics
from .run import run
from .tracks import CaptionedTracks
from .trainer import CollapTrainer

__all__ = [
    "CaptionedTracks",
    "CollapCollator",
    "CollapTrainer",
    "CollapTrainingArguments",
    "EncoderStore",
    "FeatureStore",
    "Objective",
    "ObjectiveSection",
    "Recipe",
    "both_directions",
    "build_objective",
    "load_recipe",
    "retrieval_metrics",
    "run",
]
