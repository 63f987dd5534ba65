"""Training objectives: one file each, behind the interface of `base.Objective`."""

from collections.abc import Sequence
from dataclasses import dataclass

from modeling_collap import CollapModel

from .audio_self_supervision import AudioSelfSupervision
from .base import Embeddings, Objective
from .contrastive import ContrastiveObjective
from .global_vector import GlobalVectorObjective
from .moments import MomentObjective
from .sections import SectionObjective
from .sigmoid import SigmoidObjective
from .slap import SlapObjective
from .tags import TagObjective

OBJECTIVES = ("contrastive", "sigmoid", "slap")


@dataclass
class ObjectiveSection:
    """What training minimises.

    Args:
        name: "contrastive" (the paper's loss), "sigmoid" (SigLIP's) or "slap" (SLAP's, without negatives).
        content_weighting: kappa of MusCALL's content-aware weighting of the contrastive loss, such as 0.01.
        order_negatives: how many random orders of its own passages each track is told from, in the contrastive loss.
        sections: share of the loss of every passage against the seconds it describes, between 0 (none) and 1.
        moments: share of the loss of every section's caption, read by itself, against the seconds it describes, between
            0 (none) and 1.
        own_track: share of the losses on sections and moments whose negatives are of the same track alone, from 0 to 1.
        tags: share of the loss of naming what is heard in every section, between 0 (none) and 1; the dataset tells it
            in its column `section_tags`.
        global_vector: share of CLAP's loss on the mean of each track's time steps, from 0 (none) to 1 (a CLAP).
        audio_self_supervision: share of SimCLR's loss on the audio alone, between 0 (none) and 1.
        target_momentum: of SLAP's slowly following copy.
    """

    name: str = "contrastive"
    content_weighting: float | None = None
    order_negatives: int = 0
    sections: float = 0.0
    moments: float = 0.0
    own_track: float = 0.0
    tags: float = 0.0
    global_vector: float = 0.0
    audio_self_supervision: float = 0.0
    target_momentum: float = 0.99

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise ValueError(f"objective.name is one of {', '.join(OBJECTIVES)}, not {self.name!r}.")
        if self.content_weighting is not None and self.name != "contrastive":
            raise ValueError(f"objective.content_weighting belongs to the contrastive loss, not to {self.name!r}.")
        if self.content_weighting is not None and not self.content_weighting > 0:
            raise ValueError(f"objective.content_weighting must be above 0, not {self.content_weighting}.")

        if self.order_negatives and self.name != "contrastive":
            raise ValueError(f"objective.order_negatives belongs to the contrastive loss, not to {self.name!r}.")
        if self.order_negatives < 0:
            raise ValueError(f"objective.order_negatives must be at least 0, not {self.order_negatives}.")
        if not 0 <= self.own_track <= 1:
            raise ValueError(f"objective.own_track is a share of a loss, from 0 to 1, not {self.own_track}.")
        if self.own_track and not (self.sections or self.moments):
            raise ValueError("objective.own_track is of the losses on sections and moments: give one of them a share.")

    @property
    def needs_negatives(self) -> bool:
        """Whether a pair alone gives nothing to learn."""
        return self.name != "slap" or self.global_vector > 0 or self.audio_self_supervision > 0


def build_objective(
    section: ObjectiveSection, model: CollapModel, tag_shares: Sequence[float] | None = None
) -> Objective:
    """The objective that a recipe describes, for this model.

    Args:
        tag_shares: of the sections that have each tag of the dataset; needed where the recipe has `tags`.

    Raises:
        ValueError: if a number is out of its range, or the model has no passages to learn from.
    """
    for name in ("order_negatives", "sections", "moments", "tags"):
        if getattr(section, name) and not getattr(model.config, "gamma_structure", 0.0):
            raise ValueError(f"objective.{name} needs a model that scores passages: set model.config.gamma_structure.")
    objective: Objective
    if section.name == "sigmoid":
        objective = SigmoidObjective()
    elif section.name == "slap":
        objective = SlapObjective(model, section.target_momentum)
    else:
        objective = ContrastiveObjective(section.content_weighting, section.order_negatives)
    if section.sections:
        objective = SectionObjective(objective, section.sections, section.own_track)
    if section.moments:
        objective = MomentObjective(objective, section.moments, section.own_track)
    if section.tags:
        if tag_shares is None:
            raise ValueError("objective.tags needs the tags of a dataset.")
        objective = TagObjective(objective, section.tags, tag_shares, model.config.projection_dim)
    if section.global_vector:
        objective = GlobalVectorObjective(objective, section.global_vector)
    if section.audio_self_supervision:
        objective = AudioSelfSupervision(objective, section.audio_self_supervision, model.config.projection_dim)
    return objective


__all__ = ["OBJECTIVES", "ContrastiveObjective", "Embeddings", "Objective", "ObjectiveSection", "build_objective"]
