"""Rows of a benchmark in the dataset schema."""

from collections.abc import Sequence
from typing import Any

from .recordings import Recording

Row = dict[str, Any]


def benchmark_row(
    recording: Recording,
    *,
    id: str,
    song_id: str,
    caption: str,
    source: str,
    caption_source: str,
    licence: str,
    provenance: str,
    global_caption: str | None = None,
    structure: Sequence[Row] = (),
    youtube_id: str | None = None,
    audioset_labels: Sequence[str] | None = None,
) -> Row:
    """A recording under one of its captions; the rows of a recording share `song_id`. The audio is named where it lies.

    Args:
        caption_source: who or what wrote the caption.
        licence: of text and audio.
        provenance: the official file that the caption is from, and its place in there.
        global_caption: by default the caption, so that crops, too, go with the whole of it.
    """
    return {
        "id": id,
        "song_id": song_id,
        "youtube_id": youtube_id,
        "audio": {"bytes": None, "path": str(recording.path.resolve())},
        "duration": recording.duration,
        "caption": caption,
        "global_caption": caption if global_caption is None else global_caption,
        "structure": list(structure),
        "audioset_labels": None if audioset_labels is None else list(audioset_labels),
        "source": source,
        "caption_source": caption_source,
        "caption_model": None,
        "licence": licence,
        "provenance": provenance,
        "split": "test",
    }
