"""Gradients of a batch of any size in the memory of a chunk (GradCache, arXiv 2101.06983).

1. All chunks of texts, then all chunks of tracks are encoded without a graph; of a track only its row of scores and its
   vectors are kept, never its sequence. Before each chunk the state of the random generators is written down.
2. The objective is computed from these rows, in all processes together; its gradient says how each row should move.
3. Each chunk is encoded once more, with a graph and the random state it had, and that gradient is sent through it.
   Tracks come first: their scores say the rest of how the texts should move.

The price is one more forward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .objectives import Embeddings
from .task import TaskOutput, gather_all, split_inputs


def cached_step(
    task: nn.Module,
    batch: dict[str, Tensor],
    chunk: int,
    *,
    autocast: Callable[[], AbstractContextManager],
    no_sync: Callable[[], AbstractContextManager],
    backward: Callable[[Tensor], None] = torch.Tensor.backward,
) -> TaskOutput:
    """Adds the gradients of the batch's loss to the parameters.

    Args:
        task: a `TrainingTask`, as it is or wrapped for several processes.
        batch: inputs of the model; every tensor has one row a pair.
        chunk: pairs that are encoded at a time, the last chunk may have fewer.
        autocast: context of every forward pass.
        no_sync: context in which backward passes do not average gradients over the processes.
        backward: called with the loss, which it may scale.

    Returns:
        loss and scores, without a graph.
    """
    audio, text = split_inputs(batch)
    text_chunks, track_chunks = _Chunks(task, "texts", text, chunk), _Chunks(task, "tracks", audio, chunk)

    with torch.no_grad(), autocast():
        texts = _leaves(text_chunks.encode())
    all_texts = gather_all(texts)  # with a graph back to this process's rows
    targets = _leaves(all_texts)
    with torch.no_grad(), autocast():
        tracks = _leaves(track_chunks.encode(texts=targets))

    with autocast():
        loss = task(step="objective", texts=targets, tracks=tracks)
    backward(loss)

    track_chunks.replay(tracks, autocast, no_sync, texts=targets)
    _send_back(all_texts, targets)
    text_chunks.replay(texts, autocast, no_sync)
    return TaskOutput(loss=loss.detach(), scores=tracks["scores"].detach())


class _Chunks:
    """One side of the batch, cut into chunks that can be encoded a second time exactly as they were the first."""

    def __init__(self, task: nn.Module, step: str, inputs: dict[str, Tensor], size: int):
        rows = len(next(iter(inputs.values())))
        self.task, self.step = task, step
        self.slices = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
        self.chunks = [{name: value[s] for name, value in inputs.items()} for s in self.slices]
        self.random_states: list[_RandomState] = []
        self.device = next(iter(inputs.values())).device

    def encode(self, **common: Any) -> Embeddings:
        """Rows of all chunks."""
        outputs: list[Embeddings] = []
        for chunk in self.chunks:
            self.random_states.append(_RandomState(self.device))
            outputs.append(self.task(step=self.step, **common, **chunk))
        return {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}

    def replay(
        self,
        leaves: Embeddings,
        autocast: Callable[[], AbstractContextManager],
        no_sync: Callable[[], AbstractContextManager],
        **common: Any,
    ) -> None:
        """Sends the gradients of the rows through the encoders, chunk by chunk."""
        for i, (part, chunk) in enumerate(zip(self.slices, self.chunks, strict=True)):
            last = i == len(self.chunks) - 1
            # A backward pass that averages over the processes averages all that has gathered before it, too.
            with nullcontext() if last else no_sync():
                with self.random_states[i].replayed(), autocast():
                    rows = self.task(step=self.step, **common, **chunk)
                _send_back(rows, leaves, part)


def _leaves(rows: Embeddings) -> Embeddings:
    return {name: value.detach().requires_grad_(value.is_floating_point()) for name, value in rows.items()}


def _send_back(rows: Embeddings, leaves: Embeddings, part: slice = slice(None)) -> None:
    """Sends the gradients that some rows of `leaves` have received into the graph of `rows`."""
    moved = [name for name in rows if rows[name].requires_grad and leaves[name].grad is not None]
    if moved:
        gradients: list[Any] = [leaves[name].grad[part] for name in moved]  # type: ignore[index]
        torch.autograd.backward([rows[name] for name in moved], gradients)


class _RandomState:
    """State of the random generators that dropout draws from, as it is now."""

    def __init__(self, device: torch.device):
        self.devices = [device] if device.type == "cuda" else []
        self.cpu = torch.get_rng_state()
        self.cuda = [torch.cuda.get_rng_state(d) for d in self.devices]

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Puts this state back for a while; afterwards the generators go on as if nothing had been drawn."""
        with torch.random.fork_rng(devices=self.devices):
            torch.set_rng_state(self.cpu)
            for device, state in zip(self.devices, self.cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
