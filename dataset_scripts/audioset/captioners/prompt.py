"""The request that captioners make of a music language model. Its version stands beside every caption it gave."""

PROMPT_VERSION = 1
"""One higher with every change of the words below."""

_PROMPT = """\
You hear a complete recording of {length} ({seconds:.0f} seconds){pieces}.

First describe the whole piece in one paragraph of 50 to 80 words: mood and theme, tempo, melody, instruments and \
voices, harmony and chord progression.

Then divide the whole recording, from 0:00 to {length}, into its functional sections, in order and without gaps, such \
as intro, verse, chorus, bridge, instrumental and outro. Give each section a line with its start, its end and its \
function, and below it one to four points of 10 to 20 words on what is heard there and what has changed:

**m:ss - m:ss - Function:**
- point

Write only what you hear, with nothing before the paragraph and nothing after the last section."""


def caption_prompt(duration: float, pieces: int = 1) -> str:
    """What is asked about a recording.

    Args:
        duration: of the whole recording, in seconds; models have no other way to know their place in it.
        pieces: consecutive parts in which a model that hears only so much at a time is given the recording.
    """
    minutes, seconds = divmod(round(duration), 60)
    given = f", given as {pieces} consecutive pieces of equal length" if pieces > 1 else ""
    return _PROMPT.format(length=f"{minutes}:{seconds:02d}", seconds=duration, pieces=given)
