"""What is released, under which names, and how texts that say `org/...` come to name the owner."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]

RepoType = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Repository:
    """One of the repositories; its full name is `OWNER/name`."""

    name: str
    type: RepoType

    def id(self, owner: str) -> str:
        return f"{owner}/{self.name}"

    def address(self, owner: str, endpoint: str) -> str:
        """Where a browser finds it."""
        folder = "" if self.type == "model" else f"{self.type}s/"
        return f"{endpoint}/{folder}{self.id(owner)}"


MINI = Repository("collap-mini", "model")
GPT2 = Repository("collap-gpt2", "model")
ROBERTA = Repository("collap-roberta", "model")
AUDIOSET = Repository("collap-audioset", "dataset")
SPACE = Repository("collap", "space")

# In the order in which they are pushed: what the Space and the cards name is there before them.
REPOSITORIES = {each.name: each for each in (MINI, GPT2, ROBERTA, AUDIOSET, SPACE)}

_PLACEHOLDER = re.compile(r"(?<![\w.-])org/(?=collap(?!\w))")


def with_owner(text: str, owner: str) -> str:
    """The text with every `org/collap...`, as this repository writes its future names, under its owner."""
    return _PLACEHOLDER.sub(f"{owner}/", text)
