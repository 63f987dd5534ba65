"""Colours and small parts that the figures share."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

FOLDER = Path(__file__).parent

# Colours of the pages that `collap` writes. The background is opaque, so that a figure reads the same on a dark page.
PAPER, INK, SOFT, LINE = "#ffffff", "#1c2330", "#5b6577", "#c9d0dc"
AUDIO, TEXT, SCORE, STRUCTURE = "#2457c5", "#b3541e", "#1f7a4d", "#7a3fa0"
TINTS = {AUDIO: "#e8eefb", TEXT: "#fbeee4", SCORE: "#e5f3ec", STRUCTURE: "#f2eaf8", INK: "#f4f6f9"}

rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "svg.hashsalt": "collap",  # the same figure gives the same bytes
    }
)


def save(figure: Figure, name: str) -> None:
    """Writes a figure beside this file, without the date."""
    path = FOLDER / name
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, facecolor=PAPER, metadata=metadata)


def note(axes: Axes, x: float, y: float, text: str, *, size: float = 7.5, **style: Any) -> None:
    """Words centred at (x, y)."""
    axes.text(x, y, text, **{"ha": "center", "va": "center", "color": SOFT, "fontsize": size, **style})


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str, *, size: float = 9
) -> None:
    """A rounded box with its lower left corner at (x, y)."""
    look = {"facecolor": TINTS[colour], "edgecolor": colour, "lw": 1.2}
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.9", **look))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, linespacing=1.35)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = SOFT) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)


def cells(
    axes: Axes, x: float, y: float, width: float, height: float, values: np.ndarray, colour: str, *, gap: float = 0.0
) -> None:
    """A table of shaded cells for values (rows, columns) between 0 and 1, the first row on top."""
    rows, columns = values.shape
    w, h = width / columns, height / rows
    for (row, column), value in np.ndenumerate(values):
        corner = (x + column * w + gap / 2, y + height - (row + 1) * h + gap / 2)
        axes.add_patch(Rectangle(corner, w - gap, h - gap, facecolor=colour, alpha=0.08 + 0.85 * float(value), lw=0))
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, lw=1.0))
