"""The wording of a description: text without the marks of Markdown, and the labels of sections."""

import re
from collections.abc import Sequence

_MAX_LABEL_WORDS = 8
_FUNCTION = re.compile(
    r"\b(?:intro(?:duction)?|outro|(?:pre-?|post-?)?chorus|verse|bridge|refrain|hook|interlude|solo|break(?:down)?|drop|"
    r"build(?:-?up)?|coda|ending|opening|closing|theme|instrumental|transition|prelude|finale|climax|development|"
    r"exposition|recapitulation|vamp|tag|middle|fade(?:-?out)?|section|segment|part)s?\b",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(r"(?:the|an?|this|it|its|in|as|with)\b", re.IGNORECASE)


def one_line(lines: Sequence[str]) -> str:
    """Lines without their bullets, emphasis and breaks."""
    return " ".join(" ".join(plain(line) for line in lines).split())


def plain(line: str) -> str:
    """A line without the marks of Markdown; numbers of lists stay."""
    line = re.sub(r"^\s*(?:[>#•·+]+\s*|[-*–—](?=\s)\s*)+", "", line)
    line = re.sub(r"^(?:[-–—_=*|:\s]{3,}|`{3,}\w*)$", "", line)
    line = re.sub(r"(?<!\w)\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?!\w)|\*{2,3}|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)", "", line)
    return re.sub(r"(?<!\w)`+|`+(?!\w)", "", line).strip()


def split_label(text: str, has_body: bool) -> tuple[str, str]:
    """The label at the start of a text, and what is said after it; one of them may be "".

    A label is in bold or brackets, or a few words before a colon, or before a full stop or dash, if it names a function
    such as a verse. A text that is no more than a few words is a label if it names a function, or a body follows.
    """
    text = text.strip()
    for pattern in (r"\*\*(?P<label>[^*]+)\*\*(?P<rest>.*)", r"[\[(](?P<label>[^\])]+)[\])](?P<rest>.*)"):
        match = re.match(pattern, text)
        if match and is_short(match["label"]):
            return trimmed(match["label"]), _after(match["rest"])
    match = re.match(r"(?P<label>[^:.!?|]+?)\s*(?P<end>[:.|]|\s[–—-](?=\s))(?P<rest>\s.*|$)", text)
    if match and is_short(match["label"]):
        label, rest = match["label"], _after(match["rest"])
        titled = match["end"] in (":", "|") and not label[:1].islower() and not _is_sentence(label)
        if titled or names_function(label) or (has_body and not rest and match["end"] != "."):
            return trimmed(label), rest
    if is_short(text) and not re.search(r"[.!?]", text) and (has_body or names_function(text)):
        return trimmed(text), ""
    return "", _after(text)


def is_short(text: str) -> bool:
    """Whether a text has few enough words for a label, and one at least."""
    return 0 < len(text.split()) <= _MAX_LABEL_WORDS


def names_function(text: str) -> bool:
    """Whether a text is called after what a section is for, such as a verse, and does not open a sentence."""
    return bool(_FUNCTION.search(text)) and not _SENTENCE_START.match(text)


def _is_sentence(text: str) -> bool:
    """Whether a few words before a colon look like the start of a sentence: "The piano plays a new theme: ..."."""
    return bool(_SENTENCE_START.match(text)) and len(text.split()) > 3


def trimmed(label: str) -> str:
    """A label without marks and without the punctuation around it."""
    return " ".join(plain(label).strip(" \t*_`:|,;–—-").split())


def _after(text: str) -> str:
    return text.lstrip(" \t*_`:|–—-,;)]").strip()
