"""A document as one HTML page, and as Markdown with its plots beside it."""

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup, escape

from dataset_scripts.whole_files import whole_file

from ..pages import page_environment
from . import plots
from .document import Document, Examples, Listing, Plot, Table


def write_html(document: Document, path: Path) -> None:
    """One page that holds all that it shows, plots and recordings included."""
    page = _environment(autoescape=True).get_template("report.html.j2").render(document=document)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_markdown(document: Document, path: Path) -> None:
    """Markdown; its plots are PNG files in the folder of the same name without the ending."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)

    def picture(figure: Any, name: str) -> str:
        """Writes a figure; returns its address from the page."""
        file = folder / f"{name}.png"
        with whole_file(file) as temporary:
            temporary.write_bytes(plots.png(figure))
        return quote(f"{folder.name}/{file.name}")

    text = _environment(autoescape=False).get_template("report.md.j2").render(document=document, picture=picture)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _environment(*, autoescape: bool) -> Environment:
    environment = page_environment(autoescape=autoescape)
    environment.filters |= {
        "base64": lambda content: base64.b64encode(content).decode(),
        "code": _code,
        "first_words": _first_words,
        "slug": lambda words: re.sub(r"\W+", "-", words).strip("-").lower(),
        "svg": plots.svg,
        "timeline": plots.timeline,
    }
    environment.tests |= {
        "table": lambda block: isinstance(block, Table),
        "plot": lambda block: isinstance(block, Plot),
        "listing": lambda block: isinstance(block, Listing),
        "examples": lambda block: isinstance(block, Examples),
    }
    return environment


def _code(words: str) -> str:
    """Words between `backticks` as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words))))


def _first_words(text: str, count: int = 30) -> str:
    """The first words of a text on one line, without what Markdown would take for markup."""
    words = re.sub(r"[*_`#<>|\[\]]", "", text).split()
    return " ".join(words[:count]) + (" …" if len(words) > count else "")
