"""Stage `structure`: what a captioner wrote becomes the whole caption, its global part and sections in seconds."""

from dataclasses import dataclass
from typing import ClassVar

from ..descriptions import parse_description
from .stage import Row, RowStage


@dataclass
class Structure(RowStage):
    """Fills `caption`, `global_caption`, `structure` and `flags`; nothing falls out, and no text is lost.

    What the parser cannot place stays in `caption`, and `flags` says what was amiss: see `ParsedDescription`.
    """

    name: ClassVar[str] = "structure"

    def process(self, row: Row) -> Row:
        parsed = parse_description(row["description"] or "", row["duration"])
        return row | parsed.columns() | {"flags": list(parsed.flags)}
