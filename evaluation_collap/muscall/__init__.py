"""MusCALL (arXiv 2208.12208), a baseline that is trained by the same recipes as CoLLAP."""

from transformers import AutoConfig, AutoModel

from .configuration_muscall import MuscallConfig
from .modeling_muscall import MuscallModel

AutoConfig.register("muscall", MuscallConfig, exist_ok=True)
AutoModel.register(MuscallConfig, MuscallModel, exist_ok=True)

__all__ = ["MuscallConfig", "MuscallModel"]
