"""What a release tells of itself in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .gate import GateReport
from .plan import Change, ReleasePlan

_COLOURS: dict[Change, str] = {
    "new": "green",
    "changed": "yellow",
    "gone": "red",
    "same": "dim",
    "not compared": "dim",
}


def print_plan(plan: ReleasePlan, console: Console) -> None:
    """A line for each file: its size and what becomes of it; and their sum."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(escape(f"{plan.repo_id} ({plan.repo_type})"), overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("", style="dim")
    for file in plan.files:
        colour = _COLOURS[file.change]
        table.add_row(escape(file.path), f"{file.size:,}", f"[{colour}]{file.change}[/{colour}]")
    console.print(table)
    counts = ", ".join(f"{len(plan.having(change))} {change}" for change in _COLOURS if plan.having(change))
    files = len(plan.files) - len(plan.having("gone"))
    console.print(f"{files} files of {plan.bytes:,} bytes: {counts}\n", soft_wrap=True)


def print_gate(report: GateReport, console: Console) -> None:
    """The figures of the gate."""
    cosines = ", ".join(f"{name} {value:.3f}" for name, value in report.cosines.items())
    spreads = ", ".join(f"{name} {value:.3f}" for name, value in report.spreads.items())
    console.print(
        f"[bold]{escape(report.folder.name)}[/bold] passed the gate: mean cosines {cosines}; spreads {spreads}",
        soft_wrap=True,
    )
