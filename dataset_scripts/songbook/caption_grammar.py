"""The grammar of captions: seeded choice among wordings, articles, plurals, lists and templates."""

import random
import re
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chooser:
    """Picks among equal wordings.

    What is picked depends on the seed and the key only, so one sentence more or less in a caption changes no other.
    """

    def __init__(self, seed: str):
        self.seed = seed

    def rng(self, key: str) -> random.Random:
        return random.Random(f"{self.seed}/{key}")

    def pick(self, key: str, options: Sequence[T]) -> T:
        return self.rng(key).choice(options)

    def name(self, key: str, names: Sequence[str]) -> str:
        """The first name twice as often as all the others together."""
        rng = self.rng(key)
        return names[0] if len(names) == 1 or rng.random() < 2 / 3 else rng.choice(names[1:])

    def shuffled(self, key: str, items: Sequence[T]) -> list[T]:
        return self.rng(key).sample(items, len(items))


def is_plural(name: str) -> bool:
    """Whether an instrument's name takes a plural verb: "the steel drums play", "the double bass plays"."""
    noun = name.split(" with ")[0].split()[-1]
    return (noun.endswith("s") and noun not in ("bass", "brass")) or noun == "timpani"


def with_article(phrase: str) -> str:
    article = "an" if phrase[:1].lower() in "aeiou" and not phrase.lower().startswith(("one-", "uni")) else "a"
    return f"{article} {phrase}"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def fill(template: str, *, plural: bool = False, **words: str) -> str:
    """`template` with its words put in; "{Word}" is `word` with a capital, "{takes|take}" follows `plural`."""
    template = re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", lambda forms: forms[2 if plural else 1], template)
    return template.format(**words, **{capital(name): capital(word) for name, word in words.items()})


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
