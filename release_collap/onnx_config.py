"""What a caller needs beside the graphs to score: the settings of a model, learned ones included."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from modeling_collap import (
    CollapModel,
    CollapScores,
    CollapTextFeatures,
    alignment_scores,
    structure_scores,
)
from modeling_collap.modeling_collap import text_limit
from modeling_collap.text_features import passages_of

CONFIG_FILE = "onnx_config.json"


@dataclass(frozen=True)
class OnnxConfig:
    """`onnx_config.json` of an export.

    Args:
        kernel_size, stride: H and S of eq (1), in time steps.
        gamma_kernel, gamma_temporal, gamma_structure: weights of the scores in the fused one, eq (7); the third is 0
            for a model without the structure term.
        whole_text_weight: how many passages the text as a whole counts for in that term.
        normalization: of eqs (5) and (6), see `alignment_scores`.
        attention_temperature: factor of the similarities inside both attentions.
        structure_temperature: the same inside the structure term's; `None` without it.
        structure_pool: time steps that the structure term makes one.
        logit_factor: factor on the fused scores in front of a softmax.
        steps_per_second: time steps of a second of audio.
        max_tokens: tokens that the text graph reads at most; `None` where there is no limit.
        windows_per_chunk: windows that the runner encodes at once.
    """

    kernel_size: int
    stride: int
    gamma_kernel: float
    gamma_temporal: float
    gamma_structure: float
    whole_text_weight: float
    normalization: str
    attention_temperature: float
    structure_temperature: float | None
    structure_pool: int
    logit_factor: float
    steps_per_second: float
    max_tokens: int | None
    windows_per_chunk: int

    @classmethod
    @torch.no_grad()
    def of(cls, model: CollapModel) -> "OnnxConfig":
        config = model.config
        return cls(
            kernel_size=config.kernel_size,
            stride=config.stride,
            gamma_kernel=config.gamma_kernel,
            gamma_temporal=config.gamma_temporal,
            gamma_structure=config.gamma_structure,
            whole_text_weight=config.whole_text_weight,
            normalization=config.normalization,
            attention_temperature=float(model.attention_temperature),
            structure_temperature=float(model.structure_temperature) if config.gamma_structure else None,
            structure_pool=config.structure_pool,
            logit_factor=float(model.logit_factor),
            steps_per_second=config.steps_per_second,
            max_tokens=text_limit(config.text_config),
            windows_per_chunk=config.windows_per_chunk,
        )

    @classmethod
    def read(cls, folder: Path) -> "OnnxConfig":
        """
        Raises:
            ValueError: there is no export in the folder, or its settings are not those of this version.
        """
        try:
            return cls(**json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ValueError(f"{folder} is no ONNX export of a CoLLAP: it holds no {CONFIG_FILE}") from error
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{folder / CONFIG_FILE} cannot be read: {error}") from error

    def write(self, folder: Path) -> None:
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def score(self, audio_features: Tensor, lengths: Tensor, text: CollapTextFeatures) -> CollapScores:
        """What `CollapModel.score` gives of the same, each score (N, M)."""
        scores = alignment_scores(
            audio_features,
            lengths,
            text.text_embeds,
            kernel_size=self.kernel_size,
            stride=self.stride,
            gamma_kernel=self.gamma_kernel,
            gamma_temporal=self.gamma_temporal,
            normalization=self.normalization,
            attention_temperature=self.attention_temperature,
        )
        structure = None
        if self.structure_temperature is not None:
            structure = structure_scores(
                audio_features,
                lengths,
                **passages_of(text),
                temperature=self.structure_temperature,
                text_embeds=text.text_embeds,
                text_weight=self.whole_text_weight,
                pool=self.structure_pool,
                steps_per_second=self.steps_per_second,
            )
        return CollapScores.of(scores, structure, self.gamma_structure)
