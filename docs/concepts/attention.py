"""What the attentions of collap-mini make of one song: its own caption over the whole of it, and passage by passage."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from style import AUDIO, FOLDER, INK, LINE, SCORE, SOFT, STRUCTURE, save

from dataset_scripts.songbook import arrange, render, write_caption, write_song
from dataset_scripts.songbook.caption import Caption
from dataset_scripts.songbook.songwriter import split_of
from evaluation_collap.attention_profile import attention_over_time
from evaluation_collap.timeline import clock
from modeling_collap import CollapModel, CollapTextFeatures, attention_maps, passage_maps
from modeling_collap.text_features import passages_of
from processing_collap import CollapProcessor

MODEL = FOLDER.parents[1] / "checkpoints" / "collap-mini"


@dataclass(frozen=True)
class Example:
    """A song as the model hears it, and its caption as the model reads it."""

    model: CollapModel
    caption: Caption
    duration: float
    features: torch.Tensor  # (T, D)
    text: CollapTextFeatures


@torch.inference_mode()
def load_example() -> Example:
    model, processor = CollapModel.from_pretrained(MODEL).eval(), CollapProcessor.from_pretrained(MODEL)
    seed = next(seed for seed in range(100) if split_of(seed) == "test")
    song = arrange(write_song(seed), 0)
    caption = write_caption(song)
    inputs = processor(audio=[render(song)], sampling_rate=16_000, text=[caption.caption], return_tensors="pt")
    features, lengths = model.get_audio_features(**inputs)
    return Example(model, caption, song.composition.duration, features[0, : lengths[0]], model.encode_text(**inputs))


def draw_attention(example: Example) -> None:
    """M, A_K and A_T of equations 2-4, and the temporal attention over the sections of the song."""
    config = example.model.config
    options = {
        "kernel_size": config.kernel_size,
        "stride": config.stride,
        "attention_temperature": config.attention_temperature,
    }
    maps = attention_maps(example.features, example.text.text_embeds[0], **options)
    figure = Figure(figsize=(10, 5.6), dpi=100, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    panels = (
        (maps.similarity, "similarity $M$ (eq 2)", "Greys", "cosine"),
        (maps.kernel * maps.kernel.shape[1], "kernel attention $A_K$ (eq 3)", "Greens", "1 is even"),
        (maps.temporal * maps.temporal.shape[0], "temporal attention $A_T$ (eq 4)", "Blues", "1 is even"),
    )
    for axes, (values, title, colours, unit) in zip(upper.subplots(1, 3, sharey=True), panels, strict=True):
        extent = (0, config.seconds_per_kernel, example.duration, 0)
        image = axes.imshow(values.numpy(), aspect="auto", cmap=colours, extent=extent, interpolation="nearest")
        axes.set_title(title, fontsize=10, color=INK)
        axes.set_xlabel("position $h$ in its frame, in seconds")
        axes.set_yticks(np.arange(0, example.duration, 30))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
        bar = upper.colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.set_label(unit, color=SOFT)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("frame $v$, by its start")
    axes = lower.subplots()
    attention = attention_over_time(example.features, example.text.text_embeds[0], **options)
    seconds = np.arange(len(attention)) / config.steps_per_second
    axes.plot(seconds, attention, color=AUDIO, lw=1.3)
    axes.fill_between(seconds, attention.min(), attention, color=AUDIO, alpha=0.12, lw=0)
    axes.axhline(1, color=LINE, lw=1, zorder=0)
    axes.set_ylabel("attention, 1 is even")
    axes.set_title("the temporal attention of the caption over the song and its sections", fontsize=10, color=INK)
    _sections(axes, example)
    save(figure, "attention.png")


def draw_structure(example: Example) -> None:
    """What each passage of the caption attends to, with the places of the text and by its words alone."""
    panels = (
        (attention_of_passages(example), "by words and places"),
        (attention_of_passages(example, places=False), "by words alone"),
    )
    figure = Figure(figsize=(10, 3.7), dpi=110, layout="constrained")
    labels = ["the whole song", *(passage.label for passage in example.caption.passages)]
    for axes, (attention, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        extent = (0, example.duration, len(attention) - 0.5, -0.5)
        image = axes.imshow(attention, aspect="auto", cmap="Purples", extent=extent, interpolation="nearest")
        # The first passage speaks of the whole song, each other one of a section.
        for row, passage in enumerate(example.caption.passages, start=1):
            axes.plot([passage.start, passage.end], [row + 0.44] * 2, color=SCORE, lw=3, solid_capstyle="butt")
        axes.set_yticks(range(len(attention)), labels[: len(attention)])
        axes.set_title(title, fontsize=10, color=INK)
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        axes.spines[:].set_color(STRUCTURE)
        _clock(axes, example.duration)
    figure.suptitle("attention $a_{pt}$ of each passage (1 is even); green: the section it speaks of", fontsize=10)
    save(figure, "structure.png")


def draw_timeline(example: Example) -> None:
    """The passages of the caption over the sections of the song: the picture of the README."""
    figure = Figure(figsize=(10, 2.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, attention in enumerate(attention_of_passages(example)[1:]):  # the first speaks of the whole song
        colour = f"C{number % 10}"
        share = attention / attention.max()
        seconds = np.arange(len(share) + 1) * example.model.config.seconds_per_structure_step
        axes.stairs(share, seconds, fill=True, color=colour, alpha=0.35, lw=0)
        axes.stairs(share, seconds, color=colour, lw=1.2)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("where each passage\nof the text looks")
    _sections(axes, example)
    axes.spines["left"].set_visible(False)
    save(figure, "../timeline.png")


@torch.inference_mode()
def attention_of_passages(example: Example, *, places: bool = True) -> np.ndarray:
    """a_pt (P, S) of every passage, relative to an even one; `places` says whether the places in the text count."""
    text = example.text
    assert text.passage_places is not None
    present = text.passage_places[0] >= 0
    passages = {name: rows[0, present] for name, rows in passages_of(text).items()}
    sharpness = passages["passage_sharpness"]
    attention = passage_maps(
        example.features,
        passages["passage_embeds"],
        passages["passage_places"],
        sharpness if places else torch.zeros_like(sharpness),
        temperature=example.model.structure_temperature,
        pool=example.model.config.structure_pool,
    ).attention
    return (attention * attention.shape[1]).numpy()


def _sections(axes: Axes, example: Example) -> None:
    """The sections as bands with their names, above a time axis."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.18 * (high - low))
    for number, passage in enumerate(example.caption.passages):
        axes.axvspan(passage.start, passage.end, color=INK, alpha=0.05 if number % 2 else 0.0, lw=0)
        axes.axvline(passage.start, color=LINE, lw=0.8)
        middle = (passage.start + passage.end) / 2
        axes.text(middle, axes.get_ylim()[1], f"{passage.label}\n", ha="center", va="top", fontsize=8, color=SOFT)
    axes.spines[["top", "right"]].set_visible(False)
    _clock(axes, example.duration)


def _clock(axes: Axes, duration: float) -> None:
    axes.set_xlim(0, duration)
    axes.set_xticks(np.arange(0, duration, 30))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
