"""Retrieval metrics against a ranking written out item by item."""

import pytest
import torch

from training_collap import both_directions, retrieval_metrics


def oracle(scores: torch.Tensor, recall_at: tuple[int, ...]) -> dict[str, float]:
    """Ranks counted one by one; whatever scores as high as the match stands before it."""
    ranks = []
    for query, row in enumerate(scores.tolist()):
        rank = 1
        for item, score in enumerate(row):
            if item != query and score >= row[query]:
                rank += 1
        ranks.append(rank)
    count, ordered = len(ranks), sorted(ranks)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    precision = sum(1 / rank for rank in ranks if rank <= 10) / count
    reciprocal = sum(1 / rank for rank in ranks) / count
    recalls = {f"R@{k}": 100 * sum(rank <= k for rank in ranks) / count for k in recall_at}
    return {**recalls, "mAP@10": 100 * precision, "MRR": 100 * reciprocal, "median_rank": middle}


@pytest.mark.parametrize("size", [1, 2, 7, 40, 131])
@pytest.mark.parametrize("levels", [2, 5, None])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_oracle(size: int, levels: int | None, dtype: torch.dtype) -> None:
    """`levels` different values only: then most scores tie."""
    generator = torch.Generator().manual_seed(size)
    scores = torch.randn(size, size, generator=generator)
    if levels is not None:
        scores = torch.randint(levels, (size, size), generator=generator).float()
    scores = scores.to(dtype)
    assert retrieval_metrics(scores) == pytest.approx(oracle(scores, (1, 5, 20, 100)))
    assert retrieval_metrics(scores, (3,)) == pytest.approx(oracle(scores, (3,)))


def test_collapsed_model_earns_nothing() -> None:
    metrics = retrieval_metrics(torch.zeros(101, 101))
    recalls = {"R@1": 0, "R@5": 0, "R@20": 0, "R@100": 0}
    assert metrics == pytest.approx({**recalls, "mAP@10": 0, "MRR": 100 / 101, "median_rank": 101})


def test_scores_of_a_running_graph() -> None:
    scores = torch.eye(4, requires_grad=True)
    assert retrieval_metrics(scores * 2)["R@1"] == 100


def test_directions() -> None:
    """Rows are tracks: every track finds its text, but text 0 finds track 1 first."""
    scores = torch.tensor([[0.5, 0.1], [0.6, 0.9]])
    metrics = both_directions(scores)
    assert metrics["audio_to_text_R@1"] == 100
    assert metrics["text_to_audio_R@1"] == 50
    assert metrics["text_to_audio_mAP@10"] == 75
    assert metrics["text_to_audio_median_rank"] == 1.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_raise(value: float) -> None:
    scores = torch.eye(3)
    scores[0, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        retrieval_metrics(scores)


@pytest.mark.parametrize("shape", [(2, 3), (0, 0), (3,)])
def test_shapes_that_fit_nothing_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="square score matrix"):
        retrieval_metrics(torch.zeros(shape))
