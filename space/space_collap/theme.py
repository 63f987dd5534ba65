"""How the app looks: system fonts, so that nothing is fetched for it, and colours of the project's pages."""

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"


def theme() -> gr.themes.Base:
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        secondary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # Gradio's own grey on white has a contrast of 2.6; small text asks for 4.5.
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )


def head() -> str:
    """What the page needs in its head: the script of the players."""
    return f"<script>{(STATIC / 'space.js').read_text(encoding='utf-8')}</script>"
