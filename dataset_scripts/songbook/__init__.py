"""The songbook: full-length songs, orchestrated and rendered, with captions written from the notes that were played."""

from .arrangement import ArrangedSection, Arrangement, Part
from .arranger import arrange
from .build import SongbookSettings, build_songbook, make_row, song_rows
from .caption import write_caption
from .composition import Chord, Composition, Note, Section
from .pop909 import load_pop909
from .render import default_soundfont, encode, render
from .songwriter import write_song

__all__ = [
    "ArrangedSection",
    "Arrangement",
    "Chord",
    "Composition",
    "Note",
    "Part",
    "Section",
    "SongbookSettings",
    "arrange",
    "build_songbook",
    "default_soundfont",
    "encode",
    "load_pop909",
    "make_row",
    "render",
    "song_rows",
    "write_caption",
    "write_song",
]
