"""A model as a folder for onnxruntime: a graph for tracks, a graph for texts, the processor, and how to score."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.export import Dim
from transformers import BatchFeature

from modeling_collap import CollapModel
from modeling_collap.modeling_collap import text_limit
from processing_collap import CollapProcessor

from .onnx_check import TOLERANCE, Agreement, check_agreement, sample_batches
from .onnx_config import OnnxConfig
from .onnx_runner import AUDIO_GRAPH, TEXT_GRAPH
from .onnx_towers import AudioTower, TextTower
from .staging import staging_folder

# The oldest that torch writes: every runtime of the last years reads it.
OPSET = 18


def export_onnx(
    model: CollapModel, processor: CollapProcessor, output: Path, *, tolerance: float = TOLERANCE
) -> Agreement:
    """Writes the folder that `OnnxCollap` reads, once its graphs have been found to agree with the model.

    Args:
        model: in float32 on the CPU and in evaluation mode, as `from_pretrained` gives it.
        processor: the one that goes with it.
        output: a folder that does not exist yet; it is there as a whole or not at all.
        tolerance: the largest difference that is allowed, see `check_agreement`.

    Raises:
        ImportError: a package of the extra `collap[onnx]` is not installed.
        ValueError: `output` exists, or the model is in another precision, on another device or being trained.
        OnnxMismatchError: the graphs do not give what the model gives.
    """
    check_packages()
    if output.exists():
        raise ValueError(f"{output} exists already; an export does not replace it")
    weight = model.text_projection.weight
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or model.training:
        mode = "training" if model.training else "evaluation"
        state = f"{weight.dtype} on {weight.device} in {mode} mode"
        raise ValueError(f"a model is exported in float32 on the CPU in evaluation mode, but this one is in {state}")
    with staging_folder(output) as folder:
        write_graphs(model, sample_batches(processor)[0], folder)
        processor.save_pretrained(folder)
        OnnxConfig.of(model).write(folder)
        return check_agreement(folder, model, processor, tolerance)


def write_graphs(model: CollapModel, sample: BatchFeature, folder: Path) -> None:
    """Exports both towers, and has onnx check them.

    Args:
        sample: what the processor gives of tracks and texts, at least two of each, of several windows and passages.
    """
    tracks, windows, texts, passages = map(Dim, ("tracks", "windows", "texts", "passages"))
    tokens = Dim("tokens", max=text_limit(model.config.text_config))
    audio = AudioTower(model)
    _write(audio, sample, dict.fromkeys(audio.inputs, (tracks, windows)), folder / AUDIO_GRAPH)
    text = TextTower(model)
    axes = {
        name: (texts, passages if name in ("passage_places", "passage_seconds") else tokens) for name in text.inputs
    }
    _write(text, sample, axes, folder / TEXT_GRAPH)


def check_packages() -> None:
    """
    Raises:
        ImportError: a package of the extra `collap[onnx]` is not installed; the message names it.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise ImportError(f"ONNX export needs {package}, of the extra collap[onnx], which is not installed")


def _write(tower: AudioTower | TextTower, sample: BatchFeature, axes: dict[str, tuple[Dim, Dim]], file: Path) -> None:
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # No gradients: with them torch attends by another kernel while it traces than while it converts.
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            tower.eval(),
            # The empty keywords: a dictionary that comes last would be taken for them.
            ({name: sample[name] for name in tower.inputs}, {}),
            dynamo=True,
            opset_version=OPSET,
            input_names=tower.inputs,
            output_names=tower.outputs,
            dynamic_shapes=({name: dict(enumerate(dims)) for name, dims in axes.items()},),
            verbose=False,
        )
        assert program is not None
        ClearMetadataAndDocStringPass()(program.model)  # of every line of code that was traced, with its path
        program.save(file)  # one file, as long as protobuf can hold it: 2 GB
    onnx.checker.check_model(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch says of every export that it has no torchvision, and of every axis that others have the same length."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (UserWarning, FutureWarning))
            yield
    finally:
        logger.setLevel(level)
