"""What the tabs share: how errors are told, how a question becomes an endpoint of the API, how a track is chosen."""

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from .engine import Engine
from .limits import MAX_SECONDS, SpaceError

# Listening keeps the cores of a small machine busy, so tracks wait for each other; searches do not wait for them.
SEARCH: dict[str, Any] = {"concurrency_id": "search", "concurrency_limit": 2}
LISTEN: dict[str, Any] = {"concurrency_id": "listen", "concurrency_limit": 1}
_SECONDS_SHOWN = 20


@contextmanager
def told() -> Iterator[None]:
    """Tell a person, or the caller of the API, what was wrong with a question; the app goes on.

    Raises:
        gr.Error: with the sentence of a `SpaceError`.
    """
    try:
        yield
    except SpaceError as error:
        sentence = html.escape(str(error), quote=False)  # it may name a file, and is shown as HTML
        raise gr.Error(sentence, duration=_SECONDS_SHOWN, print_exception=False) from error


def warn_of_cut(engine: Engine, *texts: str) -> None:
    """Tell a person that the model does not read all of a text."""
    if any(map(engine.is_cut, texts)):
        gr.Warning("The model reads only the beginning of a description as long as this.", duration=_SECONDS_SHOWN)


def endpoint(function: Callable[..., Any], inputs: Sequence[gr.components.Component], limits: dict[str, Any]) -> None:
    """A function of the API that bears the function's name, its docstring and the names of its parameters.

    The components only say what may be passed: those of the tab check files and choices just as they do there.
    """
    gr.Button(visible=False).click(
        function, list(inputs), gr.JSON(visible=False), api_name=function.__name__, show_progress="hidden", **limits
    )


def library_song(engine: Engine) -> gr.Dropdown:
    """A choice among the library's songs; the first is chosen, so that a tab answers at one press."""
    songs = [(track.title, track.id) for track in engine.tracks]
    return gr.Dropdown(songs, value=songs[0][1] if songs else None, label="A song of the library")


def own_song() -> gr.Audio:
    """A file or a recording, which reaches the app as it is: nothing is converted on the way."""
    return gr.Audio(
        sources=["upload", "microphone"],
        type="filepath",
        label=f"… or your own, up to {MAX_SECONDS / 60:.0f} minutes",
        editable=False,
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
    )


def either(track: gr.Dropdown, audio: gr.Audio) -> None:
    """To choose one of the two takes the other back."""
    track.input(None, None, audio, js="() => null", api_visibility="private")
    gr.on([audio.upload, audio.stop_recording], None, None, track, js="() => null", api_visibility="private")


def chosen(track: str | None, audio: str | None) -> str | Path:
    """What was chosen: an id of the library, or the file of an upload, which goes first.

    Raises:
        SpaceError: neither.
    """
    if audio:
        return Path(audio)
    if track:
        return track
    raise SpaceError("No track is chosen: pick a song of the library, or upload or record your own.")
