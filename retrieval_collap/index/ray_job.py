"""A large folder, indexed by the processes of a Ray cluster and written in one commit."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Self

try:
    from dataset_scripts.audioset.cluster import JobError, each, ray, ray_running
except ImportError as error:
    raise ImportError(f"indexing on a cluster needs Ray, of the extra collap[dataset]: {error}") from error

from ..library import Failure
from .encoding import index_files, settle
from .opening import open_index
from .report import IndexReport
from .rows import IndexedTrack
from .store import TrackStore
from .track_index import TrackIndex
from .walk import FolderChanges, absolute

LOCAL = "local"
"""The address of no cluster: a Ray of our own on this machine."""

# A batch is written as one file. It holds twice as many tracks as `TrackStore.optimize` joins files for, so that one
# process need not write again what all have written, even where many files cannot be decoded.
_FILES_PER_BATCH = 1024
# With fewer files the batches are smaller, for all processes to end at about the same time.
_BATCHES_PER_PROCESS = 4


class Processes(NamedTuple):
    """The processes of a job.

    Attributes:
        encoders: processes with the model.
        readers: processes that each encoder has files read by; it takes as many cores.
    """

    encoders: int
    readers: int

    @classmethod
    def for_nodes(cls, nodes: Sequence[Mapping[str, float]], num_gpus: float, workers: int | None = None) -> Self:
        """As many as fit: an encoder for each part of a GPU and its share of the cores, or for each core.

        Args:
            nodes: what each machine has, as Ray counts it: "CPU", "GPU".
            num_gpus: GPUs of one encoder, or the part of one.
            workers: the most processes that read, in all.

        Raises:
            ValueError: nothing fits.
        """
        cores = [int(node.get("CPU", 0)) for node in nodes]
        if num_gpus:
            fit = [min(int(node.get("GPU", 0) / num_gpus), own) for node, own in zip(nodes, cores, strict=True)]
            readers = min((own // count for own, count in zip(cores, fit, strict=True) if count), default=0)
        else:
            fit, readers = cores, 1
        if not (encoders := sum(fit)):
            needed = f"{num_gpus:g} GPUs and a core" if num_gpus else "a core"
            raise ValueError(f"no machine of the Ray cluster has {needed} for a process that encodes")
        if workers is None:
            return cls(encoders, readers)
        encoders = min(encoders, workers)
        return cls(encoders, min(readers, workers // encoders))


def index_files_on_ray(
    index: TrackIndex,
    changes: FolderChanges,
    *,
    address: str = LOCAL,
    num_gpus: float | None = None,
    prune: bool = False,
    seconds: float = 120.0,
    workers: int | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> IndexReport:
    """What `encoding.index_files` does, by many processes: each writes its tracks beside the table, and when all are
    done, one commit makes them part of it.

    Folder, index and model must have the same names on all machines, and the keys of an object store must be in their
    environment. Until the commit the index is as it was. Where a process fails, what was finished is committed; what
    was being worked on is left to the next run. If this process is killed, nothing is committed, and the files left
    behind do no harm.

    Args:
        address: of the cluster's head, as "ray://head:10001" or "auto".
        num_gpus: GPUs of each process that encodes, or the part of one; by default one where the cluster has any.
        prune, seconds, on_file: as in `index_files`; `on_file` is called when the file's batch is done.
        workers: processes that read, in all machines together; by default one for each core.

    Raises:
        ConnectionError: nothing answers at the address.
        ValueError: no machine has what a process needs, or the index's model is in memory alone.
        OSError: a process failed, or the index cannot be written.
    """
    report = IndexReport.of(changes)
    finished: list[dict[str, Any]] = []
    try:
        if changes.waiting:
            with _no_fork_warnings(), ray_running(None if address == LOCAL else address, workers):
                job, batches = _plan(index, changes, num_gpus, seconds, workers)
                for done in each(job, batches):
                    finished.append(done)
                    for _ in range(done["files"]):
                        on_file()
    except JobError as error:
        raise OSError(
            f"the Ray job stopped: {error}. What it had finished is in the index; the same command goes on from there"
        ) from error
    finally:
        for done in finished:
            _add(report, done["report"])
        staged = [part for done in finished for part in done["staged"]]
        index.store.commit(staged, {*report.added, *report.changed})
    settle(index, changes, report, prune)
    return report


def _plan(
    index: TrackIndex, changes: FolderChanges, num_gpus: float | None, seconds: float, workers: int | None
) -> tuple["_Encode", list[dict[str, Any]]]:
    """The job, and the batches of files that it is called with; Ray is running."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if num_gpus is None:
        num_gpus = float(any(node.get("GPU") for node in nodes))
    encoders, readers = Processes.for_nodes(nodes, num_gpus, workers)
    files = [(str(path), track_id) for path, track_id in changes.waiting.items()]
    size = min(_FILES_PER_BATCH, ceil(len(files) / (encoders * _BATCHES_PER_PROCESS)))
    cut = [files[start : start + size] for start in range(0, len(files), size)]
    batches = [{"files": part, "changed": [name for _, name in part if name in changes.changed]} for part in cut]
    job = _Encode(
        uri=index.store.uri,
        model=_model_name(index),
        folder=changes.folder,
        seconds=seconds,
        num_cpus=readers,
        num_gpus=num_gpus,
        concurrency=min(encoders, len(batches)),
    )
    return job, batches


def _model_name(index: TrackIndex) -> str:
    """By which other processes load the model.

    Raises:
        ValueError: it was never saved.
    """
    name = index.model.name_or_path or index.store.settings.model
    if not name:
        raise ValueError("the model is in memory alone: save it, for the processes of the cluster to load it")
    return str(absolute(name)) if Path(name).expanduser().is_dir() else name


@contextmanager
def _no_fork_warnings() -> Iterator[None]:
    """Lance warns of any fork; those that start Ray become other programs at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lance is not fork-safe")
        yield


def _add(report: IndexReport, part: Mapping[str, Any]) -> None:
    for name in ("added", "changed", "reused"):
        getattr(report, name).extend(part[name])
    for name in ("failures", "short"):
        getattr(report, name).extend(Failure(**entry) for entry in part[name])


@dataclass
class _Encode:
    """A process that holds the model and indexes batches of files, of which nothing is committed."""

    uri: str
    model: str
    folder: Path
    seconds: float
    num_cpus: float
    num_gpus: float
    concurrency: int | None
    actor: bool = True
    index: TrackIndex = field(init=False, repr=False)

    def start(self) -> None:
        self.index = open_index(self.uri, self.model, None if self.num_gpus else "cpu")

    def __call__(self, piece: Any) -> dict[str, Any]:
        waiting = {Path(path): track_id for path, track_id in piece["files"]}
        changes = FolderChanges(self.folder, waiting, frozenset(piece["changed"]), 0, (), ())
        store = self.index.store = _BatchStore.open(self.uri)
        store.files = tuple(waiting)
        report = index_files(self.index, changes, seconds=self.seconds, workers=int(self.num_cpus))
        return {"staged": store.stage(store.written), "report": asdict(report), "files": len(waiting)}


class _BatchStore(TrackStore):
    """An index as a batch of files sees it: what is written waits until all of it is staged, and of the tracks only
    those are known that may have a file's content, which takes no longer with a larger index."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.files: Sequence[Path] = ()
        self.written: list[IndexedTrack] = []

    def records(self, where: str | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        sizes = sorted({path.stat().st_size for path in self.files if path.is_file()})
        if not sizes:
            return []
        as_large = f"size IN ({', '.join(map(str, sizes))})"
        return super().records(as_large if where is None else f"{as_large} AND ({where})", columns)

    def write(self, tracks: Sequence[IndexedTrack]) -> None:
        self.refresh()  # files of old versions may be cleaned up
        self.written.extend(tracks)

    def optimize(self, *_: Any) -> None:
        """Not before the commit."""
