"""What is heard in the sections of an arrangement, as tags: all facts of `measures.py`, where a caption says some."""

from .arrangement import Arrangement
from .measures import SectionFacts, measure_sections


def section_tags(arrangement: Arrangement) -> list[list[str]]:
    """The tags of every section that a caption of the whole song speaks of, in their order; see `tags_of`."""
    return [tags_of(section) for section in measure_sections(arrangement, 0.0, arrangement.composition.duration)]


def tags_of(section: SectionFacts) -> list[str]:
    """Who plays ("instrument: violin"), in what role ("melody: violin") and how ("bass pattern: walking line"), how
    loud and how dense it is ("dynamics: soft", "density: sparse"), and how the melody goes ("register: low")."""
    tags = [f"instrument: {name}" for name in section.instruments]
    for part in section.leads + section.support:
        tags += [f"{part.role}: {part.instrument}", f"{part.role} pattern: {part.pattern}"]
    measured = {
        "dynamics": section.dynamics,
        "density": section.density,
        "register": section.register,
        "motion": section.motion,
        "lengths": section.lengths,
    }
    tags += [f"{name}: {value}" for name, value in measured.items() if value is not None]
    return sorted(set(tags))
