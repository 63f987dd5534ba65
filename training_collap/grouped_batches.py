"""Batches whose examples belong together, by where they come from and by how long they are."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

# Examples of this many batches are sorted by length together: enough to find alike ones, few enough to mix well.
_BATCHES_SORTED_TOGETHER = 16


class GroupedBatches(Sampler[int]):
    """Indices in an order that, cut into batches, gives each batch examples of one group and of like length.

    Easy negatives teach nothing: where a data set has several sources, a model first learns to tell the sources apart.
    And padding teaches nothing either: with `lengths`, a batch takes examples that need little of it. Then, in each
    group,

    1. the examples are shuffled and cut into stretches of 16 batches, or of a quarter of the group where that is less;
    2. every stretch is sorted by length and cut into batches;
    3. each batch is shuffled, so that no process gets all the long examples of it, and the batches of all groups are.

    The order depends on seed and epoch alone. Of each group the examples that fill no batch sit that epoch out.

    Args:
        groups: group of every example, by position; `None` makes all of them one group.
        batch_size: examples of a batch over all processes.
        seed: of the order.
        lengths: length of every example, by position, in any unit; a function of the epoch where it changes with that,
            as the length of crops does.

    Raises:
        ValueError: if neither groups nor lengths are given, they count different examples, or no group fills a batch.
    """

    def __init__(
        self,
        groups: Sequence[str] | None,
        batch_size: int,
        seed: int = 0,
        *,
        lengths: Sequence[float] | Callable[[int], Sequence[float]] | None = None,
    ):
        if groups is None and lengths is None:
            raise ValueError("batches are grouped by groups or by lengths, but neither is given.")
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        if groups is None:
            groups = [""] * len(self._lengths())
        elif lengths is not None and len(self._lengths()) != len(groups):
            raise ValueError(f"there are {len(self._lengths())} lengths, but groups of {len(groups)} examples.")
        positions: dict[str, list[int]] = defaultdict(list)
        for position, group in enumerate(groups):
            positions[group].append(position)
        self.positions = [np.array(positions[group]) for group in sorted(positions)]
        if not len(self):
            raise ValueError(f"no group of examples fills a batch of {batch_size}.")

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of every epoch: new epoch, new order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(len(positions) // self.batch_size for positions in self.positions) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        lengths = None if self.lengths is None else np.asarray(self._lengths())
        batches: list[np.ndarray] = []
        for positions in self.positions:
            count = len(positions) // self.batch_size
            order = rng.permutation(positions)[: count * self.batch_size]
            if lengths is not None:
                order = self._alike(order, lengths, rng)
            batches.extend(order.reshape(count, self.batch_size))
        return (int(index) for i in rng.permutation(len(batches)) for index in batches[i])

    def _lengths(self) -> Sequence[float]:
        """Of the current epoch."""
        assert self.lengths is not None
        return self.lengths(self.epoch) if callable(self.lengths) else self.lengths

    def _alike(self, order: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shuffled positions, anew in an order that gives batches of like length."""
        # Of few batches not all are sorted together, or every epoch would bring the same ones again.
        batches = max(1, min(_BATCHES_SORTED_TOGETHER, len(order) // self.batch_size // 4))
        for start in range(0, len(order), batches * self.batch_size):
            stretch = order[start : start + batches * self.batch_size]
            stretch[:] = stretch[np.argsort(lengths[stretch], kind="stable")]
        return rng.permuted(order.reshape(-1, self.batch_size), axis=1)
