"""What every probe returns: frozen numbers that turn into JSON and into a short table."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar


class ProbeResult(ABC):
    """Base of the probes' frozen dataclasses.

    Attributes:
        probe: the probe's name, as the command line takes it.
    """

    probe: ClassVar[str]

    def to_json(self) -> str:
        """`probe`, then all fields."""
        fields = asdict(self)  # type: ignore[call-overload]
        return json.dumps({"probe": self.probe, **fields}, indent=2, ensure_ascii=False) + "\n"

    @abstractmethod
    def table(self) -> str:
        """The numbers that matter, as a Markdown table."""


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, its first column to the left and the others to the right; None is a dash."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in (header, rule, *lines))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
