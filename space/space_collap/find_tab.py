"""Find music: a description in, ranked tracks out."""

from typing import Any

import gradio as gr

from retrieval_collap.queries import QUERIES

from .engine import Engine
from .html_answers import found_page
from .json_answers import found_json
from .results import Result
from .wiring import SEARCH, endpoint, told, warn_of_cut

MOST_TRACKS = 10
EXAMPLES = {
    "A few words": "A slow, dreamy piece with soft synthesizers and bells.",
    "A quiet piece": QUERIES[0].text,
    "A loud rock song": QUERIES[1].text,
    "A jazz club tune": QUERIES[2].text,
    "Electronic music": QUERIES[3].text,
}


def find_tab(engine: Engine) -> None:
    def find(text: str, top: float) -> list[Result]:
        with told():
            return engine.find(text, int(top))

    def page(text: str, top: float, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008 - Gradio's way to inject it
        progress(0.1, desc=f"Searching {len(engine.tracks)} tracks")
        answer = found_page(find(text, top))
        warn_of_cut(engine, text)
        return answer

    def find_music(text: str, top: float = 5) -> dict[str, Any]:
        """Rank the library's tracks by a description, and say where in each of them it holds."""
        return found_json(find(text, top))

    text = gr.Textbox(
        lines=5,
        max_lines=16,
        autofocus=True,
        label="What should be heard?",
        info="A few words or a page: instruments, mood, tempo, and how the song goes on from section to section.",
        placeholder="A song in three-quarter time that sways like a waltz …",
    )
    examples = EXAMPLES | whole_song(engine)
    gr.Examples(
        [[example] for example in examples.values()],
        text,
        example_labels=list(examples),
        label="Examples",
        cache_examples=False,
    )
    with gr.Row(equal_height=True):
        top = gr.Slider(1, MOST_TRACKS, value=5, step=1, label="Tracks to show", scale=2)
        button = gr.Button("Find music", variant="primary", scale=1, min_width=160)
    answer = gr.HTML(elem_id="found", min_height=80)
    gr.on([button.click, text.submit], page, [text, top], answer, api_visibility="private", **SEARCH)
    endpoint(find_music, [text, top], SEARCH)


def whole_song(engine: Engine) -> dict[str, str]:
    """The library's longest description, section by section, as an example; none where it has no descriptions."""
    longest = max(engine.tracks, key=lambda track: len(track.caption))
    return {"A whole song, section by section": longest.caption} if longest.caption else {}
