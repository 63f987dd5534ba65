"""`evaluate.load` from the repository root, offline: what goes through Arrow comes out as the functions say."""

import doctest
from pathlib import Path

import evaluate
import numpy as np
import pytest

from metrics.retrieval import bootstrap_intervals, match_ranks, ranking_metrics
from metrics.tagging import classification_metrics, tagging_metrics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def load(name: str, cache: Path, config: str | None = None) -> evaluate.EvaluationModule:
    return evaluate.load(f"metrics/{name}", config, cache_dir=str(cache))


def test_retrieval_from_scores(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(6, size=(30, 20)).astype("float32") / 3  # ties that must stay ties
    relevant = [generator.permutation(20)[: generator.integers(1, 4)].tolist() for _ in range(30)]
    ranks = match_ranks(scores, relevant)
    module = load("retrieval", tmp_path)
    assert module.compute(predictions=scores, references=relevant) == ranking_metrics(ranks)
    for row, items in zip(scores, relevant, strict=True):
        module.add(prediction=row, reference=items)
    results = module.compute(recall_at=(2, 3), resamples=50, confidence=0.9, seed=1)
    intervals = bootstrap_intervals(ranks, (2, 3), 50, 0.9, 1)
    assert results.pop("intervals") == {name: list(interval) for name, interval in intervals.items()}
    assert results == ranking_metrics(ranks, (2, 3))


def test_retrieval_from_ranks(tmp_path: Path) -> None:
    ranks = match_ranks(np.random.default_rng(0).standard_normal((40, 40)))
    module = load("retrieval", tmp_path, "ranks")
    assert module.compute(predictions=ranks, resamples=20)["R@5"] == ranking_metrics(ranks)["R@5"]


def test_tagging(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scores, tags = generator.standard_normal((30, 4)), generator.integers(2, size=(30, 4))
    classes = generator.integers(4, size=30)
    assert load("tagging", tmp_path).compute(predictions=scores, references=tags) == tagging_metrics(scores, tags)
    module = load("tagging", tmp_path, "classification")
    assert module.compute(predictions=scores, references=classes) == classification_metrics(scores, classes)


@pytest.mark.parametrize("name", ["retrieval", "tagging"])
def test_examples_of_the_module(name: str, tmp_path: Path) -> None:
    examples = load(name, tmp_path).inputs_description.split("Examples:")[1]
    parsed = doctest.DocTestParser().get_doctest(examples, {"evaluate": evaluate}, name, None, 0)
    outcome = doctest.DocTestRunner().run(parsed)
    assert outcome.attempted >= 3
    assert outcome.failed == 0


def test_inputs_that_do_not_fit_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows of scores differ in length"):
        load("retrieval", tmp_path).compute(predictions=[[1.0, 2.0], [1.0]], references=[[0], [0]])
    with pytest.raises(ValueError, match="rows of scores differ in length"):
        load("tagging", tmp_path).compute(predictions=[[1.0, 2.0], [1.0]], references=[[0, 1], [1]])
    with pytest.raises(ValueError, match="not finite"):
        load("retrieval", tmp_path).compute(predictions=[[1.0, float("nan")]], references=[[0]])
    for name in ("retrieval", "tagging"):
        with pytest.raises(ValueError, match="knows the configuration"):
            load(name, tmp_path, "diagonal")
