"""From audio of any kind and text to the tensors that CoLLAP reads."""

from .audio_loading import load_audio
from .feature_extraction_collap import CollapFeatureExtractor
from .passages import Passage, split_passages
from .processing_collap import CollapProcessor

__all__ = ["CollapFeatureExtractor", "CollapProcessor", "Passage", "load_audio", "split_passages"]
