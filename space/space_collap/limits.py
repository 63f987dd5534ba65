"""What the app accepts, and how it says no."""

from collections.abc import Sequence

MAX_CHARACTERS = 10_000
MAX_LABELS = 50
MAX_LABEL_CHARACTERS = 100
MAX_RESULTS = 50
MIN_SECONDS, MAX_SECONDS = 1.0, 600.0
MAX_FILE_BYTES = 100_000_000
# What a file may be once decoded, in bytes: 10 minutes in stereo at 96 kHz fit. It bounds what one upload holds.
MAX_DECODED_BYTES = 500_000_000
# A track that is nowhere louder than this, of 1, is silent: -60 dB.
SILENCE = 1e-3


class SpaceError(Exception):
    """Something that the user can put right; the message is a sentence that says what."""


def checked_text(text: str, name: str = "the description") -> str:
    """The text without the space around it.

    Args:
        name: what the message calls it, such as "the first description".

    Raises:
        SpaceError: there is nothing but space, or too much.
    """
    # Half characters, which no tokenizer reads, become "?".
    if not (stripped := text.encode("utf-8", "replace").decode("utf-8").strip()):
        raise SpaceError(f"{_capital(name)} is empty: write what should be heard.")
    if len(stripped) > MAX_CHARACTERS:
        raise SpaceError(
            f"{_capital(name)} has {len(stripped):,} characters; at most {MAX_CHARACTERS:,} can be read. "
            "Please shorten it."
        )
    return stripped


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels without the space around them, each once; those of nothing but space are left out.

    Raises:
        SpaceError: there are too many, or one is too long.
    """
    kept = tuple(dict.fromkeys(stripped for label in labels if (stripped := label.strip())))
    if len(kept) > MAX_LABELS:
        raise SpaceError(f"There are {len(kept)} labels; at most {MAX_LABELS} can be compared at once.")
    for label in kept:
        if len(label) > MAX_LABEL_CHARACTERS:
            raise SpaceError(
                f"The label “{label[:30]}…” has {len(label)} characters; at most {MAX_LABEL_CHARACTERS} can be read. "
                "Longer texts are descriptions, not labels."
            )
    return kept


def checked_top(top: int) -> int:
    """How many results are shown.

    Raises:
        SpaceError: the number is out of range.
    """
    if not 1 <= top <= MAX_RESULTS:
        raise SpaceError(f"Between 1 and {MAX_RESULTS} results can be shown, not {top}.")
    return int(top)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
