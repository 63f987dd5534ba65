"""A description with its sections in another order: the same words, another course of the song."""

from itertools import pairwise

from dataset_scripts.descriptions import ParsedDescription, parse_description
from dataset_scripts.permutation import CaptionLayout, permute_structure, reversed_order
from processing_collap.passages import split_passages

from .limits import SpaceError

# Descriptions do not say how long their song is. In a song of 100 s, percent are seconds; longer ones are tried where
# times lie beyond that.
_DURATIONS = (100.0, 1200.0, 36_000.0)
_NO_ORDER = (
    "There is no order to swap: the description speaks of one section only. Write each section as a line "
    "(“0:00-0:20: Intro. …”) or as a sentence."
)


def swap_sections(text: str) -> str:
    """A description that tells of the last section first.

    Where sections have times, these are laid out anew, as long as each section was, and what is said of the whole song
    stays in front. Otherwise lines change places, or the sentences of a single line.

    Raises:
        SpaceError: there are fewer than two sections, or all say the same.
    """
    for duration in _DURATIONS:
        parsed = parse_description(text, duration)
        if "past-the-end" not in parsed.flags:
            break
    swapped = _swap_timed(parsed, duration) if len(parsed.sections) > 1 else _swap_pieces(text)
    if swapped.split() == text.split():
        raise SpaceError(_NO_ORDER)
    return swapped


def _swap_timed(parsed: ParsedDescription, duration: float) -> str:
    row = {"id": "the description", "duration": duration, **parsed.columns()}
    order = reversed_order(row)
    if order is None:
        raise SpaceError(_NO_ORDER)
    try:
        swapped = CaptionLayout.of(row).write({**row, "structure": permute_structure(row, order)})
    except ValueError as error:
        raise SpaceError("The sections of the description do not follow one another in time.") from error
    return "\n".join([swapped, *parsed.leftovers])


def _swap_pieces(text: str) -> str:
    """Lines or sentences, the last first."""
    passages = split_passages(text)
    starts = [passage.start for passage in passages]
    if "\n" not in text:
        # A passage may begin within a sentence, at "then", where no sentence can be taken apart.
        starts = [start for start in starts if text[:start].rstrip()[-1:] in ("", *".!?;")]
    pieces = [text[start:end].strip() for start, end in pairwise([*starts, len(text)])]
    return ("\n" if "\n" in text else " ").join(reversed(pieces))
