"""Results as the `model-index` of a model card, which the Hub shows beside a model."""

from collections.abc import Iterator, Sequence

from huggingface_hub import EvalResult, ModelCardData

from ..records import Record
from ..results import DIRECTIONS, RetrievalResult
from .collect import Chapter

ZERO_SHOT_METRICS = ("accuracy", "ROC-AUC", "PR-AUC")


def model_index(chapters: Sequence[Chapter], model: str) -> str:
    """The `model-index` of one model's retrieval and zero-shot results, as YAML for the head of its card.

    Raises:
        ValueError: the chapters hold no such results of the model.
    """
    results = eval_results(chapters, model)
    if not results:
        raise ValueError(f"there are no retrieval or zero-shot results of {model!r}")
    return ModelCardData(model_name=model, eval_results=results).to_yaml()


def eval_results(chapters: Sequence[Chapter], model: str) -> list[EvalResult]:
    """The same for a card that has other metadata too: `ModelCardData(model_name=..., eval_results=...)`."""
    found: list[EvalResult] = []
    for chapter in chapters:
        for retrieval in chapter.retrieval:
            if retrieval.model == model:
                found += _of_retrieval(retrieval.result)
        for record in chapter.records:
            if record.model == model and record.about.probe.startswith("zero-shot"):
                found += _of_zero_shot(record)
    return found


def _of_retrieval(result: RetrievalResult) -> Iterator[EvalResult]:
    about = result.benchmark
    for way, words in DIRECTIONS.items():
        for name, figure in result.metrics[way].items():
            yield EvalResult(
                task_type="information-retrieval",
                task_name="Retrieval",
                dataset_type=about["name"],
                dataset_name=about["title"],
                dataset_args={"tracks": about["tracks"], "texts": about["texts"], "rows_sha256": about["rows_sha256"]},
                metric_type=name.lower().replace("@", "_at_"),
                metric_name=f"{name.replace('_', ' ')}, {words}",
                metric_value=round(figure.value, 2),
            )


def _of_zero_shot(record: Record) -> Iterator[EvalResult]:
    about = record.about
    for name in (name for name in ZERO_SHOT_METRICS if name in record.result["metrics"]):
        yield EvalResult(
            task_type="audio-classification",
            task_name=about.probe.replace("-", " ").replace("zero shot", "Zero-shot", 1),
            dataset_type=about.benchmark["name"],
            dataset_name=about.benchmark["title"],
            # Tags of several kinds, each a task of its own, can come from one dataset.
            dataset_config=about.probe.removeprefix("zero-shot-"),
            dataset_args={"tracks": record.result["tracks"], "rows_sha256": about.benchmark["rows_sha256"]},
            metric_type=name.lower().replace("-", "_"),
            metric_name=name,
            metric_value=round(record.result["metrics"][name], 2),
        )
