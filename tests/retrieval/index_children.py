"""Processes that write to and read from an index, to be watched and killed by tests.

Run as a script it imports everything once and then forks: each line `role uri report` on its input starts a process of
that role, whose id it prints. A role writes what it sees, a line each, to the file `report`.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stored_tracks import track, version_of

from retrieval_collap.index import TrackStore

BASE = range(12)
EXTRA = (100, 101)
_LAST = 8


def write_for_ever(uri: str, say: Callable[[Any], None]) -> None:
    """Replace all tracks by their next version and add two, take these away, and sometimes optimize."""
    tracks = TrackStore.open(uri)
    version = read(tracks)
    while True:
        version += 1
        tracks.write([track(number, version=version) for number in (*BASE, *EXTRA)])
        say(version)
        tracks.remove([f"track {number}" for number in EXTRA])
        if version % 5 == 0:
            tracks.optimize()


def read_until_the_last(uri: str, say: Callable[[Any], None]) -> None:
    version = -1
    while version < _LAST:
        version = read(TrackStore.open(uri))
        say(version)
    say("end")


def write_too_much(uri: str, say: Callable[[Any], None]) -> None:
    """With room for 100,000 bytes a file, as on a disk that gets full."""
    tracks = TrackStore.open(uri)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    for change in (lambda: tracks.write([track(number) for number in range(2000)]), tracks.optimize):
        try:
            change()
            say("written")
        except OSError as error:
            say(error)
    say(read(tracks))


def read(tracks: TrackStore) -> int:
    """The version that all tracks of an index are of.

    Raises:
        AssertionError: the index is not as one of the commits of `write_for_ever` left it.
    """
    names = {record["id"] for record in tracks.records()}
    base, extra = {f"track {number}" for number in BASE}, {f"track {number}" for number in EXTRA}
    assert names in (base, base | extra), names
    versions = {version_of(found) for found in tracks.fetch(sorted(names))}
    assert len(versions) == 1, versions
    assert {near.id for near in tracks.nearest(track(0).vector, 50)} == names
    return versions.pop()


class Children:
    """The script at work."""

    def __init__(self, script: "subprocess.Popen[str]"):
        self._script = script

    def start(self, role: Callable[..., None], uri: Path, report: Path) -> int:
        """The id of a new process of that role."""
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.write(f"{role.__name__}\t{uri}\t{report}\n")
        self._script.stdin.flush()
        return int(self._script.stdout.readline())


@contextmanager
def children(environment: dict[str, Any]) -> Iterator[Children]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True, **environment) as script:
        yield Children(script)


def kill(process: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(process, signal.SIGKILL)
    wait_for_end(process)


def wait_for_end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(process, 0)
            time.sleep(0.005)


def wait_for_line(report: Path) -> None:
    while not (report.exists() and report.read_text()):
        time.sleep(0.005)


def _main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended processes leave no trace to wait for
    for line in sys.stdin:
        role, uri, report = line.rstrip("\n").split("\t")
        process = os.fork()
        if process:
            print(process, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with open(report, "a", buffering=1) as lines:
            try:
                globals()[role](uri, lambda seen, lines=lines: print(seen, file=lines))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=lines)
        os._exit(0)


if __name__ == "__main__":
    _main()
