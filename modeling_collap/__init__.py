"""The model: configuration, encoders, alignment and loss. Travels to the Hub as remote code."""

from .alignment import AlignmentScores, alignment_scores, attention_maps
from .configuration_collap import BeatsConfig, CollapConfig
from .contrastive_loss import contrastive_loss
from .modeling_beats import BeatsModel
from .modeling_collap import CollapModel, CollapOutput

__all__ = [
    "AlignmentScores",
    "BeatsConfig",
    "BeatsModel",
    "CollapConfig",
    "CollapModel",
    "CollapOutput",
    "alignment_scores",
    "attention_maps",
    "contrastive_loss",
]
