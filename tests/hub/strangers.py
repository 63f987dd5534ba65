"""Programs run as somebody who has no copy of this repository: a fresh process, elsewhere, with an empty cache."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .loopback import LoopbackHub

TIME_LIMIT = 600  # seconds; a hung process must not hang the suite

# The packages of a checkout are installed in the environment that runs the tests, so they have to be refused by name.
NO_CHECKOUT = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].endswith("_collap") or name.split(".")[0] in ("dataset_scripts", "metrics"):
            raise ModuleNotFoundError(f"a stranger has no {name}")

sys.meta_path.insert(0, Refuse())
"""


def stranger_environment(hub: LoopbackHub, home: Path) -> dict[str, str]:
    """This process's variables with those of the Hub laid over, and neither a token nor a path to a checkout."""
    environment = {**os.environ, **hub.environment(home), "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in environment.items() if name not in ("HF_TOKEN", "PYTHONPATH")}


def ask_stranger(hub: LoopbackHub, folder: Path, program: str, *arguments: str) -> Any:
    """What a Python program prints as JSON in its last line; it runs in `folder/work`, which is empty, and caches in
    `folder/home`."""
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", NO_CHECKOUT + program, *arguments],
        cwd=work,
        env=stranger_environment(hub, home),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
