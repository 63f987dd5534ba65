"""Calls in parallel processes with a time limit for each, which holds even where C code never returns."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

# Imported once, by the server that all these processes are forked from: one that follows a killed one is there at once.
_PRELOADED = [f"{__package__}.reading"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class CallError(Exception):
    """A call that came to nothing; the message says why."""


def call_in_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], *, seconds: float, workers: int
) -> Iterator[tuple[Item, Result | CallError]]:
    """Pairs of an item and what the function made of it, in the order in which the calls end.

    A call that takes longer than `seconds`, and one that crashes, takes its process with it; a new one goes on with the
    next item. Each process holds at most one result that has not been asked for.

    Args:
        function: of one item; it is pickled, as are items and results.
        seconds: for one call; starting a process does not count.
        workers: processes.

    Raises:
        ImportError: a call misses a library.
    """
    waiting = iter(items)
    busy: dict[Connection, tuple[_Worker[Item, Result], Item]] = {}

    def assign(worker: _Worker[Item, Result] | None) -> None:
        """Give the next item, if there is one, to this worker if it lives, or to a new one."""
        for item in islice(waiting, 1):
            if worker is None or not worker.process.is_alive():
                worker = _Worker(function, seconds)
            busy[worker.connection] = worker, item
            worker.start_call(item)
            return
        if worker is not None:
            worker.stop()

    try:
        for _ in range(workers):
            assign(None)
        while busy:
            for connection in wait(list(busy)):
                worker, item = busy.pop(connection)  # type: ignore[call-overload]
                outcome = worker.outcome()
                assign(worker)  # before the outcome is used, which takes its time
                yield item, outcome
    finally:
        for worker, _ in busy.values():
            worker.stop()


class _Worker(Generic[Item, Result]):
    """A process that answers one call at a time."""

    def __init__(self, function: Callable[[Item], Result], seconds: float):
        self.seconds = seconds
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, seconds), daemon=True)
        self.process.start()
        theirs.close()  # its end is then the only one, and closes with the process

    def start_call(self, item: Item) -> None:
        with contextlib.suppress(OSError):  # it died meanwhile: `outcome` says how
            self.connection.send(item)

    def outcome(self) -> Result | CallError:
        """What the call returned, or why it did not; waits for it."""
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            self.connection.close()
            self.process.join()
            return self._post_mortem(self.process.exitcode or 0)
        if isinstance(outcome, ImportError):
            self.stop()
            raise outcome
        return outcome

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _post_mortem(self, code: int) -> CallError:
        if -code == signal.SIGALRM:
            return CallError(f"decoding took longer than {self.seconds:g} s")
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return CallError(f"the decoder crashed ({cause})")


def _serve(connection: Connection, function: Callable[[Item], Result], seconds: float) -> None:
    """Answer calls until the other end closes.

    The alarm is the system's: where it rings, the process ends, whatever holds the interpreter. It needs no one to look
    after it, so that no decoder hangs on when the main process is busy, or killed.
    """
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says when to stop
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    outcome: Result | CallError | ImportError
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            item = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                outcome = function(item)
            except ImportError as error:
                outcome = ImportError(str(error))
            except Exception as error:  # whatever a file makes a decoder do, the next one is read
                outcome = CallError(_one_line(error))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(outcome)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
