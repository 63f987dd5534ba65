"""The Hub as a pytest fixture."""

from collections.abc import Iterator

import pytest

from .loopback import LoopbackHub


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """An empty Hub on loopback, in whose organisation `org` the token may write."""
    with LoopbackHub() as serving:
        yield serving
