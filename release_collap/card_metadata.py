"""The heads of the cards: the YAML that the Hub reads, made by huggingface_hub."""

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from dataset_scripts.audioset.pack import SPLITS

from .card_figures import DatasetFacts, ModelFigures, Table
from .card_statistics import DatasetFigures

ARXIV = "2410.02271"


def model_metadata(figures: ModelFigures, *, org: str, stand_in: bool) -> str:
    """The head of a model card, without its rules; that of random weights claims no data, no base and no results.

    The Hub makes the tag `arxiv:...` from the link in a card's text; it is here too, for tools that read only this.
    """
    about = figures.metadata
    results = [] if stand_in else [result for table in figures.tables for result in eval_results(table, figures.name)]
    return ModelCardData(
        language="en",
        license=figures.licence("weights"),
        library_name="transformers",
        pipeline_tag=about.pipeline_tag,
        tags=[*about.tags, f"arxiv:{ARXIV}", *(["rehearsal"] if stand_in else [])],
        arxiv=ARXIV,
        datasets=None if stand_in else [name.format(org=org) for name in about.datasets],
        base_model=None if stand_in else list(about.base_model) or None,
        model_name=figures.name if results else None,
        eval_results=results or None,
    ).to_yaml()


def eval_results(table: Table, model: str) -> list[EvalResult]:
    """The model's own numbers in a table for a `model-index`; none of a table that is no task of the Hub.

    Results with the same task, data set, `config` and `split` are one entry there.
    """
    task = table.task
    if task is None:
        return []
    return [
        EvalResult(
            task_type=task.type,
            task_name=task.name,
            dataset_type=task.dataset,
            dataset_name=task.dataset_name,
            dataset_config=task.config,
            dataset_split=task.split,
            dataset_args={"rows_sha256": table.sha256} if table.sha256 else None,
            metric_type=column.lower().replace("@", "_at_").replace(" ", "_").replace("-", "_"),
            metric_name=column if row.label == model else f"{column}, {row.label}",
            metric_value=value,
        )
        for row in table.rows
        if row.own
        for column, value in zip(table.columns, row.values, strict=True)
        if isinstance(value, int | float)
    ]


def dataset_metadata(facts: DatasetFacts, statistics: DatasetFigures | None) -> str:
    """The head of a dataset card, by whose `configs` `load_dataset` finds the files: those counted, or to be built."""
    config = statistics.config if statistics else "captions"
    paths = (
        {split.name: split.path for split in statistics.splits}
        if statistics
        else {split: f"{config}/{split}-*.parquet" for split in SPLITS}
    )
    files = [{"split": split, "path": path} for split, path in paths.items()]
    return DatasetCardData(
        language=["en"],
        license=facts.licence,
        pretty_name=facts.pretty_name,
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        multilinguality="monolingual",
        size_categories=[statistics.size_category] if statistics else None,
        task_categories=list(facts.task_categories),
        tags=[*facts.tags, f"arxiv:{ARXIV}"],
        arxiv=ARXIV,
        configs=[{"config_name": config, "default": True, "data_files": files}],
    ).to_yaml()
