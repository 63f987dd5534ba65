"""Which licences let a recording be passed on."""

import re

# As Creative Commons, SPDX and the Hub write them. NC and ND are open to some uses only.
_OPEN = re.compile(
    r"(?:cc[ -]?0(?:[ -]?1\.0)?|cc[ -]by(?:[ -]sa)?(?:[ -][1-4]\.[05])?|public[ -]domain|pdm(?:[ -]1\.0)?|mit)"
)
_ADDRESS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses/by(?:-sa)?/[\d.]+|publicdomain/(?:zero|mark)/1\.0)(?:/.*)?"
)


def is_open(licence: str | None) -> bool:
    """Whether recordings under this licence may be published: CC0, CC BY, CC BY-SA, MIT, or in the public domain."""
    words = (licence or "").strip().lower()
    return bool(_OPEN.fullmatch(words) or _ADDRESS.fullmatch(words))
