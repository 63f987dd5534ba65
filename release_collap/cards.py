"""The cards of the released models and data sets: templates filled with measured figures.

    python -m release_collap.cards           # writes all cards
    python -m release_collap.cards --check   # says which are not what they would be

The words are in model_cards/templates, the numbers in model_cards/NAME.json, or counted from the rows. A number that is
absent stands in the card as "not measured yet", and `unfilled` finds it.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dataset_scripts.audioset.pack import packed_features
from dataset_scripts.whole_files import whole_file

from .card_figures import CARDS, DatasetFacts, ModelFigures, read_figures
from .card_markdown import digest, markdown_table, measured, tally, unfilled
from .card_metadata import ARXIV, dataset_metadata, model_metadata
from .card_statistics import DatasetFigures, dataset_statistics

__all__ = ["dataset_statistics", "render_dataset_card", "render_model_card", "rendered_cards", "unfilled"]

MODELS = ("collap-mini", "collap-mini-paper", "collap-gpt2", "collap-roberta")
DATASETS = ("collap-audioset",)
CHECKPOINTS = CARDS.parent / "checkpoints"
NAMESPACE = "org"
"""Stands in the cards of this repository where the Hub's have the name of an organization."""
_ON_THE_HUB = ("collap-mini", "collap-gpt2", "collap-roberta")


def render_model_card(
    name: str,
    *,
    org: str | None = None,
    figures: ModelFigures | None = None,
    stand_in: bool = False,
    root: str = "../",
) -> str:
    """The card of a model, as Markdown with its head.

    Args:
        org: namespace on the Hub; None for a card in this repository, whose code loads the checkpoint that is here, and
            whose file names are links.
        figures: by default those of model_cards/NAME.json.
        stand_in: for random weights in a rehearsal: the card says so and has no results.
        root: path from a card in this repository to its root, for these links.

    Raises:
        FileNotFoundError: there are no figures of that name.
        ValueError: the figures are not as they should be.
    """
    figures = figures or read_figures(CARDS / f"{name}.json", ModelFigures)
    here = org is None and (CHECKPOINTS / name).is_dir()
    return _render(
        f"{name}.md.j2",
        org,
        root,
        metadata=model_metadata(figures, org=org or NAMESPACE, stand_in=stand_in),
        figures=figures,
        source=f"checkpoints/{name}" if here else f"{org or NAMESPACE}/{name}",
        stand_in=stand_in,
    )


def render_dataset_card(
    name: str,
    *,
    org: str | None = None,
    statistics: DatasetFigures | None = None,
    stand_in: bool = False,
    root: str = "../",
) -> str:
    """The card of a data set, as Markdown with its head.

    Args:
        org, root: see `render_model_card`.
        statistics: what `dataset_statistics` counted; None where there are no rows yet.
        stand_in: for the rows of a rehearsal: the card says so.

    Raises:
        FileNotFoundError: there are no facts of that name.
        ValueError: the facts are not as they should be.
    """
    facts = read_figures(CARDS / f"{name}.json", DatasetFacts)
    return _render(
        f"{name}.md.j2",
        org,
        root,
        metadata=dataset_metadata(facts, statistics),
        figures=facts,
        source=f"{org or NAMESPACE}/{name}",
        statistics=statistics,
        columns=_columns(statistics),
        stand_in=stand_in,
    )


def rendered_cards() -> dict[Path, str]:
    """All cards in this repository: where each is, and what it should be."""
    cards = {CARDS / f"{name}.md": render_model_card(name) for name in MODELS}
    cards |= {CARDS / f"{name}.md": render_dataset_card(name) for name in DATASETS}
    for name in MODELS:
        if (CHECKPOINTS / name).is_dir():
            cards[CHECKPOINTS / name / "README.md"] = render_model_card(name, root="../../")
    return cards


def _render(template: str, org: str | None, root: str, **values: Any) -> str:
    def file(path: str) -> str:
        """A file of this repository: a link in it, its name elsewhere."""
        return f"`{path}`" if org else f"[{path}]({root}{path})"

    def sibling(name: str) -> str:
        """Another model of this project."""
        if org is None:
            folder = f"checkpoints/{name}" if (CHECKPOINTS / name).is_dir() else f"model_cards/{name}.md"
            return f"[{name}]({root}{folder})"
        return f"[{name}](https://huggingface.co/{org}/{name})" if name in _ON_THE_HUB else name

    environment = Environment(
        loader=FileSystemLoader(CARDS / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"digest": digest, "measured": measured, "table": markdown_table, "tally": tally}
    environment.globals |= {"arxiv": ARXIV, "file": file, "hub": org is not None, "org": org or NAMESPACE}
    environment.globals["sibling"] = sibling
    text = environment.get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _columns(statistics: DatasetFigures | None) -> dict[str, str]:
    """Columns and types of the rows, as `datasets` names them; of those of the pipeline where there are none yet."""
    features = packed_features(audio=statistics is not None and statistics.audio)
    found = features if statistics is None else statistics.columns
    return {name: _type(features[name]) if name in features else str(found[name]) for name in found}


def _type(feature: Any) -> str:
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return f"list of {_type(inner)}"
    if isinstance(feature, dict):
        return "{" + ", ".join(f"{name}: {_type(each)}" for name, each in feature.items()) + "}"
    return getattr(feature, "dtype", None) or type(feature).__name__


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; name the cards that are stale.")] = False,
) -> None:
    """Renders the cards in model_cards/ and those beside the checkpoints."""
    stale = {
        path: text
        for path, text in rendered_cards().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if not check:
            with whole_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        typer.echo(f"{path.relative_to(CARDS.parent)} {'is stale' if check else 'written'}")
    if check and stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
