"""What the tabs answer, as HTML: players, buttons for the best spans, and the picture of where a text holds."""

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template

from evaluation_collap.pages import page_environment
from evaluation_collap.timeline import draw_timeline
from retrieval_collap.report import section_at

from .audio_urls import audio_url
from .results import Comparison, Description, Result

# Of a long description, as many characters as about two lines of a card hold.
_FIRST_WORDS = 160


def found_page(results: Sequence[Result]) -> str:
    """Ranked tracks, each with its own player."""
    return _answer("found", results)


def described_page(description: Description) -> str:
    """One player, the shares of the labels, and the descriptions that fit best."""
    return _answer("described", description)


def compared_page(comparison: Comparison) -> str:
    """One player, and both descriptions beside each other."""
    return _answer("compared", comparison)


@lru_cache
def _template() -> Template:
    environment = page_environment("space_collap")
    environment.filters["audio_url"] = audio_url
    environment.filters["first_words"] = lambda text: textwrap.shorten(text, _FIRST_WORDS, placeholder=" …")
    environment.globals.update(timeline=draw_timeline, section_at=section_at)
    return environment.get_template("answers.html.j2")


def _answer(macro: str, content: Any) -> str:
    return str(getattr(_template().module, macro)(content))
