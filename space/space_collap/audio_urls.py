"""Where the app serves a track's file, by ranges, so that a player reads only what it plays."""

from pathlib import Path
from urllib.parse import quote

from gradio.route_utils import API_PREFIX


def audio_url(path: Path | str) -> str:
    """Address of a file relative to the app's own, which differs between a checkout, a Space and a proxy."""
    return f"{API_PREFIX.lstrip('/')}/file={quote(Path(path).absolute().as_posix())}"
