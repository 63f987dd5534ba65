"""From audio of any kind and text to the tensors that CoLLAP reads."""

from .audio_loading import load_audio
from .feature_extraction_collap import CollapFeatureExtractor
from .processing_collap import CollapProcessor

__all__ = ["CollapFeatureExtractor", "CollapProcessor", "load_audio"]
