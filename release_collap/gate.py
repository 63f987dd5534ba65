"""The sanity gate: what is wrong with a model that is about to be published.

The model is loaded from the folder that would be pushed and asked to tell apart texts and sounds that nobody would
confuse. A model that cannot, whatever its training said, is broken: text towers that give every text the same vector
have been published before and were found by their users.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard
from safetensors import SafetensorError
from torch import Tensor
from yaml import YAMLError

from evaluation_collap.scorers.base import Encoded
from evaluation_collap.scorers.collap import CollapScorer
from modeling_collap import CollapModel, mean_steps
from processing_collap import CollapProcessor

from .cards import unfilled
from .errors import ReleaseError
from .probes import SAMPLING_RATE, TEXTS, sounds
from .rehearsal import is_marked

MAX_COSINE = 0.99
"""Mean cosine between different texts, or sounds, from which on they count as collapsed into one.

Unit vectors with the cosine c are sqrt(2 - 2c) apart, and their cosines with a third vector of D = 512 dimensions, in
no special direction, differ by 1/sqrt(D) of that: at 0.99 by 0.006. That is less than the 0.01 to which scores in half
precision are right, so nobody could say which of the two matches better. collap-mini has 0.85 between texts (encoders
that put all texts into a cone still rank well), 0.79 between passages and 0.42 between sounds.
"""

MIN_SPREAD = 0.01
"""Least share of the scores' size (their root mean square) by which they must differ over texts, over sounds, and in
what is left when both means are taken off, without which every text ranks the sounds in the same order. Again what half
precision leaves. collap-mini has 0.38, 0.53 and 0.36; with its sounds brought to a cosine of 0.9995 the last is 0.013.
"""

# As a card writes it.
_DIGEST = re.compile(r"SHA-256 of the weights: `([0-9a-f]{64})`")
_BLOCK = 2**20

_WEIGHT_PROBLEMS = {
    "missing_keys": "the weights lack {}, which would be random",
    "unexpected_keys": "the weights have {}, which the model does not",
    "mismatched_keys": "the weight {} is of another shape than the model's",
    "error_msgs": "{}",
}


@dataclass(frozen=True)
class GateReport:
    """What was found.

    Args:
        problems: one clause each; none where the model may be published.
        cosines: mean over the pairs of different texts, passages and sounds.
        spreads: see `MIN_SPREAD`.
    """

    folder: Path
    problems: tuple[str, ...]
    cosines: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.problems

    def require(self) -> None:
        """
        Raises:
            ReleaseError: there are problems; the message names them all.
        """
        if self.problems:
            raise ReleaseError(f"{self.folder.name} is not fit to be published: {'; '.join(self.problems)}")


def check_model(folder: Path, *, rehearsal: bool = False) -> GateReport:
    """Card, weights, embeddings and scores of a model folder, as it would be pushed.

    Args:
        rehearsal: whether this is a stand-in, whose card must say so and needs no figures.
    """
    problems = list(card_problems(folder, rehearsal=rehearsal))
    problems += [] if problems else _other_weights(folder)
    try:
        # In float32, which every weight fits into: the gate is about the weights, not about a machine's precision.
        loaded: Any = CollapModel.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
        model, info = loaded
        scorer = CollapScorer(model, CollapProcessor.from_pretrained(folder))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        return GateReport(folder, (*problems, f"it does not load: {error}"))
    problems += _weight_problems(model, info)
    if problems:
        return GateReport(folder, tuple(problems))
    texts = [scorer.encode_text(text) for text in TEXTS]
    tracks = [scorer.encode_track(_resampled(sound, scorer.sampling_rate)) for sound in sounds()]
    return _measured(folder, texts, tracks, scorer.score(tracks, texts))


def card_problems(folder: Path, *, rehearsal: bool = False) -> Iterator[str]:
    """What the card of a repository lacks."""
    path = folder / "README.md"
    if not path.is_file():
        yield "it has no card (README.md)"
        return
    text = path.read_text(encoding="utf-8")
    try:
        licence = ModelCard(text).data.get("license")
    except (ValueError, YAMLError) as error:
        yield f"the metadata of its card cannot be read: {' '.join(str(error).split())}"
        return
    if not licence:
        yield "its card names no licence"
    if rehearsal and not is_marked(text):
        yield "its card does not say that it is that of a rehearsal"
    if not rehearsal and is_marked(text):
        yield "its card is that of a stand-in"
    if not rehearsal and (names := unfilled(text)):
        more = " and more" if len(names) > 5 else ""
        yield f"its card has {len(names)} unfilled figures: {', '.join(names[:5])}{more}"


def weights_digest(folder: Path) -> str:
    """SHA-256 over a model's safetensors files, by name; of a single file it is that file's own."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _other_weights(folder: Path) -> list[str]:
    """Figures belong to the weights that they were measured of."""
    named = _DIGEST.search((folder / "README.md").read_text(encoding="utf-8"))
    if named is None or named[1] == (found := weights_digest(folder)):
        return []
    return [f"the figures of its card are those of other weights ({named[1][:12]}, and these are {found[:12]})"]


def _weight_problems(model: CollapModel, info: Mapping[str, Any]) -> Iterator[str]:
    for kind, words in _WEIGHT_PROBLEMS.items():
        if found := sorted(map(str, info.get(kind) or ())):
            yield words.format(found[0]) + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
    for name, value in model.state_dict().items():
        if not bool(value.isfinite().all()):
            yield f"the weight {name} is not finite"
            return


def _measured(folder: Path, texts: list[Encoded], tracks: list[Encoded], scores: Tensor) -> GateReport:
    """Embeddings and scores (N, M) held against what they must be."""
    vectors = {
        "texts": torch.stack([text["text_embeds"] for text in texts]),  # (M, D)
        "sounds": torch.cat([_mean(track["features"]) for track in tracks]),  # (N, D)
    }
    if "passage_embeds" in texts[0]:
        vectors["passages"] = torch.cat([text["passage_embeds"][text["passage_places"] >= 0] for text in texts])
    problems = [f"the embeddings of {name} are not finite" for name, rows in vectors.items() if not _finite(rows)]
    if not _finite(scores):
        problems.append("its scores are not finite")
    if problems:
        return GateReport(folder, tuple(problems))
    cosines = {name: mean_cosine(rows) for name, rows in vectors.items()}
    for name, cosine in cosines.items():
        if cosine > MAX_COSINE:
            problems.append(
                f"the embeddings of {name} have collapsed: different ones have a mean cosine of {cosine:.4f}, and "
                f"{MAX_COSINE} is the most"
            )
    over = spreads(scores)
    for name, spread in over.items():
        if not spread >= MIN_SPREAD:
            problems.append(
                f"its scores differ over {name} by {spread:.4f} of their size, and {MIN_SPREAD} is the least"
            )
    return GateReport(folder, tuple(problems), cosines, over)


def mean_cosine(rows: Tensor) -> float:
    """Mean cosine over all pairs of different rows (n, D)."""
    units = F.normalize(rows.double(), dim=-1)
    n = len(units)
    return float(((units @ units.T).sum() - n) / (n * (n - 1)))


def spreads(scores: Tensor) -> dict[str, float]:
    """How much scores (N, M) differ over the texts, over the sounds and over their pairs, as shares of their size."""
    scores = scores.double()
    rows, columns = scores.mean(1, keepdim=True), scores.mean(0, keepdim=True)
    size = _size(scores) or 1.0
    return {
        "texts": _size(scores - rows) / size,
        "sounds": _size(scores - columns) / size,
        "pairs of both": _size(scores - rows - columns + scores.mean()) / size,
    }


def _size(values: Tensor) -> float:
    """Root mean square."""
    return float(values.square().mean().sqrt())


def _mean(features: Tensor) -> Tensor:
    """Of a track (T, D): (1, D)."""
    return mean_steps(features[None], torch.tensor([len(features)]))


def _finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())


def _resampled(samples: Any, sampling_rate: int) -> Any:
    """A probe at the rate that the model hears."""
    if sampling_rate == SAMPLING_RATE:
        return samples
    from torchaudio.functional import resample

    return resample(torch.from_numpy(samples), SAMPLING_RATE, sampling_rate).numpy()
