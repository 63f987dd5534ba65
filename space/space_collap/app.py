"""The app: three tabs over one engine, and how it is served."""

from typing import Any

import gradio as gr

from .compare_tab import compare_tab
from .describe_tab import describe_tab
from .engine import Engine
from .find_tab import find_tab
from .limits import MAX_FILE_BYTES
from .theme import STATIC, head, theme

# Uploads are looked at every so often, and deleted when they are so old, in seconds.
_SWEEP, _KEPT = 600, 7200
# Questions that may wait at once; who comes later is told that the queue is full.
_LONGEST_QUEUE = 64


def build_app(engine: Engine) -> gr.Blocks:
    """The app, which asks nothing of the network and runs nothing before it is asked to."""
    title = "CoLLAP: whole songs and long descriptions"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(_SWEEP, _KEPT)) as app:
        gr.Markdown(
            "# CoLLAP\nWhole songs, long descriptions, and *where* in a song a description holds. "
            f"{len(engine.tracks)} songs can be searched here."
        )
        with gr.Tabs(overflow_behavior="wrap"):  # by default Gradio moves what a phone has no room for into a menu
            with gr.Tab("Find music"):
                find_tab(engine)
            with gr.Tab("Describe a track"):
                describe_tab(engine)
            with gr.Tab("Compare"):
                compare_tab(engine)
    return app.queue(api_open=False, max_size=_LONGEST_QUEUE)


def launch_options(engine: Engine) -> dict[str, Any]:
    """How `Blocks.launch` serves the app: of the disk only the library's audio, and no upload that is too large."""
    return {
        "theme": theme(),
        "css_paths": [STATIC / "space.css"],
        "head": head(),
        "allowed_paths": sorted({str(track.path.absolute().parent) for track in engine.tracks}),
        "max_file_size": MAX_FILE_BYTES,
        "share": False,
        "ssr_mode": False,
        "pwa": False,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["api", "settings"],
    }
