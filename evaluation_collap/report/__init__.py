"""The report: everything in a folder of results as one HTML page, as Markdown, and as metadata of a model card."""

from .build import build_report
from .collect import Chapter, collect
from .document import Document
from .examples import draw_examples
from .model_index import model_index
from .write import write_html, write_markdown

__all__ = [
    "Chapter",
    "Document",
    "build_report",
    "collect",
    "draw_examples",
    "model_index",
    "write_html",
    "write_markdown",
]
