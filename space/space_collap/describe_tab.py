"""Describe a track: a song in, the descriptions and labels that fit it out."""

import re
from typing import Any

import gradio as gr

from .engine import Engine
from .html_answers import described_page
from .json_answers import described_json
from .results import Description
from .wiring import LISTEN, chosen, either, endpoint, library_song, own_song, told

LABELS = "a lullaby, a waltz, a march, a rock song, a jazz tune, dance music"


def describe_tab(engine: Engine) -> None:
    def describe(track: str | None, audio: str | None, labels: str, progress: gr.Progress | None) -> Description:
        with told():
            return engine.describe(chosen(track, audio), labels=split_labels(labels), progress=progress)

    def page(track: str | None, audio: str | None, labels: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return described_page(describe(track, audio, labels, progress))

    def describe_track(track: str | None = None, audio: str | None = None, labels: str = "") -> dict[str, Any]:
        """The library's descriptions that fit a track best, and the share of each label; a file goes before a track."""
        return described_json(describe(track, audio, labels, None))

    with gr.Row():
        with gr.Column(min_width=280):
            track = library_song(engine)
            labels = gr.Textbox(
                LABELS,
                lines=3,
                label="Your own labels",
                info="Separated by commas or lines; their shares say which of them fits best.",
            )
            button = gr.Button("Describe", variant="primary")
        with gr.Column(min_width=280):
            audio = own_song()
    either(track, audio)
    answer = gr.HTML(elem_id="described", min_height=80)
    button.click(page, [track, audio, labels], answer, api_visibility="private", **LISTEN)
    endpoint(describe_track, [track, audio, labels], LISTEN)


def split_labels(text: str) -> list[str]:
    """Labels separated by commas or lines."""
    return [stripped for label in re.split(r"[,\n]", text) if (stripped := label.strip())]
