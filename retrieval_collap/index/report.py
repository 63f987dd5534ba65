"""What became of every file of a folder that was indexed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape

from dataset_scripts.whole_files import whole_file

from ..library import Failure
from .walk import FolderChanges

# Of a long list, the terminal shows this many entries; the file has all.
_SHOWN = 20


@dataclass(slots=True)
class IndexReport:
    """Ids of tracks by what was done with them.

    Attributes:
        folder: that was walked.
        added: new tracks. changed: tracks whose file was another one before.
        reused: those of both whose content the index knew from another file or time, so that nothing was decoded.
        removed: tracks without a file, taken out of the index.
        gone: tracks without a file that stay in it.
        unchanged: number of files that are as they were.
        failures: files that were not indexed, and why.
        short: tracks that hold less than their header promises, as cut files do, and how much.
    """

    folder: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)
    short: list[Failure] = field(default_factory=list)

    @classmethod
    def of(cls, changes: FolderChanges) -> Self:
        """Before any file of the folder is read."""
        return cls(str(changes.folder), unchanged=changes.unchanged, failures=list(changes.failures))

    @property
    def changes(self) -> int:
        """Rows of the index that are not as before."""
        return len(self.added) + len(self.changed) + len(self.removed)

    def sort(self) -> None:
        """Files end in whatever order their decoders do; reports do not."""
        for ids in (self.added, self.changed, self.reused, self.removed, self.gone):
            ids.sort()
        for failures in (self.failures, self.short):
            failures.sort(key=lambda failure: failure.id)

    def write(self, path: Path) -> None:
        """As JSON; whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def print_report(report: IndexReport, console: Console) -> None:
    """Numbers in one line, then the files that need a look."""
    counts = {
        "added": len(report.added),
        "changed": len(report.changed),
        "unchanged": report.unchanged,
        "removed": len(report.removed),
        "failed": len(report.failures),
    }
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "added")
    console.print(words + (f" ({len(report.reused)} by their known content)" if report.reused else ""))
    if report.gone:
        console.print(f"[yellow]Tracks whose file is gone: {len(report.gone)}[/yellow]; --prune removes them")
    _print_list("Files that could not be indexed", report.failures, console)
    _print_list("Files that hold less than they promise, indexed as they are", report.short, console)


def _print_list(words: str, failures: list[Failure], console: Console) -> None:
    if not failures:
        return
    console.print(f"[yellow]{words}: {len(failures)}[/yellow]")
    for failure in failures[:_SHOWN]:
        console.print(f"  {escape(failure.id)}: {escape(failure.reason)}", soft_wrap=True, highlight=False)
    if len(failures) > _SHOWN:
        console.print(f"  and {len(failures) - _SHOWN} more, which the report lists")
