"""Sentences that a label is put into, so that a model which was trained on sentences can score it."""

# "{}" is the label alone. MusCALL's own prompt is "A {} track" (arXiv 2208.12208, section 5.2).
TAG_PROMPTS = ("{}", "A {} track.", "This music can be described as {}.")
GENRE_PROMPTS = ("{}", "A {} track.", "{} music.", "This song is in the style of {}.")
INSTRUMENT_PROMPTS = ("{}", "Music with {}.", "The sound of {}.", "{} can be heard in this track.")


def fill_prompt(prompt: str, label: str) -> str:
    """The label in its place; what is more than the label alone begins with a capital."""
    sentence = prompt.replace("{}", label)
    return sentence if prompt == "{}" else sentence[:1].upper() + sentence[1:]
