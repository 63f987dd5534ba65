"""Figures as the Markdown of a card. One that is absent is said to be so, with a mark that `unfilled` reads."""

import re
from collections.abc import Mapping, Sequence

from .card_figures import Cell, Row, Table

_MARK = re.compile(r"<!-- unfilled: (.+?) -->")
_LISTED = 20  # lines of a tally


def unfilled(text: str) -> list[str]:
    """The figures that a card has no number for, in their order: "training.minutes", "order.audio.Random"."""
    return _MARK.findall(text)


def measured(value: Cell, name: str, unit: str = "") -> str:
    """A figure in words, whole numbers with their thousands apart.

    Args:
        name: by which `unfilled` returns it where it is None.
    """
    if value is None:
        return f"not measured yet<!-- unfilled: {name} -->"
    words = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{words} {unit}" if unit else words


def digest(value: str | None) -> str:
    """The digest of a model's weights, by which the gate knows them."""
    return measured(None, "weights") if value is None else f"`{value}`"


def markdown_table(table: Table) -> str:
    """A table, intervals beside their values; where nothing of the model was measured, a line that says so."""
    if not table.measured:
        names = "; ".join(f"{row.label}<!-- unfilled: {table.id}.{row.label} -->" for row in table.rows if row.own)
        return f"Not measured yet: {', '.join(table.columns)} of {names}."
    columns = [_column(table, i) for i in range(len(table.columns))]
    lines = [[table.corner, *table.columns], ["---", *["---:"] * len(columns)]]
    lines += [[row.label, *cells] for row, *cells in zip(table.rows, *columns, strict=True)]
    return _lines(lines)


def tally(counts: Mapping[str, int] | Mapping[tuple[str, ...], int], header: Sequence[str], rows: int) -> str:
    """Counts with their share of the rows: the first ones, and how many others there are."""
    lines = [[*header, "rows", "share"], [*["---"] * len(header), "---:", "---:"]]
    for key, count in list(counts.items())[:_LISTED]:
        names = key if isinstance(key, tuple) else (key,)
        lines.append([*names, f"{count:,}", f"{count / max(rows, 1):.1%}"])
    if len(counts) > _LISTED:
        lines.append([f"{len(counts) - _LISTED:,} others", *[""] * (len(header) + 1)])
    return _lines(lines)


def _column(table: Table, number: int) -> list[str]:
    """The cells of a column, its numbers with as many digits each."""
    values = [row.values[number] for row in table.rows]
    digits = max((len(str(value).partition(".")[2]) for value in values if isinstance(value, float)), default=0)

    def cell(row: Row) -> str:
        value = row.values[number]
        if not isinstance(value, float):
            return measured(value, f"{table.id}.{row.label}.{table.columns[number]}")
        low, high = row.intervals[number] if row.intervals else (None, None)
        return f"{value:.{digits}f}" + (f" [{low}, {high}]" if row.intervals else "")

    return [cell(row) for row in table.rows]


def _lines(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
