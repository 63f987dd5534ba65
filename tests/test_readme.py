"""The README's code runs as written."""

import re
from pathlib import Path

import pytest
import tiny
import torch
from torchcodec.encoders import AudioEncoder

ROOT = Path(__file__).parents[1]
MINI = ROOT / "checkpoints" / "collap-mini"


def test_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    use_it = text[text.index("## Use it") : text.index("## How it works")]
    blocks = re.findall(r"```python\n(.*?)```", use_it, flags=re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    audio = tmp_path / "demo_output" / "audio"
    audio.mkdir(parents=True)
    for name, seconds in (("first", 35.0), ("second", 12.0)):
        samples = torch.from_numpy(tiny.tone(seconds))[None]
        AudioEncoder(samples, sample_rate=tiny.RATE).to_file(audio / f"{name}.flac")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    found: dict = {}
    for block in blocks:
        exec(block, found)
    assert found["scores"].shape == (2, 1)
    assert torch.isfinite(found["scores"]).all()
    assert (
        found["maps"].temporal.shape[0]
        == (int(found["lengths"][0]) - found["model"].config.kernel_size) // found["model"].config.stride + 1
    )


def test_named_files_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`([a-z_]+/[\w./-]*)`", text):
        assert (ROOT / path).exists() or path.startswith(("data/", "demo_output/")), path
