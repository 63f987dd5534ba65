"""Songs that no model was trained on, rendered once."""

from typing import Any

import pytest

from dataset_scripts.songbook.build import make_row
from dataset_scripts.songbook.songwriter import split_of, write_song


@pytest.fixture(scope="session")
def songs() -> list[dict[str, Any]]:
    """Four rows of the test split, each of more than 3 minutes."""
    seeds = [seed for seed in range(100) if split_of(seed) == "test"][:4]
    return [make_row(write_song(seed), 0) for seed in seeds]
