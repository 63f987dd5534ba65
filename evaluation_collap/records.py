"""Results of probes, ablations and zero-shot tasks on disk, beside all that they were made from."""

import hashlib
import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from datasets import Audio, Dataset

from dataset_scripts.whole_files import whole_file
from training_collap.reports import versions

from .embeddings import EmbeddingCache
from .probes.base import ProbeResult


@dataclass(frozen=True)
class About:
    """What a result depends on: equal ones give equal results.

    Args:
        probe: as the result's file is called: "truncation", "zero-shot-genre".
        model: name, fingerprint of its encodings, and settings of its score.
        benchmark: name, title, captions in words, the limit and the number of rows, and a digest of the rows.
        protocol: how tracks and texts were read, in words, by topic.
        options: of the probe, its seed among them.
    """

    probe: str
    model: dict[str, Any]
    benchmark: dict[str, Any]
    protocol: dict[str, str]
    options: dict[str, Any]

    @property
    def file_name(self) -> str:
        return f"{file_stem(self.benchmark['title'], self.model['name'])}.{self.probe}.json"


@dataclass(frozen=True)
class Record:
    """A result on disk.

    Args:
        result: the fields of a `ProbeResult`, as its `to_json` writes them.
        table: its numbers as a Markdown table.
        run: date, wall time in seconds, command, machine and versions.
    """

    about: About
    result: dict[str, Any]
    table: str
    run: dict[str, Any]

    @property
    def model(self) -> str:
        return self.about.model["name"]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The record that `to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, "about": About(**content["about"])})


@dataclass(frozen=True)
class Recorder:
    """Runs probes of one scorer on one set of rows; what was run before is read from its file.

    Args:
        rows: of the dataset schema.
        benchmark: name and title of the rows, and whatever else is to be said of them.
        folder: of the results.
        again: run even what is there.
    """

    scorer: EmbeddingCache
    rows: Dataset
    benchmark: Mapping[str, Any]
    folder: Path
    again: bool = False

    def record(self, probe: str, work: Callable[..., ProbeResult], **options: Any) -> Record:
        """The result of `work(scorer, rows, **options)`, written to `BENCHMARK--MODEL.PROBE.json`.

        Nothing is run where that file holds a result of the same encodings, settings, rows and options.
        """
        about = self._about(probe, options)
        path = self.folder / about.file_name
        if not self.again and (found := read_record(path)) is not None and found.about == about:
            return found
        start = time.monotonic()
        result = work(self.scorer, self.rows, **options)
        run = run_details(self.scorer.device, time.monotonic() - start)
        record = Record(about, json.loads(result.to_json()), result.table(), run)
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(record.to_json(), encoding="utf-8")
        return record

    def _about(self, probe: str, options: Mapping[str, Any]) -> About:
        model = {
            "name": self.scorer.name,
            "fingerprint": self.scorer.fingerprint,
            "settings": self.scorer.settings,
        }
        # Through JSON, so that it equals what is read back.
        plain = json.loads(json.dumps([model, dict(self.benchmark), self.scorer.protocol, dict(options)]))
        return About(probe, *plain)


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none, or one that an interrupted or other version left."""
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def describe_rows(rows: Dataset) -> dict[str, Any]:
    """The number of rows, and a digest of all that is in them, audio included.

    Raises:
        OSError: the audio of a row cannot be read.
    """
    digest = hashlib.sha256()
    for row in rows.cast_column("audio", Audio(decode=False)):
        audio = row.pop("audio")
        content = audio["bytes"] if audio["bytes"] is not None else Path(audio["path"]).read_bytes()
        digest.update(hashlib.sha256(content).digest())
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return {"rows": len(rows), "rows_sha256": digest.hexdigest()}


def run_details(device: str, seconds: float) -> dict[str, Any]:
    """When, where and by which command something was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(seconds, 1),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "device": device,
        "machine": f"{os.cpu_count()} CPUs, {_processor()}",
        "versions": versions(),
    }


def file_stem(title: str, model: str) -> str:
    """ "BENCHMARK--MODEL", with nothing in it that a file's name should not have."""
    return "--".join(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in (title, model))


def _processor() -> str:
    """The model of the CPU, as far as the system tells."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        described = ""
    found = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
