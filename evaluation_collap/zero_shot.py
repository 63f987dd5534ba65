"""Zero-shot classification and tagging: every label is put into sentences, and tracks are scored against those.

MusCALL (arXiv 2208.12208, section 5.2) does so on GTZAN and MagnaTagATune; `dataset_scripts.benchmarks` loads them, and
`dataset_scripts.songbook.labels` makes the same task of the songbook, whose captions name style and instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Audio, ClassLabel, Dataset
from tqdm.auto import tqdm

from metrics.tagging import classification_metrics, tag_metrics, tagging_metrics

from .embeddings import EmbeddingCache, load_samples
from .probes.base import ProbeResult, markdown_table
from .prompts import TAG_PROMPTS, fill_prompt
from .scorers import Encoded, Scorer


@dataclass(frozen=True)
class LabelFigures:
    """One label: how many tracks have it, and areas in percent, `None` where all tracks have it or none does."""

    tracks: int
    roc_auc: float | None
    pr_auc: float | None


@dataclass(frozen=True)
class ZeroShotResult(ProbeResult):
    """What a scorer knows of labels that it was never trained on.

    Args:
        scorer: its name.
        tracks: how many were scored.
        multi_label: tagging rather than classification.
        prompts: the sentences; "{}" is the label's place.
        protocol: how tracks and texts were read and scored, in words, by topic.
        metrics: "accuracy" (of classification), "ROC-AUC" and "PR-AUC" averaged over labels, in percent, and "tags",
            the number of labels averaged over.
        unheard: what scores earn that do not depend on the track, by the same names.
        labels: figures by label.
        broken: why tracks were left out, by id.
    """

    probe: ClassVar[str] = "zero-shot"

    scorer: str
    tracks: int
    multi_label: bool
    prompts: tuple[str, ...]
    protocol: dict[str, str]
    metrics: dict[str, float]
    unheard: dict[str, float]
    labels: dict[str, LabelFigures]
    broken: dict[str, str]

    def table(self) -> str:
        names = [name for name in ("accuracy", "ROC-AUC", "PR-AUC") if name in self.metrics]
        lines = [
            [self.scorer, *(self.metrics[name] for name in names)],
            ["without listening", *(self.unheard[name] for name in names)],
        ]
        return markdown_table([f"{self.tracks} tracks, {len(self.labels)} labels", *names], lines)


def zero_shot(
    scorer: Scorer,
    rows: Dataset,
    labels: Sequence[str] | None = None,
    prompts: Sequence[str] = TAG_PROMPTS,
    *,
    multi_label: bool = False,
) -> ZeroShotResult:
    """Scores every track against every label, as the mean of the scores against the label's prompts.

    Args:
        rows: with the columns `id`, `audio` and `labels`, the names (or classes) of each track's labels. Tracks that
            cannot be decoded or heard are left out, and listed in the result.
        labels: the candidates; by default the names of the classes of `labels`, or else all that occur.
        prompts: sentences with "{}" where the label goes; several make an ensemble.
        multi_label: a track may have any number of the labels; labels that are no candidates are passed over. Otherwise
            it has exactly one.

    Raises:
        ValueError: a prompt has no place for the label; there is no candidate or no track; or a track of a
            classification has not one label, or one that is no candidate.
    """
    if not prompts or any("{}" not in prompt for prompt in prompts):
        raise ValueError(f'a prompt needs a place "{{}}" for the label, unlike one of {list(prompts)}.')
    truth = _label_names(rows)
    candidates = list(dict.fromkeys(labels if labels is not None else _candidates(rows, truth)))
    if not candidates or not len(rows):
        raise ValueError(f"zero-shot needs labels and tracks, not {len(candidates)} of the ones and {len(rows)}.")
    if not multi_label:
        for name, of_track in zip(rows["id"], truth, strict=True):
            if len(of_track) != 1 or of_track[0] not in candidates:
                raise ValueError(f"classification needs one of the {len(candidates)} labels, {name} has {of_track}.")
    encoded, kept, broken = _encode_tracks(scorer, rows)
    if not kept:
        raise ValueError(f"none of the {len(rows)} tracks can be heard; the first: {next(iter(broken.values()))}")
    scores = _score(scorer, encoded, candidates, prompts)  # (N, labels)
    tags = np.array([[label in truth[row] for label in candidates] for row in kept])  # (N, labels)
    metrics = tagging_metrics(scores, tags) if multi_label else classification_metrics(scores, tags.argmax(1))
    by_label = tag_metrics(scores, tags)
    figures = zip(tags.sum(0).tolist(), by_label.roc_auc.tolist(), by_label.pr_auc.tolist(), strict=True)
    return ZeroShotResult(
        scorer=scorer.name,
        tracks=len(kept),
        multi_label=multi_label,
        prompts=tuple(prompts),
        protocol={
            **scorer.protocol,
            "labels": "a label's score is the mean of the scores of its prompts",
            "ties": "a class counts as found if it scores higher than every other",
        },
        metrics=metrics,
        unheard=_unheard(tags, multi_label),
        labels={
            label: LabelFigures(count, *(None if np.isnan(area) else area for area in areas))
            for label, (count, *areas) in zip(candidates, figures, strict=True)
        },
        broken=broken,
    )


def _label_names(rows: Dataset) -> list[list[str]]:
    if "labels" not in rows.column_names:
        raise ValueError(f"the rows have no column labels; they have {', '.join(rows.column_names)}.")
    kind = _label_class(rows)
    return [[kind.int2str(label) for label in labels] if kind else list(labels) for labels in rows["labels"]]


def _candidates(rows: Dataset, truth: Sequence[Sequence[str]]) -> list[str]:
    kind = _label_class(rows)
    return kind.names if kind else sorted({label for labels in truth for label in labels})


def _label_class(rows: Dataset) -> Any:
    feature = getattr(rows.features["labels"], "feature", None)
    return feature if isinstance(feature, ClassLabel) else None


def _encode_tracks(scorer: Scorer, rows: Dataset) -> tuple[Sequence[Encoded], list[int], dict[str, str]]:
    """Encodings of the tracks that can be heard, their rows, and what is wrong with the others, by id."""
    if isinstance(scorer, EmbeddingCache):
        tracks = scorer.tracks(rows, skip_broken=True)
        lost = {track.row for track in tracks.broken}
        kept = [row for row in range(len(rows)) if row not in lost]
        return tracks, kept, {track.id: track.reason for track in tracks.broken}
    encoded, kept, broken = [], [], {}
    sources = rows.select_columns(["id", "audio"]).cast_column("audio", Audio(decode=False))
    for index, row in enumerate(tqdm(sources, "Encoding tracks", leave=False)):
        try:
            encoded.append(scorer.encode_track(load_samples(row["audio"], scorer.sampling_rate)))
            kept.append(index)
        except (ValueError, OSError) as error:
            broken[row["id"]] = str(error)
    return encoded, kept, broken


def _score(scorer: Scorer, tracks: Sequence[Encoded], labels: Sequence[str], prompts: Sequence[str]) -> np.ndarray:
    """(N, labels)."""
    texts = [scorer.encode_text(fill_prompt(prompt, label)) for label in labels for prompt in prompts]
    # One track at a time: encodings may lie on disk, and be long.
    scores = torch.cat([scorer.score([track], texts) for track in tracks])  # (N, labels * prompts)
    return scores.unflatten(1, (len(labels), len(prompts))).mean(2).numpy()


def _unheard(tags: np.ndarray, multi_label: bool) -> dict[str, float]:
    """Of the same answer for every track: at best the most frequent class; areas are those of tracks that all tie."""
    shares = tags.mean(0)
    areas = {"ROC-AUC": 50.0, "PR-AUC": float(100 * shares[(shares > 0) & (shares < 1)].mean())}
    return areas if multi_label else {"accuracy": float(100 * shares.max()), **areas}
