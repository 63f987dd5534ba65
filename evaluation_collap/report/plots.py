"""Figures by matplotlib, as SVG that takes the page's colours and as PNG on white."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..results import DIRECTIONS
from ..timeline import clock
from .document import Heard

# Told apart by most colour-blind readers, on light and on dark ground; Okabe and Ito's, without the faint ones.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c8c00", "#56b4e9")
# Stands for the colour of the page's text, which replaces it in SVG.
_INK = "#1c2331"
_STYLE: Any = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def recall_curves(ranks: Mapping[str, Mapping[str, np.ndarray]], pools: Mapping[str, int]) -> Figure:
    """R@k over k, a panel each direction.

    Args:
        ranks: by model and direction, the rank of each query's best right item, see `Retrieval.best_ranks`.
        pools: number of items that are ranked, by direction.
    """
    with mpl.rc_context(_STYLE):
        figure, panels = _panels()
        for (way, words), axes in zip(DIRECTIONS.items(), panels, strict=True):
            ks = np.arange(1, pools[way] + 1)
            for colour, (model, of_model) in zip(_colours(len(ranks)), ranks.items(), strict=True):
                recall = 100 * np.searchsorted(np.sort(of_model[way]), ks, side="right") / len(of_model[way])
                axes.plot(ks, recall, color=colour, label=model)
            axes.plot(ks, 100 * ks / pools[way], color=_INK, linestyle=":", linewidth=1, label="by chance")
            axes.set(title=words, xscale="log", xlabel="k", ylim=(0, 102), xlim=(1, pools[way]))
            axes.xaxis.set_major_formatter("{x:g}")
        panels[0].set_ylabel("R@k, %")
        _legend(figure, panels[0])
    return figure


def truncation_curves(curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], tracks: int) -> Figure:
    """Recall over the number of caption words, a panel each direction.

    Args:
        curves: by model and metric ("text_to_audio_R@1"), pairs of mean words and recall in percent.
        tracks: number of items that are ranked.
    """
    styles = {"R@1": "--", "R@5": "-"}
    with mpl.rc_context(_STYLE):
        figure, panels = _panels()
        for (way, words), axes in zip(DIRECTIONS.items(), panels, strict=True):
            for colour, (model, of_model) in zip(_colours(len(curves)), curves.items(), strict=True):
                for metric, style in styles.items():
                    line = sorted(of_model[f"{way}_{metric}"])
                    axes.plot(*zip(*line, strict=True), style, marker="o", color=colour, label=f"{model}, {metric}")
            axes.axhline(100 * 5 / max(tracks, 5), color=_INK, linestyle=":", linewidth=1, label="R@5 by chance")
            axes.set(title=words, xlabel="words of each caption, mean", xlim=(0, None), ylim=(0, None))
        panels[0].set_ylabel("recall, %")
        _legend(figure, panels[0])
    return figure


def length_curves(seconds: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Scores over the length of a track, in percent of the score at the first length.

    Args:
        curves: mean scores by scorer, one for each of `seconds`.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3), layout="constrained")
        axes = figure.subplots()
        for colour, (name, scores) in zip(_colours(len(curves)), curves.items(), strict=True):
            axes.plot(seconds, [100 * score / scores[0] for score in scores], marker="o", color=colour, label=name)
        axes.set(xlabel="length of the track, s", ylabel="mean score, % of the first", ylim=(0, None), xticks=seconds)
        _legend(figure, axes)
    return figure


def timeline(heard: Heard) -> Figure:
    """Where a text fits in a track: sections as bands, the profile above them, spans that stand out in yellow."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 1.6), layout="constrained")
        axes = figure.subplots()
        for number, section in enumerate(heard.sections):
            axes.axvspan(section["start"], section["end"], color="#e3e8f0" if number % 2 else "#f1f3f8", linewidth=0)
            axes.text(section["start"], 1.04, f" {section['label']}", fontsize=6.5, rotation=18, clip_on=False)
        for span in heard.spans:
            axes.axvspan(span["start"], span["end"], color="#f2a900", alpha=0.35, linewidth=0)
        values = heard.profile.double().numpy()
        seconds = (np.arange(len(values)) + 0.5) / heard.steps_per_second
        height = (values - values.min()) / max(values.max() - values.min(), 1e-9)
        axes.fill_between(seconds, height, color=COLOURS[0], alpha=0.35, linewidth=0)
        axes.plot(seconds, height, color=COLOURS[0], linewidth=0.9)
        marks = heard.drawing.marks
        axes.set(xlim=(0, heard.duration), ylim=(0, 1.02), yticks=[], xticks=[second for second, _ in marks])
        axes.set_xticklabels([clock(second) for second, _ in marks])
    return figure


def svg(figure: Figure, name: str) -> str:
    """An `<svg>` element on no ground, whose text has the colour of the text around it.

    Args:
        name: keeps the ids in it apart from those of other figures on the page.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "collap"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    for before in ('id="', 'href="#', "url(#"):
        text = text.replace(before, f"{before}{name}-")
    return text


def png(figure: Figure) -> bytes:
    """On white."""
    with mpl.rc_context(_STYLE):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _panels() -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    return figure, figure.subplots(1, 2, sharey=True)


def _legend(figure: Figure, axes: mpl.axes.Axes) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, handlelength=3.5)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
