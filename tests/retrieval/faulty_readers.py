"""Decoders that hang or crash; of their own module, for worker processes import it."""

import os
import re
import signal
from pathlib import Path
from typing import Any

from retrieval_collap.index.reading import FileReader


class HangingReader(FileReader):
    """A decoder that never returns from some files, and holds the interpreter meanwhile."""

    def __call__(self, path: Path) -> Any:
        if "hangs" in path.name:
            re.match("(a|a)+$", "a" * 60 + "b")
        return super().__call__(path)


def crash(item: str) -> str:
    if item == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "exit":
        os._exit(3)
    if item == "library":
        raise ImportError("no FFmpeg")
    if item == "error":
        raise RuntimeError("first line\nsecond line")
    return item.upper()
