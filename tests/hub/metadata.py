"""The YAML at the top of a README, which the Hub reads and, where it is wrong, refuses."""

import re
from typing import Any

import yaml

from .repositories import Kind

# https://huggingface.co/docs/hub/spaces-config-reference
SPACE_SDKS = ("gradio", "docker", "static")
SPACE_COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SPACE_DESCRIPTION_LIMIT = 60


def metadata(card: str) -> dict[str, Any]:
    """Fields of a card; none if it has no YAML.

    Raises:
        yaml.YAMLError, TypeError: if what stands there is not a mapping in YAML.
    """
    match = re.match(r"---\r?\n(.*?\n)---\s*(\n|$)", card, re.DOTALL)
    fields = yaml.safe_load(match[1]) if match else None
    if not isinstance(fields, dict | None):
        raise TypeError("the metadata is not a mapping")
    return fields or {}


def metadata_errors(card: str, kind: Kind) -> list[str]:
    """One sentence for everything that the Hub would refuse. It checks more fields than these."""
    try:
        fields = metadata(card)
    except (yaml.YAMLError, TypeError) as error:
        return [f"Invalid YAML: {error}"]
    errors = []
    for name in ("tags", "datasets", "configs", "model-index"):
        if not isinstance(fields.get(name, []), list):
            errors.append(f'"{name}" must be an array')
    for name in ("license", "library_name", "pipeline_tag", "title"):
        if not isinstance(fields.get(name, ""), str):
            errors.append(f'"{name}" must be a string')
    if kind == "space" and fields:
        if fields.get("sdk") not in SPACE_SDKS:
            errors.append(f'"sdk" must be one of {", ".join(SPACE_SDKS)}')
        for name in ("colorFrom", "colorTo"):
            if fields.get(name, "gray") not in SPACE_COLOURS:
                errors.append(f'"{name}" must be one of {", ".join(SPACE_COLOURS)}')
        if len(fields.get("short_description", "")) > SPACE_DESCRIPTION_LIMIT:
            errors.append(f'"short_description" must have at most {SPACE_DESCRIPTION_LIMIT} characters')
    return errors
