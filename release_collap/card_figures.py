"""Figures of a card: what was measured, and how, read from the JSON files in model_cards/.

A figure that was not measured is null there. Whatever is unknown, missing or of another type is an error that names the
file and the key, so that no figure is lost by a misspelt word.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

CARDS = Path(__file__).parents[1] / "model_cards"

Cell = int | float | str | None
"""A number, a word where there can be no number, or None where one was not measured."""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Args:
        label: what the numbers are of.
        values: one for each column.
        intervals: of the values, 95%, or null where there are none.
        own: whether the numbers are this model's, and not those of chance or of another model.
    """

    label: str
    values: tuple[Cell, ...]
    intervals: tuple[tuple[float, float], ...] | None
    own: bool


@dataclass(frozen=True)
class Task:
    """Under which task and data set the Hub files a table's numbers, as in a `model-index`."""

    type: str
    name: str
    dataset: str
    dataset_name: str
    config: str
    split: str


@dataclass(frozen=True)
class Table:
    """Measured numbers, and all that is needed to measure them again.

    Args:
        id: by which templates name it, unique in a card.
        protocol: what was done, and how it was counted.
        columns: names of the values; `corner` stands over the labels.
        data: in words; `sha256` is the digest of its rows, where it was taken.
        seed: null where nothing is drawn.
        revision: of this repository, where it was noted.
        result: file of `collap evaluate` that the numbers come from, see `card_results`; null where they were noted.
        task: null for what is no task of the Hub.
    """

    id: str
    title: str
    protocol: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    command: str
    data: str
    sha256: str | None
    seed: int | None
    date: str | None
    machine: str | None
    revision: str | None
    result: str | None
    task: Task | None

    @property
    def measured(self) -> bool:
        """Whether there is any number of the model's in it."""
        return any(value is not None for row in self.rows if row.own for value in row.values)

    def value(self, label: str, column: str) -> Cell:
        """A number by its line and column.

        Raises:
            KeyError: there is no such line or column.
        """
        for row in self.rows:
            if row.label == label and column in self.columns:
                return row.values[self.columns.index(column)]
        raise KeyError(f"table {self.id!r} has no {column!r} of {label!r}")


@dataclass(frozen=True)
class Licence:
    """Of what: "code", "weights", or a source of the training data; `note` says what a reader should know of it."""

    of: str
    licence: str
    note: str


@dataclass(frozen=True)
class Metadata:
    """What a model card's head says to the Hub, without what follows from the other figures."""

    pipeline_tag: str
    tags: tuple[str, ...]
    datasets: tuple[str, ...]
    base_model: tuple[str, ...]


@dataclass(frozen=True)
class Training:
    """A run, and what it cost.

    Args:
        tracks, hours: of the training split.
        batch_size: pairs a step, over all processes.
        minutes: of wall time, on `machine`.
        data_command: makes the training data; `commands` train on them.
    """

    recipe: str
    data_command: str
    commands: tuple[str, ...]
    tracks: int | None
    hours: int | float | None
    batch_size: int
    steps: int | None
    minutes: int | float | None
    machine: str | None
    date: str | None
    seed: int


@dataclass(frozen=True)
class ModelFigures:
    """All figures of a model card.

    Args:
        trained: whether there are weights; where not, the card says what exists instead.
        parameters: how many numbers the weights are.
        weights_sha256: of the weights that the tables were measured of, see `gate.weights_digest`.
        protocol: what holds for all tables, by topic.
    """

    name: str
    trained: bool
    parameters: int | None
    weights_sha256: str | None
    metadata: Metadata
    licences: tuple[Licence, ...]
    training: Training
    protocol: dict[str, str]
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """A table by its `id`.

        Raises:
            KeyError: there is none.
        """
        return _by_id(self.name, self.tables, name)

    def licence(self, of: str) -> str:
        """The licence of one thing, as the Hub writes it.

        Raises:
            KeyError: none is noted.
        """
        for licence in self.licences:
            if licence.of == of:
                return licence.licence
        raise KeyError(f"no licence is noted for {of!r} in the figures of {self.name}")


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset card says that does not follow from the rows; what does is `card_statistics.DatasetFigures`.

    Args:
        recipe: configuration of the build.
        licence: as the Hub writes it, of what is in the files.
    """

    name: str
    pretty_name: str
    recipe: str
    licence: str
    licences: tuple[Licence, ...]
    tags: tuple[str, ...]
    task_categories: tuple[str, ...]
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """A table by its `id`.

        Raises:
            KeyError: there is none.
        """
        return _by_id(self.name, self.tables, name)


Figures = TypeVar("Figures", ModelFigures, DatasetFacts)


def read_figures(path: Path, kind: type[Figures]) -> Figures:
    """The figures in a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON; a key is unknown, missing, or holds what cannot be; a table has numbers and does not
            say where and when they were measured. The message names file and key.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there are no figures {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    try:
        figures = _read(content, kind, "")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for table in figures.tables:
        _check(table, path)
    return figures


def _check(table: Table, path: Path) -> None:
    for row in table.rows:
        if len(row.values) != len(table.columns):
            raise ValueError(
                f"{path}: table {table.id!r}, row {row.label!r} has {len(row.values)} values for "
                f"{len(table.columns)} columns"
            )
        if row.intervals is not None and len(row.intervals) != len(row.values):
            raise ValueError(f"{path}: table {table.id!r}, row {row.label!r} needs an interval for each value, or null")
    if table.measured:
        for key in ("date", "machine"):
            if getattr(table, key) is None:
                raise ValueError(f"{path}: table {table.id!r} has numbers, so its {key} must not be null")


def _by_id(card: str, tables: tuple[Table, ...], name: str) -> Table:
    for table in tables:
        if table.id == name:
            return table
    raise KeyError(f"the figures of {card} have no table {name!r}")


def _read(value: Any, hint: Any, where: str) -> Any:
    """The value as the type hint asks for it: dataclasses from objects, tuples from lists."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return _read_union(value, args, where)
    if is_dataclass(hint):
        return _read_dataclass(value, hint, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r}")
        hints = [args[0]] * len(value) if args[-1] is ... else list(args)
        if len(hints) != len(value):
            raise ValueError(f"{where} must have {len(hints)} entries, not {len(value)}")
        return tuple(
            _read(item, each, f"{where}[{i}]") for i, (item, each) in enumerate(zip(value, hints, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} must be an object, not {value!r}")
        return {key: _read(item, args[1], f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where} must be {hint.__name__}, not {value!r}")
    return value


def _read_union(value: Any, options: tuple[Any, ...], where: str) -> Any:
    if type(value) in options:  # None among them; a whole number stays one where both kinds are taken
        return value
    plain = (types.NoneType, int, float, str, bool)
    if structured := [option for option in options if option not in plain]:
        return _read(value, structured[0], where)
    names = " or ".join("null" if option is types.NoneType else option.__name__ for option in options)
    raise ValueError(f"{where} must be {names}, not {value!r}")


def _read_dataclass(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where or 'the whole'} must be an object, not {value!r}")
    prefix = f"{where}." if where else ""
    names = [field.name for field in fields(kind)]
    if unknown := [key for key in value if key not in names]:
        raise ValueError(f"the key {prefix}{unknown[0]} is unknown (known are {', '.join(names)})")
    if missing := [name for name in names if name not in value]:
        raise ValueError(f"the key {prefix}{missing[0]} is missing")
    hints = get_type_hints(kind)
    return kind(**{name: _read(value[name], hints[name], prefix + name) for name in names})
