"""Compare: two descriptions on one track, beside each other."""

from typing import Any

import gradio as gr

from .engine import Engine
from .html_answers import compared_page
from .json_answers import compared_json
from .limits import SpaceError
from .results import Comparison
from .wiring import LISTEN, SEARCH, chosen, either, endpoint, library_song, own_song, told, warn_of_cut


def compare_tab(engine: Engine) -> None:
    def ask(track: str | None, audio: str | None, first: str, second: str, progress: gr.Progress | None) -> Comparison:
        with told():
            return engine.compare(chosen(track, audio), first, second, progress=progress)

    def page(
        track: str | None,
        audio: str | None,
        first: str,
        second: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio's way to inject it
    ) -> str:
        answer = compared_page(ask(track, audio, first, second, progress))
        warn_of_cut(engine, first, second)
        return answer

    def compare(first: str, second: str, track: str | None = None, audio: str | None = None) -> dict[str, Any]:
        """Two descriptions on one track: their scores, and where each of them holds; a file goes before a track."""
        return compared_json(ask(track, audio, first, second, None))

    def own_description(track: str | None) -> str:
        with told():
            known = engine.track(str(chosen(track, None)))
            if not known.caption:
                raise SpaceError(f"The library has no description of “{known.title}”; write one.")
            return known.caption

    def swapped(text: str) -> str:
        with told():
            return engine.swapped(text)

    track = library_song(engine)
    with gr.Accordion("… or a track of your own", open=False):
        audio = own_song()
    either(track, audio)
    with gr.Row():
        with gr.Column(min_width=280):
            first = gr.Textbox(lines=6, max_lines=12, label="First description")
            own = gr.Button("Take the song's own description", size="sm")
        with gr.Column(min_width=280):
            second = gr.Textbox(lines=6, max_lines=12, label="Second description")
            swap = gr.Button("Swap the sections of the first", size="sm")
    button = gr.Button("Compare", variant="primary")
    answer = gr.HTML(elem_id="compared", min_height=80)
    own.click(own_description, track, first, api_visibility="private", **SEARCH)
    swap.click(swapped, first, second, api_visibility="private", **SEARCH)
    button.click(page, [track, audio, first, second], answer, api_visibility="private", **LISTEN)
    endpoint(compare, [first, second, track, audio], LISTEN)
