"""Brings the tables of model_cards/*.json up to date with what `collap evaluate` measured.

    python -m release_collap.card_results runs/evaluation

A table that names a result file takes its numbers, data, command, date and machine from it; what was noted by hand
stays.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dataset_scripts.whole_files import whole_file
from evaluation_collap.records import Record
from evaluation_collap.results import DIRECTIONS, RetrievalResult

from .card_figures import CARDS, Cell, Row

_WIDTH = 120
_NONE = "–"  # a cell that cannot have a number


def measured_table(path: Path, model: str) -> dict[str, Any]:
    """The fields of a `Table` that a result file of `collap evaluate` says.

    Args:
        model: whose card it is for.

    Raises:
        ValueError: the file is no result, or that of another model.
    """
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    found = content.get("about", content)
    if not isinstance(found.get("model"), Mapping):
        raise ValueError(f"{path} is no result of `collap evaluate`")
    if found["model"]["name"] != model:
        raise ValueError(f"{path} was measured on {found['model']['name']!r}, not on {model!r}")
    if "about" in content:
        record = Record.from_json(text)
        return (
            _of_record(record)
            | _circumstances(record.about.benchmark, record.run)
            | {"seed": record.about.options.get("seed")}
        )
    result = RetrievalResult.from_json(text)
    return _of_retrieval(result) | _circumstances(result.benchmark, result.run) | {"seed": result.run["seed"]}


def _of_retrieval(result: RetrievalResult) -> dict[str, Any]:
    columns = list(next(iter(result.metrics.values())))
    rows = []
    for way, figures in result.metrics.items():
        values = tuple(round(figures[name].value, 1) for name in columns)
        intervals = tuple((round(figures[name].low, 1), round(figures[name].high, 1)) for name in columns)
        rows.append(Row(DIRECTIONS[way], values, intervals, own=True))
    chances = {
        way: tuple(round(figures[name].chance, 1) for name in columns) for way, figures in result.metrics.items()
    }
    if len(set(chances.values())) == 1:  # as where every text has one track
        rows.append(Row("by chance", next(iter(chances.values())), None, own=False))
    else:
        rows += [Row(f"by chance, {DIRECTIONS[way]}", values, None, own=False) for way, values in chances.items()]
    return {
        "corner": "direction",
        "columns": [name.replace("_", " ") for name in columns],
        "rows": [asdict(row) for row in rows],
    }


def _of_record(record: Record) -> dict[str, Any]:
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in record.table.splitlines()]
    header, _, *body = lines
    rows = [
        Row(label, tuple(_cell(value) for value in values), None, own=label not in ("chance", "without listening"))
        for label, *values in body
    ]
    return {
        "corner": header[0].casefold(),
        "columns": [name.replace("_", " ") for name in header[1:]],
        "rows": [asdict(row) for row in rows],
    }


def _circumstances(benchmark: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "command": run["command"],
        "data": f"{benchmark['title']}, {benchmark['rows']} rows",
        "sha256": benchmark["rows_sha256"],
        "date": run["date"],
        "machine": run["machine"],
        "revision": run["versions"].get("revision"),
    }


def _cell(text: str) -> Cell:
    """A cell of a result's table as a number, where it is one."""
    if text == "-":
        return _NONE
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def readable_json(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry, but for lists and objects that fit on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = f"{indent}  "
    if isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {readable_json(item, inner)}" for key, item in value.items()]
    else:
        entries = [readable_json(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(entries) + f"\n{indent}{closing}"


def refresh(
    results: Annotated[Path, typer.Argument(help="Folder that `collap evaluate` wrote to.")],
    cards: Annotated[Path, typer.Option(help="Folder of the figures.")] = CARDS,
) -> None:
    """Takes the numbers of the result files into the figures of the cards."""
    updated = {}
    for path in sorted(cards.glob("*.json")):
        figures = json.loads(path.read_text(encoding="utf-8"))
        named = [table for table in figures["tables"] if table["result"]]
        if missing := [table["result"] for table in named if not (results / table["result"]).is_file()]:
            raise typer.BadParameter(f"{path.name} names {missing[0]}, which is not in {results}")
        for table in named:
            table |= measured_table(results / table["result"], figures["name"])
        if named:
            updated[path] = figures, f"{path.name}: {len(named)} tables from {results}"
    for path, (figures, words) in updated.items():  # nothing is written before all results were read
        with whole_file(path) as temporary:
            temporary.write_text(readable_json(figures) + "\n", encoding="utf-8")
        typer.echo(words)


if __name__ == "__main__":
    typer.run(refresh)
