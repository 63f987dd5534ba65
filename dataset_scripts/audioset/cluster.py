"""Ray Data as the pipeline uses it: a list of pieces of work, done in any order by processes here or on a cluster."""

import json
import logging
import os
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

# Before Ray is imported: nothing is reported to its makers, and workers are no nicer than the process that waits.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
import ray.data

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a Ray of our own. Only names of files and counts travel through it; Ray's least is 75 MiB."""


class Needs(Protocol):
    """What a process takes of the machine."""

    num_cpus: float
    num_gpus: float


class Job(Needs, Protocol):
    """What is done with a piece of work; an actor job stays in `concurrency` processes from piece to piece."""

    actor: bool
    concurrency: int | None

    def start(self) -> None: ...

    def __call__(self, piece: Any) -> dict[str, Any]: ...


class JobError(RuntimeError):
    """A piece of work failed; `trace` is the traceback in the process that did it."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@contextmanager
def ray_running(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Ray at an address, or one of our own on this machine; one that is running already is taken as it is.

    Args:
        address: of a cluster's head, as in "ray://head:10001" or "auto".
        workers: processes of a Ray of our own, one for each core by default.

    Raises:
        ConnectionError: nothing answers at `address`.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(
            num_cpus=workers or os.cpu_count(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    else:
        ray.init(address, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def check_resources(job: Needs, name: str) -> None:
    """Raises ValueError where no process of the job can ever start; Ray would wait for the machine that it needs."""
    there = ray.cluster_resources()
    for resource, needed in (("CPU", job.num_cpus), ("GPU", job.num_gpus)):
        if needed > there.get(resource, 0):
            raise ValueError(
                f"the stage {name} needs {needed:g} {resource} for each process and Ray has {there.get(resource, 0):g}"
            )


def each(job: Job, pieces: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """What the job returns for each piece, as pieces are finished.

    Args:
        pieces: values as JSON has them; each is one block of a Ray dataset, and one call.

    Raises:
        JobError: a call failed, or a process was lost; work that has begun is abandoned.
    """
    if not pieces:
        return
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*ray_remote_args. is deprecated")  # max_restarts has no other way
    records = [{"piece": json.dumps(piece)} for piece in pieces]
    data: Any = ray.data.from_items(records, override_num_blocks=len(pieces))
    resources: dict[str, Any] = {"num_cpus": job.num_cpus, "num_gpus": job.num_gpus or None}
    if job.actor:
        actors = ray.data.ActorPoolStrategy(size=job.concurrency or 1)
        # One that dies is not started again, perhaps for ever: the run stops, and the next one goes on from there.
        data = data.map(_Actor, fn_constructor_args=(job,), compute=actors, max_restarts=0, **resources)
    else:
        data = data.map(_run, fn_args=(job,), compute=ray.data.TaskPoolStrategy(size=job.concurrency), **resources)
    try:
        for record in data.iter_rows():
            result = json.loads(record["result"])
            if "error" in result:
                raise JobError(result["error"], result["trace"])
            yield result
    except ray.exceptions.RayError as error:
        last = f"{error}".strip().splitlines()[-1]  # of a page
        raise JobError(f"Ray lost a process or could not start one: {last}", traceback.format_exc()) from error


def _run(record: dict[str, Any], job: Job) -> dict[str, Any]:
    """A piece of work in a process of which nothing is known."""
    return _Actor(job)(record)


class _Actor:
    """A process that keeps what `start` has made. An error is returned: through Ray it would come out as pages."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.started = False

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        try:
            if not self.started:
                self.job.start()
                self.started = True
            result = self.job(json.loads(record["piece"]))
        except Exception as error:
            result = {"error": f"{error}" or type(error).__name__, "trace": traceback.format_exc()}
        return {"result": json.dumps(result)}
