"""How fast a run trains, and how much of its time it waits for data."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Throughput(TrainerCallback):
    """Tracks per second of full training steps, and the share of their time in which the next batch was not there yet.

    A step lasts from asking for its batches to the end of the optimizer's step; evaluating and saving lie between steps
    and are not counted. The wait includes the way to the device, which on a GPU ends when the work queued before has.

    The trainer asks for its batches within `waiting`, tells the `count` of tracks in them, and adds `take` to what it
    logs; as its callback, this learns where the steps end.

    Args:
        clock: seconds from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._tracks = 0
        self._waited = self._elapsed = 0.0
        self._counted_until = clock()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what asks for the batches of the next step."""
        self._counted_until = start = self._clock()
        yield
        self._waited += self._clock() - start

    def count(self, tracks: int) -> None:
        """Tracks of this process in the next step."""
        self._tracks += tracks

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._count_time()

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """Figures of the steps since the last call, over all processes, each of which must call this.

        Returns:
            `tracks_per_second` of all processes together, and `data_wait_share`, 0 to 1, of the process that waited the
            longest, as the others wait for it.
        """
        self._count_time()  # a GPU may have finished its step only now that its loss has been read
        mine = torch.tensor([[self._tracks, self._waited, self._elapsed]], device=accelerator.device)
        tracks, waited, elapsed = accelerator.gather(mine).unbind(1)  # each (processes,)
        self._tracks, self._waited, self._elapsed = 0, 0.0, 0.0
        seconds = elapsed.max()
        return {
            "tracks_per_second": (tracks.sum() / seconds).item(),
            "data_wait_share": (waited / elapsed).max().item(),
        }

    def _count_time(self) -> None:
        now = self._clock()
        self._elapsed += now - self._counted_until
        self._counted_until = now
