"""What a model says of tracks and texts: the paper's two scores, further terms beside them, and their sum."""

from typing import NamedTuple, Protocol

from torch import Tensor

from .alignment import AlignmentScores


class Gammas(Protocol):
    """Whatever has the weights of the further terms, such as `CollapConfig`."""

    @property
    def gamma_structure(self) -> float: ...

    @property
    def gamma_global(self) -> float: ...


class CollapScores(NamedTuple):
    """Scores of N tracks (rows) against M texts (columns), each (N, M); `None` for a further term without weight."""

    kernel: Tensor  # r_K, eq 5
    temporal: Tensor  # r_T, eq 6
    structure: Tensor | None  # r_S, see `structure_scores`
    whole: Tensor | None  # r_G, see `global_scores`
    fused: Tensor  # r, eq 7 with the further terms

    def present(self) -> dict[str, Tensor]:
        """The scores that are there, by name."""
        return {name: rows for name, rows in self._asdict().items() if rows is not None}

    @classmethod
    def of(
        cls, scores: AlignmentScores, structure: Tensor | None, whole: Tensor | None, gammas: Gammas
    ) -> "CollapScores":
        """The paper's scores with further terms; `gammas` weighs these."""
        fused = scores.fused
        if structure is not None or whole is not None:
            fused = fused + further_terms(structure, whole, gammas)
        return cls(scores.kernel, scores.temporal, structure, whole, fused)


def further_terms(structure: Tensor | None, whole: Tensor | None, gammas: Gammas) -> Tensor:
    """gamma_structure r_S + gamma_global r_G, (N, M), of those that are there.

    Raises:
        ValueError: neither is.
    """
    weighed = [(gammas.gamma_structure, structure), (gammas.gamma_global, whole)]
    terms = [gamma * term for gamma, term in weighed if term is not None]
    if not terms:
        raise ValueError("no score has any weight")
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]
