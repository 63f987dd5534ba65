"""The app on two cores: how soon a query has its first result, and a minute of twenty clients at once.

`python -m benchmarks.space` builds a library of 200 songs in the user's cache, some five minutes on two cores, which
goes on where it was stopped and is found again the next time; then it starts the app over it and asks it through
`gradio_client`, as strangers would. Both the app and the clients get two cores; the machine should do nothing else.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Annotated

import httpx
import psutil
import typer
from gradio_client import Client, handle_file
from rich.console import Console
from rich.progress import track

from retrieval_collap.queries import QUERIES

from .index_figures import Figure, at_most, figures_table, percentiles
from .index_tracks import MINI

ROOT = Path(__file__).resolve().parents[1]
_SECONDS_TO_START = 300.0
_PAGES = [query.text for query in QUERIES]
# Every fifth question of a client is an upload that nobody has asked of before, and another compares two descriptions.
_ROUND = ("find", "find", "compare", "find", "describe")
_MIB = 2**20


@dataclass
class RunningApp:
    """`python space/app.py`, and the memory that its process holds, in bytes."""

    url: str
    process: psutil.Process

    def memory(self) -> int:
        return self.process.memory_info().rss


@dataclass
class Load:
    """What clients did: seconds of every answer, by kind, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in _ROUND})
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)  # once a second


@contextmanager
def running_app(model: str, library: Path, folder: Path, cores: Sequence[int]) -> Iterator[RunningApp]:
    """The app on some cores, stopped at the end.

    Raises:
        RuntimeError: it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "COLLAP_MODEL": model,
        "COLLAP_LIBRARY": str(library),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(len(cores)),
    }
    log = folder / "app.log"
    with log.open("w") as lines:
        command = [sys.executable, str(ROOT / "space" / "app.py")]
        process = psutil.Popen(command, env=environment, stdout=lines, stderr=subprocess.STDOUT)
    try:
        process.cpu_affinity(list(cores))
        url = f"http://127.0.0.1:{port}/"
        _wait_for(url, process, log)
        yield RunningApp(url, process)
    finally:
        process.terminate()
        process.wait(60)


def first_results(app: RunningApp, queries: int) -> list[Figure]:
    """One client that searches, from connecting on; the first search of the app is told apart."""
    start = time.perf_counter()
    client = _client(app)
    connecting = time.perf_counter() - start
    seconds = [_timed(partial(client.predict, text, 5, api_name="/find_music")) for text in _texts(queries)]
    return [
        Figure("connecting", f"{connecting:.2f} s"),
        at_most("the first query after the start", seconds[0], 3.0, "{:.2f} s"),
        at_most("a query, p95", statistics.quantiles(seconds[1:], n=20)[-1], 3.0, "{:.2f} s"),
        Figure(f"{queries - 1} queries, p50 / p95", percentiles(seconds[1:])),
        Figure("memory of the app", f"{app.memory() / _MIB:,.0f} MiB"),
    ]


def load(app: RunningApp, audio: Sequence[Path], clients: int, seconds: float, folder: Path) -> Load:
    """Clients that ask and ask again, each as soon as it has its answer."""
    done = Load()
    over = Event()
    threads = [
        Thread(target=_ask, args=(_client(app), number, audio[number % len(audio)], folder, done, over))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for _ in track(range(round(seconds)), f"{clients} clients"):
        done.memory.append(app.memory())
        time.sleep(1)
    over.set()
    for thread in threads:
        thread.join()
    return done


def load_figures(warm_up: Load, measured: Load, clients: int, seconds: float) -> list[Figure]:
    """Memory is compared after a warm-up of the same load: threads and caches have their size by then."""
    errors = [*warm_up.errors, *measured.errors]
    quarter = max(len(measured.memory) // 4, 1)
    before, after = (statistics.median(part) for part in (measured.memory[:quarter], measured.memory[-quarter:]))
    answers = sum(map(len, measured.seconds.values()))
    return [
        at_most(f"errors of {clients} clients", len(errors), 0),
        Figure(f"answers in {seconds:.0f} s", f"{answers:,}"),
        *(
            Figure(f"{len(taken)} answers of {kind}, p50 / p95", percentiles(taken))
            for kind, taken in measured.seconds.items()
            if taken
        ),
        Figure("memory at first / at last", f"{before / _MIB:,.0f} / {after / _MIB:,.0f} MiB"),
        at_most("memory at last, beside at first", after / before, 1.05, "{:.3f} x"),
        *(Figure("an error", error[:100]) for error in sorted(set(errors))[:5]),
    ]


def _ask(client: Client, number: int, audio: Path, folder: Path, done: Load, over: Event) -> None:
    for turn in range(10**9):
        if over.is_set():
            return
        kind = _ROUND[(number + turn) % len(_ROUND)]
        text = _PAGES[(number + turn) % len(_PAGES)]
        questions: dict[str, Callable[[], object]] = {
            "find": partial(client.predict, text, 5, api_name="/find_music"),
            "compare": partial(client.predict, text, "Something else.", api_name="/compare"),
            "describe": partial(_describe, client, audio, folder / f"{number}-{turn}.mp3"),
        }
        try:
            done.seconds[kind].append(_timed(questions[kind]))
        except Exception as error:  # whatever a client is told counts
            done.errors.append(f"{kind}: {error}")


def _describe(client: Client, audio: Path, upload: Path) -> None:
    """Ask of the same sound in a file of other bytes, an ID3v1 tag at its end: the app has to encode it anew."""
    upload.write_bytes(audio.read_bytes() + b"TAG" + upload.name.encode().ljust(125, b"\0"))
    answer = client.predict(None, handle_file(str(upload)), "rock, jazz, folk", api_name="/describe_track")
    upload.unlink()
    if len(answer["tags"]) != 3:
        raise ValueError(f"{len(answer['tags'])} tags")


def _texts(count: int) -> list[str]:
    """No two alike."""
    return [f"{_PAGES[number % len(_PAGES)]} Take {number}." for number in range(count)]


def _client(app: RunningApp) -> Client:
    return Client(app.url, verbose=False, analytics_enabled=False)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _wait_for(url: str, process: psutil.Popen, log: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(url, trust_env=False, timeout=10)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the app did not start: {log.read_text()}")


def main(
    songs: Annotated[int, typer.Option(help="of the library; the bar is set for 200")] = 200,
    clients: Annotated[int, typer.Option(help="at once")] = 20,
    seconds: Annotated[float, typer.Option(help="that the clients ask for, after as long a warm-up")] = 60.0,
    queries: Annotated[int, typer.Option(help="of one client alone")] = 40,
    model: Annotated[str, typer.Option(help="folder or Hub name")] = str(MINI),
    library: Annotated[Path | None, typer.Option(help="one that is there; by default built in the cache")] = None,
) -> None:
    """Figures of the app, with the bars that were set for them."""
    sys.path.insert(0, str(ROOT / "space"))
    from space_collap.build_library import cached_library
    from space_collap.library_files import read_tracks

    console = Console(width=130)
    library = library or cached_library(model, songs)
    tracks = read_tracks(library)
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory(prefix="collap-space-") as temporary:
        folder = Path(temporary)
        with running_app(model, library, folder, cores) as app:
            title = f"{len(tracks)} tracks, {len(cores)} cores"
            console.print(figures_table(f"One client, {title}", first_results(app, queries)))
            audio = [track.path for track in tracks[:clients]]
            warm_up, measured = (load(app, audio, clients, seconds, folder) for _ in range(2))
            console.print(
                figures_table(f"{clients} clients, {title}", load_figures(warm_up, measured, clients, seconds))
            )


if __name__ == "__main__":
    typer.run(main)
