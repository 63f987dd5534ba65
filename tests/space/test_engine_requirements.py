"""What a Space installs: pinned as the project is, all that the app needs, and nothing that it does not."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# Not imported by name: the SoundFont that songs are played with; what loads a model from the Hub.
BY_OTHER_MEANS = {"pretty-midi", "huggingface-hub"}

# A process that sees no package but those named on its command line, as on a fresh machine.
APP = """
import json, sys
from importlib.machinery import PathFinder
from pathlib import Path

hidden, checkpoint, library, output = set(json.loads(sys.argv[1])), *sys.argv[2:]

class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Visible

import app
from space_collap.app import build_app
from space_collap.engine import Engine
from space_collap.library_entries import song_entries

(song,) = song_entries(1, 0)
song.write(Path(output) / "song.mp3")
engine = Engine.open(checkpoint, Path(library))
build_app(engine)
assert engine.find("a text") and engine.describe(engine.tracks[0].path, labels=["a", "b"])
print(json.dumps([getattr(module, "__file__", None) for module in list(sys.modules.values())]))
"""


def requirements() -> list[Requirement]:
    lines = (ROOT / "space" / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "--"))]


def installed_with(wanted: list[Requirement]) -> set[str]:
    """Names of the distributions that these requirements bring along, of those that are installed here."""
    found: set[str] = set()
    waiting = [(requirement.name, frozenset(requirement.extras)) for requirement in wanted]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (canonicalize_name(name), extras) in seen:
            continue
        seen.add((canonicalize_name(name), extras))
        try:
            needs = distribution(name).requires or []
        except ModuleNotFoundError:
            continue
        found.add(canonicalize_name(name))
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((need.name, frozenset(need.extras)))
    return found


def test_the_pins_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = {Requirement(line).name: line for line in (*project["dependencies"], *extras["space"])}
    assert {requirement.name: str(requirement.specifier) for requirement in requirements()} == {
        requirement.name: str(Requirement(pins[requirement.name]).specifier) for requirement in requirements()
    }
    assert len(requirements()) > 10


@pytest.mark.slow
def test_the_app_runs_with_what_is_listed_and_needs_all_of_it(
    tiny_checkpoint: Path, tiny_library: Path, tmp_path: Path
) -> None:
    brought = installed_with(requirements())
    providers = {top: {canonicalize_name(name) for name in names} for top, names in packages_distributions().items()}
    rooms = {"collap"}  # they lie beside app.py on a Space
    hidden = [top for top, names in providers.items() if not names & (brought | rooms)]
    assert {"pytest", "playwright", "mypy"} <= set(hidden)
    command = [sys.executable, "-c", APP, json.dumps(hidden), str(tiny_checkpoint), str(tiny_library), str(tmp_path)]
    path = os.pathsep.join((str(ROOT / "space"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    files = {Path(name) for name in json.loads(ran.stdout.splitlines()[-1]) if name}
    own = [file for file in files if file.is_relative_to(ROOT) and "site-packages" not in file.parts]
    assert len(own) > 50
    used = {name for file in own for top in imported_by(file) for name in providers.get(top, ())}
    listed = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert listed - used == BY_OTHER_MEANS


def imported_by(file: Path) -> set[str]:
    """Top-level names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}
