"""`collap release` as its maintainer runs it: a fresh process that pushes to a Hub on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from .loopback import LoopbackHub
from .strangers import TIME_LIMIT


def release(hub: LoopbackHub, folder: Path, *arguments: str) -> None:
    """Runs `collap release --rehearsal` for the organisation "org" in `folder`; it has to succeed."""
    program = "from retrieval_collap.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, "release", *arguments, "--org", "org", "--rehearsal"],
        cwd=folder,
        env={**os.environ, **hub.environment(folder / "maintainer"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
