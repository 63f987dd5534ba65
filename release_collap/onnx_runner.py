"""An exported model in onnxruntime: the processor's arrays in, features and scores out, all in numpy."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from modeling_collap import CollapTextFeatures
from processing_collap import CollapProcessor

from .onnx_config import OnnxConfig

AUDIO_GRAPH, TEXT_GRAPH = "audio.onnx", "text.onnx"


class OnnxCollap:
    """Both graphs of an export, its processor and its settings.

    Args:
        folder: what `collap export onnx` wrote.
        providers: onnxruntime's execution providers, the first choice first.
        threads: of each graph; onnxruntime's choice by default.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: the folder is no such export, or a graph cannot be read.

    Example:
        ```python
        model = OnnxCollap("collap-mini-onnx")
        inputs = model.processor(audio=["song.mp3"], text=["A slow piano ballad ..."], return_tensors="np")
        features, lengths = model.get_audio_features(**inputs)
        scores = model.score(features, lengths, model.encode_text(**inputs))["fused"]  # (tracks, texts)
        ```
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int | None = None,
    ) -> None:
        folder = Path(folder)
        self.config = OnnxConfig.read(folder)
        self.processor = CollapProcessor.from_pretrained(folder)
        self.audio, self.text = (_session(folder / name, providers, threads) for name in (AUDIO_GRAPH, TEXT_GRAPH))

    def get_audio_features(self, **inputs: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """h_A of every track, as `CollapModel.get_audio_features` gives it.

        A few windows are encoded at a time, so that what the graph holds in between never grows with the track.

        Args:
            inputs: what the processor returns of N tracks; what the audio graph does not read is ignored.

        Returns:
            features (N, T, D) and lengths (N,) in time steps; steps at or past a track's length mean nothing.

        Raises:
            ValueError: an input of the graph is missing, a track has no valid window, or one that is not its last is
                shorter than the others.
        """
        given = _inputs(self.audio, inputs, "audio")
        present = np.any([rows > 0 for name, rows in given.items() if name.endswith("_lengths")], axis=0)  # (N, K)
        if not present.any(axis=1).all():
            raise ValueError(f"track {int(present.any(axis=1).argmin())} of the batch has no valid window.")
        windows = {name: rows[present][:, None] for name, rows in given.items()}  # each a track of one window
        chunk = self.config.windows_per_chunk
        parts = [
            self.audio.run(None, {name: rows[start : start + chunk] for name, rows in windows.items()})
            for start in range(0, int(present.sum()), chunk)
        ]
        fused, steps = (np.concatenate(column) for column in zip(*parts, strict=True))  # (windows, P, D), (windows,)
        return _join_in_time(fused, steps, present)

    def encode_text(self, **inputs: ArrayLike) -> dict[str, NDArray[Any]]:
        """The fields of `CollapTextFeatures` by name: `text_embeds` (M, D) and, with the structure term, the passages'.

        Args:
            inputs: what the processor returns of M texts; what the text graph does not read is ignored. Without
                passages a text is one passage.

        Raises:
            ValueError: an input of the graph is missing, a text has no token, or there are more than the graph reads.
        """
        if "input_ids" in inputs and "passage_ids" not in inputs:
            mask = np.asarray(inputs.get("attention_mask", np.ones_like(inputs["input_ids"])))
            places = np.full((len(mask), 1), 0.5, dtype=np.float32)
            passages = {
                "passage_ids": mask - 1,
                "passage_places": places,
                "passage_seconds": np.full_like(places, -1.0),
            }
            inputs = {**inputs, "attention_mask": mask, **passages}
        given = _inputs(self.text, inputs, "text")
        tokens, limit = given["input_ids"].shape[1], self.config.max_tokens
        if limit is not None and tokens > limit:
            raise ValueError(f"the texts have {tokens} tokens, but the text graph reads at most {limit}.")
        heard = given["attention_mask"].any(axis=1)  # (M,)
        if not heard.all():
            raise ValueError(f"text {int(heard.argmin())} of the batch has no token.")
        return dict(zip(CollapTextFeatures._fields, self.text.run(None, given), strict=False))

    def score(
        self, audio_features: ArrayLike, lengths: ArrayLike, text: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[np.float32]]:
        """Alignment of tracks and texts, eqs (1)-(7): `kernel`, `temporal`, `structure` and `whole` (where the model
        has them) and `fused`, each (N, M). `fused` times `config.logit_factor` are logits.

        Args:
            audio_features, lengths: as `get_audio_features` returns them.
            text: as `encode_text` returns it.
        """
        features = CollapTextFeatures(**{name: torch.as_tensor(rows) for name, rows in text.items()})
        scores = self.config.score(torch.as_tensor(audio_features), torch.as_tensor(lengths), features)
        return {name: rows.numpy() for name, rows in scores.present().items()}


def _session(graph: Path, providers: Sequence[str], threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("onnxruntime, of the extra collap[onnx], is not installed") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(graph, options, providers=list(providers))
    except Exception as error:  # onnxruntime's own errors have no base but this
        raise ValueError(f"the graph {graph} cannot be read: {error}") from error


def run_graph(session: Any, inputs: Mapping[str, Any], what: str) -> list[NDArray[Any]]:
    """Outputs of a graph, `OnnxCollap.audio` or `.text`, whose inputs are among those given.

    Raises:
        ValueError: an input is missing; the message names it and `what` it is computed from.
    """
    return session.run(None, _inputs(session, inputs, what))


def _inputs(session: Any, inputs: Mapping[str, Any], what: str) -> dict[str, NDArray[Any]]:
    names = [node.name for node in session.get_inputs()]
    if missing := [name for name in names if name not in inputs]:
        raise ValueError(f"the {what} graph needs {', '.join(missing)}, which the processor returns of {what}.")
    return {name: np.asarray(inputs[name]) for name in names}


def _join_in_time(
    fused: NDArray[np.float32], steps: NDArray[np.int64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The windows (windows, P, D) of every track one after another, (N, T, D), and the tracks' lengths (N,)."""
    (tracks, slots), full = present.shape, fused.shape[1]
    window_steps = np.zeros(present.shape, dtype=np.int64)  # (N, K)
    window_steps[present] = steps
    starts = window_steps.cumsum(1) - window_steps
    if (starts != np.arange(slots) * full)[window_steps > 0].any():
        raise ValueError("only the last window of a track may be shorter than the others.")
    lengths = window_steps.sum(1)
    joined = np.zeros((tracks, slots, *fused.shape[1:]), dtype=fused.dtype)
    joined[present] = fused
    return joined.reshape(tracks, slots * full, -1)[:, : lengths.max()], lengths
