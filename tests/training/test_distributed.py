"""Two real processes give the gradients of one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import gradients
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT = 900  # seconds; a hung launch must not hang the suite


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Results of `gradients.py` under `accelerate launch`."""
    folder = tmp_path_factory.mktemp("distributed")
    # `--multi_gpu` is what makes accelerate start several processes without MPI; the trainer keeps them on the CPU.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "training")]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*launch, "--main_process_port", "0", gradients.__file__, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(folder / "results.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("case", gradients.CASES)
def test_two_processes_equal_one(case: str, two_processes: dict, tmp_path: Path) -> None:
    """With no factor of the number of processes, accumulated or not, and with the leftover songs dropped."""
    expected, expected_loss, expected_steps = gradients.first_step(tmp_path, **gradients.CASES[case])
    got, loss, steps = two_processes[case]
    assert steps == expected_steps
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    # Parameters without a part in the loss have no gradient in one process and one of zeros in several.
    for name in {*got, *expected}:
        gradient = expected.get(name, torch.zeros(()))
        assert torch.allclose(got.get(name, torch.zeros(())), gradient, atol=1e-5, rtol=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sharded", "sharded, cached"])
def test_sharding_equals_one_process(case: str, two_processes: dict) -> None:
    expected, expected_loss = gradients.whole_gradients()
    got, loss = two_processes[case]
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    assert set(got) == set(expected)
    for name, gradient in expected.items():
        assert torch.allclose(got[name], gradient, atol=1e-5, rtol=1e-4), name
