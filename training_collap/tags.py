"""The tags that a dataset has for the sections of its tracks, as numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor

# Of a tag with fewer sections there is too little to learn.
_LEAST_SECTIONS = 20


@dataclass(frozen=True)
class TagVocabulary:
    """Names in alphabetical order, and the share of the sections that have each."""

    names: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, rows: Dataset, least: int = _LEAST_SECTIONS) -> "TagVocabulary":
        """The tags that at least so many sections of the rows have, and not all of them.

        Raises:
            ValueError: if the rows have no column `section_tags`, or no tag is left.
        """
        if "section_tags" not in rows.column_names:
            raise ValueError("objective.tags needs the column section_tags, which the dataset does not have.")
        counts: Counter[str] = Counter()
        sections = 0
        for row in rows["section_tags"]:
            for tags in row or ():
                counts.update(set(tags))
                sections += 1
        kept = {name: count for name, count in sorted(counts.items()) if least <= count < sections}
        if not kept:
            raise ValueError(f"objective.tags: no tag in section_tags stands at {least} sections or more.")
        return cls(tuple(kept), tuple(count / sections for count in kept.values()))

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, tags: Sequence[Sequence[Iterable[str] | None]], passages: int) -> Tensor:
        """Which tags each passage has, (n, P, C): 1 or 0, and -1 throughout where they are not known.

        Args:
            tags: of each passage of each text, `None` where they are not known.
            passages: P, at least the most of any text.
        """
        numbers = {name: number for number, name in enumerate(self.names)}
        rows = torch.full((len(tags), passages, len(self)), -1.0)
        for row, text in zip(rows, tags, strict=True):
            for target, found in zip(row, text, strict=False):
                if found is not None:
                    target.zero_()
                    target[[numbers[name] for name in found if name in numbers]] = 1.0
        return rows
