"""What every test may lean on: the shared reference data beside a checkout; one thread a process beside others."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hub.fixtures import hub  # noqa: F401  # a fixture for all

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Folder of reference numbers; tests that need it are skipped where it is absent."""
    if not (SHARED / "oracles").is_dir():
        pytest.skip("the reference numbers (../shared/oracles) are not beside this checkout")
    return SHARED / "oracles"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real compositions and recordings; tests that need it are skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the real compositions and recordings (../shared/data) are not beside this checkout")
    return SHARED / "data"
