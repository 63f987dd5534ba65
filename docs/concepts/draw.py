"""Draws the figures of docs/concepts.md and the timeline of the README anew.

    python docs/concepts/draw.py

The song is the first of the songwriter's held-out split, with its own caption: nothing is chosen by how it looks.
"""

from architecture import draw_architecture
from attention import draw_attention, draw_structure, draw_timeline, load_example

draw_architecture()
example = load_example()
draw_attention(example)
draw_structure(example)
draw_timeline(example)
