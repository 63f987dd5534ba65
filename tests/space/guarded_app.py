"""Run an app's script with connections to other machines refused and noted.

`guarded_app.py NOTES SCRIPT [--without-checkout]`; with the flag, as on a Space, where nothing of this checkout is
installed.
"""

import runpy
import sys
from pathlib import Path
from typing import Any

HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None}


def guard(notes: Path) -> None:
    """From here on whoever connects elsewhere, or looks up a name, is refused, and noted in a file."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            host = arguments[1][0] if isinstance(arguments[1], tuple) else None  # a path: a socket of this machine
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        else:
            return
        host = host.decode() if isinstance(host, bytes) else host
        if host not in HERE:
            with notes.open("a", encoding="utf-8") as file:
                file.write(f"{event} {host}\n")
            raise ConnectionRefusedError(f"the tests allow no connection to {host}")

    sys.addaudithook(refuse)


def forget_checkout() -> None:
    """From here on the packages that are installed from this checkout are not found."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]


if __name__ == "__main__":
    notes, script = map(Path, sys.argv[1:3])
    if "--without-checkout" in sys.argv:
        forget_checkout()
    sys.argv = [str(script)]
    sys.path[0] = str(script.parent)
    guard(notes)
    runpy.run_path(str(script), run_name="__main__")
