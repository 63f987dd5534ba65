"""What a model says of tracks and texts: the paper's two scores, the structure term beside them, and their sum."""

from typing import NamedTuple

from torch import Tensor

from .alignment import AlignmentScores


class CollapScores(NamedTuple):
    """Scores of N tracks (rows) against M texts (columns), each (N, M)."""

    kernel: Tensor  # r_K, eq 5
    temporal: Tensor  # r_T, eq 6
    structure: Tensor | None  # r_S, see `structure_scores`; `None` without weight
    fused: Tensor  # r, eq 7 with the structure term

    def present(self) -> dict[str, Tensor]:
        """The scores that are there, by name."""
        return {name: rows for name, rows in self._asdict().items() if rows is not None}

    @classmethod
    def of(cls, scores: AlignmentScores, structure: Tensor | None, gamma_structure: float) -> "CollapScores":
        """The paper's scores and the structure term with its weight."""
        fused = scores.fused if structure is None else scores.fused + gamma_structure * structure
        return cls(scores.kernel, scores.temporal, structure, fused)
