"""Rehearsals: everything is pushed to a Hub of one's own, with stand-ins where there is nothing to publish yet."""

import re
from urllib.parse import urlsplit

from .errors import ReleaseError

_PUBLIC = ("huggingface.co", "hf.co")
_NOTICE = re.compile(r"^> \*\*[^*\n]*\brehearsal\b", re.IGNORECASE | re.MULTILINE)


def refuse_the_public_hub(endpoint: str) -> None:
    """
    Raises:
        ReleaseError: the address is that of the public Hub.
    """
    host = urlsplit(endpoint).hostname or ""
    if any(host == public or host.endswith(f".{public}") for public in _PUBLIC):
        raise ReleaseError(
            f"--rehearsal pushes stand-ins, which have no place on {endpoint}: set HF_ENDPOINT to a Hub of your own"
        )


def is_marked(card: str) -> bool:
    """Whether a card says in a notice of its own that it is that of a stand-in: "Random weights; a rehearsal."."""
    return bool(_NOTICE.search(card))
