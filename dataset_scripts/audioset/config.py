"""`BuildConfig`: a build as a YAML file tells it. The options of a stage are the fields of its class."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import reduce
from operator import or_
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from ..fields import known_fields, read_fields
from .caption import Caption
from .captioners import CAPTIONERS
from .download import Download
from .duplicates import Duplicates
from .engine import AnyStage
from .filter import Filter
from .pack import Pack
from .select import Select
from .structure import Structure

STAGES: dict[str, type[AnyStage]] = {
    kind.name: kind for kind in (Select, Download, Filter, Duplicates, Caption, Structure, Pack)
}
"""In the order in which they run."""


@dataclass(frozen=True)
class BuildConfig:
    """What is built, where, and with how much of the machine."""

    work: Path
    """Folder of audio, finished blocks and ledgers; on a cluster one that all machines see."""
    stages: tuple[AnyStage, ...]
    block_size: int = 100
    """Rows that are lost and done again where a run is killed."""
    workers: int | None = None
    """Processes of a Ray on this machine; None for one on each core."""

    @classmethod
    def from_yaml(cls, path: Path) -> "BuildConfig":
        """Read a file; paths in it start from the current folder.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no YAML, or has unknown keys, unfit values or gaps; all of them are named at once.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no configuration {path}")
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no YAML: {error}") from error
        problems: list[str] = []
        config = cls._read(values, "build", problems)
        if config is None:
            raise ValueError(f"{path}: {'; '.join(problems)}.")
        return config

    @classmethod
    def _read(cls, values: Any, where: str, problems: list[str]) -> "BuildConfig | None":
        general = {"work": Path, "block_size": int, "workers": int | None}
        told = _read_typed(values, general | dict.fromkeys(STAGES, dict[str, Any]), where, problems)
        sections = {name: told.pop(name, {}) for name in STAGES}
        for name in ("block_size", "workers"):
            if told.get(name) is not None and told[name] < 1:
                problems.append(f"{name} must be at least 1, not {told[name]}")
        if "work" not in told:
            problems.append("work is missing: the folder of audio, blocks and ledgers")
        block_size = told.get("block_size", cls.block_size)
        given = {"work": told.get("work"), "block_size": block_size}
        stages = [_read_stage(name, kind, sections[name], given, problems) for name, kind in STAGES.items()]
        if problems:
            return None
        return cls(stages=tuple(stage for stage in stages if stage is not None), **told)


def _read_stage(
    name: str, kind: type[AnyStage], section: Mapping[str, Any], given: Mapping[str, Any], problems: list[str]
) -> AnyStage | None:
    hints = known_fields(kind)
    # A block size of its own is an option of a stage; the first one cuts the blocks of all.
    own = {"work": given["work"]} | ({"block_size": given["block_size"]} if kind is Select else {})
    before = len(problems)
    options: dict[str, Any] = {}
    if kind is Caption:
        options, section = _read_captioner(dict(section), problems, known_fields(Caption))
    options |= _read_typed(section, {key: hint for key, hint in hints.items() if key not in own}, name, problems)
    options |= {key: value for key, value in own.items() if key in hints}
    missing = _missing(kind, options)
    problems += [f"{name}.{option} is missing" for option in missing if option != "captioner"]
    return kind(**options) if len(problems) == before and not missing else None


def _read_captioner(
    section: dict[str, Any], problems: list[str], others: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The captioner of the section `caption`, and what is left of the section for the stage itself."""
    backend = section.pop("backend", None)
    if backend not in CAPTIONERS:
        problems.append(f"caption.backend must be one of {', '.join(CAPTIONERS)}, not {backend!r}")
        return {}, {}
    kind = CAPTIONERS[backend]
    hints = known_fields(kind)
    own = {key: value for key, value in section.items() if key not in others or key == "captioner"}
    before = len(problems)
    options = _read_typed(own, hints, "caption", problems)
    missing = _missing(kind, options)
    problems += [f"caption.{option} is missing, which the backend {backend} needs" for option in missing]
    left = {key: value for key, value in section.items() if key not in own}
    return ({"captioner": kind(**options)} if len(problems) == before else {}), left


def _missing(kind: Any, options: Mapping[str, Any]) -> list[str]:
    needed = [f.name for f in fields(kind) if f.init and f.default is MISSING and f.default_factory is MISSING]
    return [name for name in needed if name not in options]


def _read_typed(values: Any, hints: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """`read_fields`, with text made paths and lists made tuples where these are what the hints ask for."""
    fitting = read_fields(values, {name: _as_written(hint) for name, hint in hints.items()}, where, problems)
    return {name: _as_meant(value, hints[name]) for name, value in fitting.items()}


def _as_written(hint: Any) -> Any:
    """The hint with text where there are paths: YAML has none."""
    if hint is Path:
        return str
    args = tuple(_as_written(arg) for arg in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return reduce(or_, args)
    return GenericAlias(tuple, args) if get_origin(hint) is tuple else hint


def _as_meant(value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_as_meant(item, get_args(hint)[0]) for item in value)
    if isinstance(value, str) and Path in (hint, *get_args(hint)):
        return Path(value).expanduser().absolute()
    return value
