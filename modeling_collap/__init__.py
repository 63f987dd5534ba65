"""The model: configuration, encoders, alignment and loss. Travels to the Hub as remote code."""

from transformers import AutoConfig, AutoModel

from .alignment import AlignmentScores, alignment_scores, attention_maps
from .configuration_collap import BeatsConfig, CollapConfig
from .contrastive_loss import contrastive_loss
from .global_score import global_scores, mean_steps
from .modeling_beats import BeatsModel
from .modeling_collap import CollapModel, CollapOutput
from .pipeline_collap import CollapZeroShotAudioClassificationPipeline
from .scores import CollapScores
from .structure import PassageMaps, passage_maps, structure_scores
from .text_features import CollapTextFeatures

# Where this package is installed, saved models load without running the code beside their weights.
AutoConfig.register("collap", CollapConfig, exist_ok=True)
AutoModel.register(CollapConfig, CollapModel, exist_ok=True)

__all__ = [
    "AlignmentScores",
    "BeatsConfig",
    "BeatsModel",
    "CollapConfig",
    "CollapModel",
    "CollapOutput",
    "CollapScores",
    "CollapTextFeatures",
    "CollapZeroShotAudioClassificationPipeline",
    "PassageMaps",
    "alignment_scores",
    "attention_maps",
    "contrastive_loss",
    "global_scores",
    "mean_steps",
    "passage_maps",
    "structure_scores",
]
