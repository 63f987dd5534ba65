"""What each part of a checkpoint's score contributes, without training anew.

The settings of the score (kernel and stride, gammas, attention temperature, normalisation) are tried on the same
encodings, and the tracks are cut to their first minutes: windows are encoded one by one, so that the first ones of a
whole track are those of a short one. For "Whisper only" and "BEATs only" the other stream is silenced behind its layer
norm and the tracks are encoded again. The adapter was trained with both, so this says what this checkpoint takes from a
stream, not what a model trained on one stream alone would earn: that takes a recipe with `whisper_config: null` or
`beats_config: null`.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset
from torch import nn
from tqdm.auto import tqdm

from .embeddings import EmbeddingCache
from .probes.base import ProbeResult, markdown_table
from .probes.recall import retrieval_both_ways
from .probes.tracks import draw_rows, encode_texts, encode_tracks
from .scorers import Scorer
from .scorers.collap import CollapScorer, MeanPoolingScorer

BRANCHES = {"whisper": "BEATs only", "beats": "Whisper only"}  # what is left once a branch is silenced

# One sweep a setting of the paper's terms, where they have weight; everything else stays as the checkpoint has it.
SWEEPS: dict[str, Sequence[dict[str, Any]]] = {
    "kernel": [{"seconds_per_kernel": seconds} for seconds in (2.0, 5.0, 10.0, 20.0, 30.0)],
    "stride": [{"seconds_per_stride": seconds} for seconds in (0.4, 1.0, 2.0, 5.0, 10.0)],
    "gammas": [{"gamma_kernel": kernel, "gamma_temporal": 1 - kernel} for kernel in (0.0, 0.25, 0.5, 0.75, 1.0)],
    "attention temperature": [{"attention_temperature": factor} for factor in (1.0, 4.0, 8.0, 16.0, 32.0, 64.0)],
    "normalization": [{"normalization": name} for name in ("mean", "paper")],
}
# Of models with the structure term only: from the paper's terms alone to it alone.
STRUCTURE_SWEEP: Sequence[dict[str, Any]] = [
    {"gamma_kernel": paper, "gamma_temporal": paper, "gamma_structure": structure}
    for paper, structure in ((0.5, 0.0), (0.5, 1.0), (0.25, 1.0), (0.1, 1.0), (0.0, 1.0))
]
# The text as a whole among its passages.
WHOLE_TEXT_SWEEP: Sequence[dict[str, Any]] = [{"whole_text_weight": weight} for weight in (0.0, 0.5, 1.0, 2.0, 4.0)]
# How many windows of every track are heard; 4 and 10 are the 2 and 5 minutes that the paper's tracks lie between.
OPENINGS = (1, 2, 4, 10)


@dataclass(frozen=True)
class Ablated:
    """Retrieval with one thing changed; for `metrics` see `retrieval_both_ways`.

    Args:
        group: what is varied; "checkpoint" is the model as it is.
        settings: fields of `CollapConfig` that were set, or the branch that is left.
    """

    group: str
    settings: dict[str, Any]
    metrics: dict[str, float]


@dataclass(frozen=True)
class AblationResult(ProbeResult):
    probe: ClassVar[str] = "ablations"

    scorer: str
    tracks: int
    seed: int
    as_trained: dict[str, Any]  # the settings of the score that the checkpoint has
    lines: tuple[Ablated, ...]

    def table(self) -> str:
        names = [f"{way}_{metric}" for way in ("text_to_audio", "audio_to_text") for metric in ("R@1", "R@5")]
        header = ["", "Setting", "T2A R@1", "T2A R@5", "A2T R@1", "A2T R@5"]
        return markdown_table(
            header, [[line.group, _words(line), *(line.metrics[name] for name in names)] for line in self.lines]
        )


def run(
    scorer: Scorer,
    rows: Dataset,
    *,
    seed: int = 0,
    tracks: int | None = None,
    sweeps: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    branches: bool = True,
    openings: Sequence[int] = OPENINGS,
) -> AblationResult:
    """Retrieval among the same tracks and captions, with one setting after the other changed.

    Args:
        scorer: a `CollapScorer`, or an `EmbeddingCache` around one.
        rows: of the dataset schema.
        tracks: how many tracks, drawn by the seed; all by default.
        sweeps: settings to try, by the name of their group; `default_sweeps` by default.
        branches: also silence each audio branch, which encodes all tracks twice more. A model with one branch has none
            to silence.
        openings: also hear no more than this many windows of every track.

    Raises:
        ValueError: the scorer is no CoLLAP, or a setting is none of its score.
    """
    bare = scorer.scorer if isinstance(scorer, EmbeddingCache) else scorer
    if not isinstance(bare, CollapScorer):
        raise ValueError(f"{scorer.name} is no CoLLAP: it has no kernels, gammas or branches to ablate.")
    if sweeps is None:
        sweeps = default_sweeps(bare)
    variants = [
        (group, dict(settings), bare.with_settings(**settings)) for group, each in sweeps.items() for settings in each
    ]
    rows = draw_rows(rows, tracks, seed=seed)
    captions = list(rows["caption"])
    encoded, texts = encode_tracks(scorer, rows), encode_texts(scorer, captions)

    lines = [Ablated("checkpoint", {}, retrieval_both_ways(bare.score(encoded, texts)))]
    for group, settings, variant in tqdm(variants, "Scoring with other settings", leave=False):
        lines.append(Ablated(group, settings, retrieval_both_ways(variant.score(encoded, texts))))
    config = bare.model.config
    for windows in openings:
        seconds = windows * config.window_seconds
        steps = round(seconds * config.steps_per_second)
        heard = [{"features": track["features"][:steps]} for track in encoded]
        lines.append(Ablated("audio heard", {"seconds": seconds}, retrieval_both_ways(bare.score(heard, texts))))
    encoder = bare.model.audio_encoder
    if branches and encoder.whisper is not None and encoder.beats is not None:
        for branch, left in BRANCHES.items():
            silenced: Scorer = silence_branch(bare, branch)
            if isinstance(scorer, EmbeddingCache):
                silenced = EmbeddingCache(scorer.folder.parent, silenced, progress=scorer.progress)
            metrics = retrieval_both_ways(silenced.score(encode_tracks(silenced, rows), texts))
            lines.append(Ablated("branch", {"branch": left}, metrics))
    return AblationResult(bare.name, len(rows), seed, bare.settings, tuple(lines))


def default_sweeps(scorer: CollapScorer) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """`SWEEPS`, `STRUCTURE_SWEEP` and `WHOLE_TEXT_SWEEP` of the terms that the model weighs; mean pooling has none."""
    if isinstance(scorer, MeanPoolingScorer):
        return {}
    config = scorer.model.config
    further = {"structure": STRUCTURE_SWEEP} if config.gamma_structure else {}
    if config.gamma_structure and config.whole_text_weight:
        further["whole text"] = WHOLE_TEXT_SWEEP
    return {**(SWEEPS if config.weighs_frames else {}), **further}


def silence_branch(scorer: CollapScorer, branch: str) -> CollapScorer:
    """The same model with zeros for one stream, where its layer norm would hand it to the adapter.

    Args:
        branch: "whisper" or "beats". Weights are shared with `scorer`, which stays as it is.

    Raises:
        ValueError: the model has no such branch.
    """
    if branch not in BRANCHES or getattr(scorer.model.audio_encoder, branch) is None:
        raise ValueError(f"{scorer.name} has no branch {branch!r} to silence.")
    model = _copied(scorer.model)
    model.audio_encoder = _copied(model.audio_encoder)
    norm = copy.deepcopy(getattr(model.audio_encoder, f"{branch}_norm"))
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    setattr(model.audio_encoder, f"{branch}_norm", norm)
    return type(scorer)(model, scorer.processor, f"{scorer.name}, {BRANCHES[branch]}")


def _copied(module: Any) -> Any:
    """A shallow copy whose submodules can be replaced; those that are not are shared."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied


def _words(line: Ablated) -> str:
    return ", ".join(value if isinstance(value, str) else f"{name} {value:g}" for name, value in line.settings.items())
