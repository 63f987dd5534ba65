"""Start the app: `python app.py` on a Space, `python space/app.py` in a checkout.

COLLAP_MODEL and COLLAP_LIBRARY name another model and another library, GRADIO_SERVER_PORT another port.
"""

import ctypes
import os
import sys
from pathlib import Path

# Before Gradio is imported, which would tell its makers of the start.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import torch
from space_collap.app import build_app, launch_options
from space_collap.engine import Engine
from space_collap.limits import SpaceError
from space_collap.places import find_library, find_model

_M_ARENA_MAX = -8  # malloc.h


def bound_memory() -> None:
    """Two heaps for all threads: of Gradio's forty, each would else come to hold what the longest track took."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 2)


def main() -> None:
    bound_memory()
    # Several users are answered at once, each on a core of its own.
    torch.set_num_threads(1)
    home = Path(__file__).resolve().parent
    try:
        model = find_model(home)
        engine = Engine.open(model, find_library(home, model))
    except SpaceError as error:
        sys.exit(str(error))
    build_app(engine).launch(**launch_options(engine))


if __name__ == "__main__":
    main()
