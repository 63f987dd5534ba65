"""The architecture: what becomes of a track and of a text until they meet in one score. Shades are schematic."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import AUDIO, INK, LINE, SCORE, SOFT, STRUCTURE, TEXT, arrow, box, cells, note, save

FRAMES, POSITIONS = 6, 5


def draw_architecture() -> None:
    figure = Figure(figsize=(10.8, 5.75), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(1, 113)
    axes.set_ylim(5, 64.6)
    axes.axis("off")
    rng = np.random.default_rng(3)
    _audio(axes, rng)
    _text(axes, rng)
    _alignment(axes, rng)
    _loss(axes, rng)
    save(figure, "architecture.svg")


def _audio(axes: Axes, rng: np.random.Generator) -> None:
    axes.text(2, 62.5, "audio", color=AUDIO, weight="bold", fontsize=10.5)
    _waveform(axes, rng, x=2, y=44.5, width=17, height=14, windows=4)
    note(axes, 10.5, 42, "a track, any length,\nin windows of 30 s", size=8)
    arrow(axes, (20, 54.2), (23, 56.2), AUDIO)
    arrow(axes, (20, 48.8), (23, 46.8), AUDIO)
    box(axes, 23, 53.5, 13, 5.5, "Whisper encoder", AUDIO)
    box(axes, 23, 44, 13, 5.5, "BEATs", AUDIO)
    for y, shade in ((56.25, 0.8), (46.75, 0.35)):
        arrow(axes, (36, y), (38.5, y), AUDIO)
        cells(axes, 38.5, y - 1.1, 12, 2.2, np.full((1, 10), shade), AUDIO, gap=0.25)
    note(axes, 44.5, 53.3, "1500 states a window")
    note(axes, 44.5, 43.8, "1496, then zeros")
    arrow(axes, (50.8, 56.25), (54.5, 53.2), AUDIO)
    arrow(axes, (50.8, 46.75), (54.5, 49.8), AUDIO)
    box(axes, 54.5, 47.5, 12.5, 8, "norm, then\nWhisper | BEATs\nstep by step", AUDIO, size=8)
    arrow(axes, (67, 51.5), (69.5, 51.5), AUDIO)
    box(axes, 69.5, 48.5, 9.5, 6, "adapter\n$h_A$", AUDIO)
    arrow(axes, (74.25, 48.5), (74.25, 45), AUDIO)
    cells(axes, 60, 41.4, 28.5, 3, rng.uniform(0.15, 0.95, (1, 24)), AUDIO, gap=0.2)
    note(
        axes,
        74.25,
        39.2,
        "the track: $u_0 \\ldots u_{T-1}$, each of size D, windows joined in time",
        color=SOFT,
        size=8,
    )


def _waveform(
    axes: Axes, rng: np.random.Generator, *, x: float, y: float, width: float, height: float, windows: int
) -> None:
    loudness = np.repeat([0.25, 0.6, 0.95, 0.45], 18) * rng.uniform(0.45, 1, 72)
    places = x + width * (np.arange(72) + 0.5) / 72
    axes.vlines(
        places, y + height / 2 - loudness * height / 2, y + height / 2 + loudness * height / 2, color=AUDIO, lw=1.3
    )
    for i in range(windows):
        axes.add_patch(
            Rectangle((x + i * width / windows, y), width / windows, height, fill=False, edgecolor=LINE, lw=1)
        )


def _text(axes: Axes, rng: np.random.Generator) -> None:
    axes.text(2, 32.5, "text", color=TEXT, weight="bold", fontsize=10.5)
    for i, share in enumerate((1, 0.92, 0.98, 0.55, 0.97, 0.9, 0.4)):
        colour = STRUCTURE if i in (4, 5, 6) else TEXT
        axes.plot(
            [2.5, 2.5 + 16 * share], [29.5 - 1.7 * i] * 2, color=colour, lw=2.6, alpha=0.55, solid_capstyle="butt"
        )
    note(axes, 10.5, 15.2, "a description,\n250 words and more", size=8)
    arrow(axes, (20, 24), (23, 24), TEXT)
    box(axes, 23, 20.5, 13, 7, "GPT-2 or\nRoBERTa", TEXT)
    arrow(axes, (36, 25.5), (40, 28.5), TEXT)
    arrow(axes, (36, 22.5), (40, 17.5), STRUCTURE)
    cells(axes, 40, 27.4, 10, 2.2, rng.uniform(0.2, 0.9, (1, 8)), TEXT, gap=0.25)
    note(axes, 45, 30.6, "one vector $t$ of size D", size=8)
    for i in range(3):
        cells(axes, 40, 17.6 - 2.7 * i, 10, 2.0, rng.uniform(0.2, 0.9, (1, 8)), STRUCTURE, gap=0.25)
    note(axes, 45, 20.5, "and one a passage: $q_p$", size=8)


def _alignment(axes: Axes, rng: np.random.Generator) -> None:
    # The frames: windows of H steps, every S steps, over the sequence above.
    arrow(axes, (66, 38.3), (66, 33.8), AUDIO)
    arrow(axes, (50.3, 28.5), (58.2, 28.5), TEXT)
    similarity = np.clip(
        rng.normal(0.4, 0.22, (FRAMES, POSITIONS)) + np.array([0, 0.1, 0.45, 0.35, 0, 0])[:, None], 0, 1
    )
    cells(axes, 59, 22.5, 14, 11, similarity, INK, gap=0.25)
    note(axes, 66, 20.9, "$M[v, h] = \\cos(u_{vS+h},\\, t)$", color=INK, size=8.5)
    note(axes, 57.9, 25.2, "W frames", rotation=90)
    axes.text(73.6, 34.2, "H positions", ha="right", va="bottom", color=SOFT, fontsize=7.5)
    kernel = _softmax(6 * similarity, axis=1)
    temporal = _softmax(6 * similarity, axis=0)
    arrow(axes, (73.3, 30.5), (78, 31.5), SCORE)
    arrow(axes, (73.3, 25.5), (78, 21.5), SCORE)
    cells(axes, 78.5, 27.3, 9.5, 7.4, kernel / kernel.max(), SCORE, gap=0.2)
    cells(axes, 78.5, 17.3, 9.5, 7.4, temporal / temporal.max(), SCORE, gap=0.2)
    note(axes, 83.25, 26.2, "$A_K$: each row sums to 1")
    note(axes, 83.25, 16.2, "$A_T$: each column does")
    arrow(axes, (88.3, 31), (92, 31), SCORE)
    arrow(axes, (88.3, 21), (92, 21), SCORE)
    box(axes, 92, 29, 6, 4, "$r_K$", SCORE, size=10)
    box(axes, 92, 19, 6, 4, "$r_T$", SCORE, size=10)
    # The structure term sees the sequence and the passages.
    box(
        axes,
        59,
        8.5,
        29,
        6,
        "each passage attends over the track,\nto what it says and to where it says so",
        STRUCTURE,
        size=8,
    )
    arrow(axes, (50.3, 15.5), (58.8, 12.2), STRUCTURE)
    arrow(axes, (88, 11.5), (92, 11.5), STRUCTURE)
    box(axes, 92, 9.5, 6, 4, "$r_S$", STRUCTURE, size=10)
    note(
        axes,
        73.5,
        6.6,
        "the structure term: this project, not the paper",
        color=STRUCTURE,
    )
    axes.plot([56, 56], [43, 14.2], color=AUDIO, lw=1.3)
    axes.plot([56, 60], [43, 43], color=AUDIO, lw=1.3)
    arrow(axes, (56, 14.2), (58.8, 13.6), AUDIO)
    for y in (31, 21, 11.5):
        arrow(axes, (98.2, y), (102, 21 + (y - 21) * 0.16), STRUCTURE if y < 15 else SCORE)
    box(axes, 102, 17.5, 7, 7, "$r$", SCORE, size=13)
    axes.text(105.5, 15.9, "$\\gamma_K r_K + \\gamma_T r_T$\n$+\\ \\gamma_S r_S$", ha="center", va="top", fontsize=8.5)


def _loss(axes: Axes, rng: np.random.Generator) -> None:
    scores = rng.uniform(0.02, 0.35, (5, 5))
    np.fill_diagonal(scores, 1.0)
    arrow(axes, (105.5, 24.5), (105.5, 29.2), SCORE)
    cells(axes, 99.5, 36, 12, 12, scores, SCORE, gap=0.3)
    note(axes, 105.5, 33.8, "texts of the batch")
    note(axes, 98.2, 42, "tracks", rotation=90)
    note(axes, 105.5, 31, "in training:")
    axes.text(
        105.5,
        50.2,
        "contrastive loss:\neach track finds its text,\nand each text its track",
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
