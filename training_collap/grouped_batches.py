"""Batches whose examples belong together, so that what tells them apart is not where they come from."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class GroupedBatches(Sampler[int]):
    """Indices in an order that, cut into batches, gives each batch examples of one group only.

    Easy negatives teach nothing: where a data set has several sources, a model first learns to tell the sources apart.
    The order is shuffled anew every epoch; of each group the examples that fill no batch sit that epoch out.

    Args:
        groups: group of every example, by position.
        batch_size: examples of a batch over all processes.
        seed: of the order.

    Raises:
        ValueError: if no group fills a batch.
    """

    def __init__(self, groups: Sequence[str], batch_size: int, seed: int = 0):
        positions: dict[str, list[int]] = defaultdict(list)
        for position, group in enumerate(groups):
            positions[group].append(position)
        self.positions = [np.array(positions[group]) for group in sorted(positions)]
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        if not len(self):
            raise ValueError(f"no group of examples fills a batch of {batch_size}.")

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of every epoch: new epoch, new order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(len(positions) // self.batch_size for positions in self.positions) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        batches: list[np.ndarray] = []
        for positions in self.positions:
            count = len(positions) // self.batch_size
            order = rng.permutation(positions)[: count * self.batch_size]
            batches.extend(order.reshape(count, self.batch_size))
        return (int(index) for i in rng.permutation(len(batches)) for index in batches[i])
