"""CoLLAP in MTEB's audio tasks, and wherever else one vector per track or text is wanted.

MTEB's protocol (`mteb.models.models_protocols.EncoderProtocol`) is vectors, and a similarity of vectors. CoLLAP's own
score is none: it reads the whole sequence of a track. What enters here is the global vector, the mean of the time
steps, whose cosine with a text orders the texts of a track as `MeanPoolingScorer` does. MTEB would take another
similarity, but does not ask for one everywhere: classification and clustering see the vectors alone, and one model's
figures would be of two. MTEB is an extra of this project, `collap[mteb]`.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from modeling_collap import CollapModel, mean_steps
from processing_collap import CollapProcessor
from processing_collap.audio_loading import load_tracks
from training_collap.provenance import weights_digest

from .scorers.collap import load_collap

PAPER = """@article{wu2024collap,
  title   = {CoLLAP: Contrastive Long-form Language-Audio Pretraining with Musical Temporal Structure Augmentation},
  author  = {Wu, Junda and Li, Warren and Novack, Zachary and Namburi, Amit and Chen, Carol and McAuley, Julian},
  journal = {arXiv preprint arXiv:2410.02271},
  year    = {2024}
}"""


class CollapEncoder(AbsEncoder):
    """One unit vector per text and per whole track, however long.

    Tracks are encoded one at a time, so that their vectors are the same alone and in a batch.

    Args:
        model_name: folder or Hub name of a CoLLAP.
        revision: of the Hub repository.
        device: by default a GPU where there is one.

    Raises:
        ValueError: there is no such model, or it is no CoLLAP.

    Example:
        ```python
        encoder = CollapEncoder("checkpoints/collap-mini")
        encoder.similarity(encoder.encode([Path("song.mp3")]), encoder.encode(["a slow piano ballad"]))  # (1, 1)
        mteb.evaluate(encoder, mteb.get_tasks(modalities=["audio"]))
        ```
    """

    def __init__(self, model_name: str, revision: str | None = None, *, device: str | None = None, **_: Any) -> None:
        model: Any
        model, self.processor = load_collap(model_name, revision=revision or "main")
        self.model: CollapModel = model.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.mteb_model_meta = model_meta(model_name, self.model, self.processor)

    def encode(  # type: ignore[override]
        self,
        inputs: Any,
        *,
        batch_size: int = 32,
        sampling_rate: int | None = None,
        show_progress_bar: bool = False,
        precision: str = "float32",
        **_: Any,
    ) -> np.ndarray:
        """Vectors of length 1, as `SentenceTransformer.encode` returns them.

        Args:
            inputs: MTEB's `DataLoader` of batches with "text", "audio" or both (their sum, normalised, stands for an
                item with both); or a text or track, or a list of them. Strings are texts; a track is anything that
                `CollapFeatureExtractor` takes but a string: a `Path`, bytes, a decoder, `{"array", "sampling_rate"}`,
                or samples. What is too short for the model is padded with silence to what it can read.
            batch_size: texts encoded at once; batches of a `DataLoader` are taken as they come.
            sampling_rate: in hertz, of tracks given as bare samples; required for these.

        Returns:
            (items, D) float32; (D,) for one item that is in no list.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a text is empty, a track cannot be used, or there is neither.
        """
        if precision != "float32":
            raise ValueError(f"CollapEncoder gives float32 vectors, not {precision!r}; quantize them afterwards.")
        if isinstance(inputs, DataLoader):
            batches = tqdm(inputs, "Encoding", disable=not show_progress_bar)
            return np.concatenate([self._both(batch) for batch in batches])
        if not isinstance(inputs, list | tuple):
            return self.encode([inputs], sampling_rate=sampling_rate)[0]
        if not inputs:
            raise ValueError("inputs is an empty list: give at least one text or track.")
        with tqdm(total=len(inputs), desc="Encoding", disable=not show_progress_bar) as bar:
            parts = []
            for run in _alike(inputs, batch_size):
                are_texts = isinstance(run[0], str)
                parts.append(self._texts(run) if are_texts else self._tracks(run, sampling_rate))
                bar.update(len(run))
        return np.concatenate(parts)

    def _both(self, batch: dict[str, Any]) -> np.ndarray:
        """(batch, D) of a batch of MTEB's."""
        parts = []
        if "text" in batch:
            parts.append(self._texts(list(batch["text"])))
        if "audio" in batch:
            parts.append(self._tracks(batch["audio"]))
        if not parts:
            raise ValueError(f"CollapEncoder reads text and audio, but the batch has {', '.join(sorted(batch))} only.")
        total = sum(parts)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    @torch.inference_mode()
    def _texts(self, texts: Sequence[str]) -> np.ndarray:
        inputs = self.processor(text=list(texts), return_tensors="pt").to(self.model.device)
        return _units(self.model.get_text_features(**inputs))

    @torch.inference_mode()
    def _tracks(self, tracks: Sequence[Any], sampling_rate: int | None = None) -> np.ndarray:
        extractor = self.processor.feature_extractor
        vectors = []
        for track in tracks:
            (samples,) = load_tracks(
                [track],
                sampling_rate,
                sampling_rate=extractor.sampling_rate,
                min_samples=1,
                max_seconds=extractor.max_seconds,
            )
            # Benchmarks have clips of a fraction of a second, and one that is refused would end the whole task.
            samples = F.pad(samples, (0, max(0, extractor.min_samples - len(samples))))
            inputs = extractor([samples], sampling_rate=extractor.sampling_rate, return_tensors="pt")
            vectors.append(mean_steps(*self.model.get_audio_features(**inputs.to(self.model.device))))  # (1, D)
        return _units(torch.cat(vectors))


def model_meta(name: str, model: CollapModel, processor: CollapProcessor) -> ModelMeta:
    """MTEB's card of a CoLLAP, counted from the model itself.

    Its revision is the commit it was loaded from, or, of a folder, a digest of the weights: results that MTEB has kept
    of other weights are never taken for these.

    Args:
        name: the folder or Hub name that it was loaded from. MTEB files results under it: a folder's under its last two
            parts.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        name = "/".join(folder.resolve().parts[-2:])
    weights = list(model.state_dict().values())
    return ModelMeta(
        loader=CollapEncoder,  # type: ignore[arg-type]  # its encode takes lists too
        name=name,
        revision=getattr(model.config, "_commit_hash", None) or weights_digest(model)[:16],
        release_date=None,
        languages=["eng-Latn"],
        modalities=["audio", "text"],
        model_type=["dense"],
        n_parameters=sum(weight.numel() for weight in weights),
        n_embedding_parameters=sum(weight.numel() for weight in model.get_input_embeddings().parameters()),
        memory_usage_mb=sum(weight.nbytes for weight in weights) / 2**20,
        max_tokens=processor.tokenizer.model_max_length,
        embed_dim=model.config.projection_dim,
        license="apache-2.0",
        open_weights=True,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch", "Transformers", "safetensors"],
        reference="https://arxiv.org/abs/2410.02271",
        similarity_fn_name="cosine",  # type: ignore[arg-type]
        use_instructions=False,
        training_datasets=set(),
        citation=PAPER,
    )


def _alike(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """Neighbours that are all texts or all tracks, at most `size` at a time."""
    for _, run in groupby(items, key=lambda item: isinstance(item, str)):
        members = list(run)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _units(vectors: Tensor) -> np.ndarray:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()
