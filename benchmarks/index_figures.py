"""Figures against the bars that were set for them."""

import gc
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from rich.table import Table


class Figure(NamedTuple):
    """A row of the table: what was measured, as it is shown, and the bar, with whether it is kept."""

    name: str
    value: str
    bar: str = ""
    kept: bool | None = None


def figures_table(title: str, figures: Iterable[Figure]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("bar", justify="right")
    table.add_column("kept")
    for figure in figures:
        kept = "" if figure.kept is None else ("yes" if figure.kept else "NO")
        table.add_row(figure.name, figure.value, figure.bar, kept)
    return table


def at_most(name: str, value: float, bar: float, form: str = "{:,.0f}") -> Figure:
    return Figure(name, form.format(value), "at most " + form.format(bar), value <= bar)


def at_least(name: str, value: float, bar: float, form: str = "{:,.0f}") -> Figure:
    return Figure(name, form.format(value), "at least " + form.format(bar), value >= bar)


def percentiles(seconds: Iterable[float]) -> str:
    """p50 and p95 in milliseconds."""
    p50, p95 = np.percentile(list(seconds), [50, 95]) * 1e3
    return f"{p50:,.0f} / {p95:,.0f} ms"


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return psutil.Process().memory_info().rss


def peak() -> int:
    """The most bytes of memory that this process ever held."""
    # Not `ru_maxrss`, which a child process inherits from its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 2**10


def in_a_process(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m benchmarks.MODULE ARGUMENTS` prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
