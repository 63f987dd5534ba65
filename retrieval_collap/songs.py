"""Songs that no model of this project has heard in training, rendered for the demo."""

import hashlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rich.progress import Progress

from dataset_scripts.songbook.arrangement import Arrangement
from dataset_scripts.songbook.arranger import arrange
from dataset_scripts.songbook.caption import write_caption
from dataset_scripts.songbook.render import encode, render
from dataset_scripts.songbook.songwriter import split_of, write_song
from dataset_scripts.whole_files import whole_file

from .queries import Query

# Of every query's songs this many are taken before the others, and looked for among this many per song asked for.
_SONGS_PER_QUERY = 2
_CANDIDATES_PER_SONG = 5


@dataclass(frozen=True)
class Song:
    """A held-out song: what is played, the caption that says so, and its audio file."""

    arrangement: Arrangement
    caption: str
    path: Path

    @property
    def id(self) -> str:
        return self.arrangement.id


def choose_songs(number: int, queries: Sequence[Query], first_seed: int = 0) -> list[Arrangement]:
    """`number` songs of the songwriter's test split, by seed from `first_seed` on.

    So that the queries have answers, the first two songs that each query is true of come in before the others, as far
    as a search of five candidates per song finds them. What a model thinks of the songs plays no part.
    """
    candidates: list[Arrangement] = []
    wanted: dict[str, Arrangement] = {}
    missing = {query.text: _SONGS_PER_QUERY for query in queries if query.facts}
    for seed in _test_seeds(first_seed):
        enough = len(candidates) >= number and not any(missing.values())
        if enough or len(candidates) >= _CANDIDATES_PER_SONG * number:
            break
        arrangement = arrange(write_song(seed), 0)
        candidates.append(arrangement)
        for query in queries:
            if missing.get(query.text) and all(query.check(arrangement)):
                missing[query.text] -= 1
                wanted[arrangement.id] = arrangement
    chosen = {**wanted, **{song.id: song for song in candidates if song.id not in wanted}}
    return sorted(list(chosen.values())[:number], key=lambda arrangement: arrangement.id)


def render_songs(
    arrangements: Sequence[Arrangement], folder: Path, sampling_rate: int, progress: Progress, workers: int = 2
) -> list[Song]:
    """Render what is not in `folder` yet, in parallel processes of one thread each.

    A file is named after a digest of every note it holds, so one that is there is the right one; it gets its name when
    it is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    songs = [
        Song(arrangement, write_caption(arrangement).caption, folder / _file_name(arrangement, sampling_rate))
        for arrangement in arrangements
    ]
    waiting = [song for song in songs if not song.path.exists()]
    task = progress.add_task("Rendering songs", total=len(songs), completed=len(songs) - len(waiting))
    if not waiting:
        return songs
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), context, initializer=_one_thread) as pool:
        jobs = [pool.submit(_render_file, song.arrangement, song.path, sampling_rate) for song in waiting]
        for job in as_completed(jobs):
            job.result()
            progress.advance(task)
    return songs


def _test_seeds(first: int) -> Iterator[int]:
    return (seed for seed in count(first) if split_of(seed) == "test")


def _file_name(arrangement: Arrangement, sampling_rate: int) -> str:
    digest = hashlib.sha256(f"{sampling_rate} {arrangement!r}".encode()).hexdigest()
    return f"{arrangement.id}-{digest[:12]}.flac"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _render_file(arrangement: Arrangement, path: Path, sampling_rate: int) -> None:
    content = encode(render(arrangement, sampling_rate=sampling_rate), sampling_rate, "flac")
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
