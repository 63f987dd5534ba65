"""Where in a track a text matches, drawn in the terminal, as a picture, or as a page that plays it."""

import base64
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from dataset_scripts.whole_files import whole_file
from evaluation_collap.pages import page_environment
from evaluation_collap.timeline import Timeline, clock, draw_timeline
from processing_collap import load_audio

from .localisation import Location

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 100  # columns
# Colours of the page (templates/page.html.j2) in light mode.
_CURVE, _SPAN, _INK, _SOFT = "#2457c5", "#f2a900", "#1c2330", "#5b6577"
# A page carries its sound as mono MP3: at this rate, 5 minutes are 2.4 MB, or 3.2 MB as text.
_HERTZ, _BITS_PER_SECOND = 44_100, 64_000


@dataclass(frozen=True, slots=True)
class MatchPicture:
    """A track, a text, and where the one matches the other.

    Attributes:
        title: of the track. path: of its file.
        duration: in seconds.
        score: of track and text.
    """

    title: str
    path: Path
    text: str
    duration: float
    score: float
    location: Location

    @property
    def timeline(self) -> Timeline:
        """The temporal attention over the track's seconds."""
        return draw_timeline(self.location.attention, self.location.steps_per_second, self.duration)


def writer_for(path: Path) -> Callable[[MatchPicture, Path], None]:
    """What writes a picture as the kind of file that a path names.

    Raises:
        ValueError: it is of neither kind.
    """
    writers = {".png": write_plot, ".svg": write_plot, ".pdf": write_plot, ".html": write_page}
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path}: a match is drawn as one of {', '.join(writers)}")
    return writers[path.suffix.lower()]


def print_match(match: MatchPicture, console: Console) -> None:
    """The attention as a row of bars over a time axis, the spans marked in it and listed below, best first."""
    width, timeline, say = min(console.width, _WIDEST), match.timeline, partial(console.print, highlight=False)
    say(f"[bold]{escape(match.title)}[/bold]  {clock(match.duration)}  score {match.score:.4f}")
    say(f"[dim]{escape(match.text)}[/dim]\n")
    bars = Text(_bars(match, width))
    for span in reversed(match.location.spans):  # the best is painted last
        first, last = (round(timeline.percent(second) / 100 * width) for second in (span.start, span.end))
        bars.stylize("bold yellow" if span is match.location.best else "yellow", first, max(last, first + 1))
    say(bars, no_wrap=True)
    say(Text(_axis(timeline, width), style="dim"), no_wrap=True)
    for number, span in enumerate(match.location.spans, start=1):
        say(f"  {number}. {clock(span.start)}-{clock(span.end)}  similarity {span.score:.4f}")
    say(
        f"[dim]Attention from {timeline.lowest:.3g} to {timeline.highest:.3g} times an even one; "
        "the text matches best where it is yellow.[/dim]"
    )


def write_plot(match: MatchPicture, path: Path) -> None:
    """The attention and the similarity over the seconds of the track, the spans shaded."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    location = match.location
    seconds = torch.arange(len(location.attention)) / location.steps_per_second
    figure = Figure(figsize=(10, 4.5), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, values, name in ((upper, location.attention, "attention"), (lower, location.similarity, "similarity")):
        for span in location.spans:
            axes.axvspan(span.start, span.end, color=_SPAN, alpha=0.42 if span is location.best else 0.22, lw=0)
        axes.step(seconds, values, where="post", color=_CURVE, lw=1.5)
        axes.set_ylabel(name, color=_SOFT)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=_SOFT)
    lower.set_xlim(0, match.duration)
    lower.set_xticks([second for second, _ in match.timeline.marks])
    lower.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
    figure.suptitle(textwrap.shorten(f"{match.title}, score {match.score:.4f}", 100), color=_INK)
    upper.set_title(textwrap.shorten(match.text, 140), fontsize=9, color=_SOFT)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def write_page(match: MatchPicture, path: Path) -> None:
    """One file with picture, text and sound, which needs nothing beside itself.

    Raises:
        FileNotFoundError: the track's file is not there.
        ValueError: it does not decode.
    """
    template = page_environment("retrieval_collap").get_template("match.html.j2")
    page = template.render(match=match, picture=match.timeline, sound=_sound(match.path))
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _bars(match: MatchPicture, width: int) -> str:
    """The attention from its lowest to its highest value, as one character for each part of the track."""
    attention, steps_per_second = match.location.attention, match.location.steps_per_second
    columns = max(1, min(width, round(width * len(attention) / steps_per_second / match.duration)))
    heights = F.adaptive_avg_pool1d(attention[None], columns)[0]  # (columns,)
    heights = (heights - heights.min()) / (heights.max() - heights.min()).clamp(min=1e-9)
    return "".join(_BARS[round(height * (len(_BARS) - 1))] for height in heights.tolist())


def _axis(timeline: Timeline, width: int) -> str:
    """Times below the places where they are."""
    axis = ""
    for second, percent in timeline.marks:
        column = min(round(percent / 100 * width), width - len(clock(second)))
        if column >= len(axis):
            axis = axis.ljust(column) + clock(second) + " "
    return axis


def _sound(path: Path) -> str:
    """The sound of a file as a data URI that browsers play."""
    from torchcodec.encoders import AudioEncoder

    samples = load_audio(path, _HERTZ)[None]  # (1, samples)
    encoded = AudioEncoder(samples, sample_rate=_HERTZ).to_tensor("mp3", bit_rate=_BITS_PER_SECOND)
    return f"data:audio/mpeg;base64,{base64.b64encode(encoded.numpy().tobytes()).decode()}"
