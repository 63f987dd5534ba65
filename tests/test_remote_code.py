"""Model and processor in Hub layout, used by a stranger: another process that has no copy of this repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from hub.strangers import NO_CHECKOUT
from safetensors.torch import save_file

STRANGER = """
import json
import numpy as np, torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor

folder, inputs = sys.argv[1:]
expected = load_file(inputs)
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
batch = processor(
    audio=[expected["first"].numpy(), expected["second"].numpy()],
    text=["a slow piano ballad, then drums", "drums and guitar enter"],
    sampling_rate=16000,
    return_tensors="pt",
)
with torch.no_grad():
    output = model(**batch, return_loss=True)
print(json.dumps({
    "classes": [type(x).__name__ for x in (config, model, processor, extractor, processor.tokenizer)],
    "module": type(model).__module__,
    "difference": float((output.logits_per_audio - expected["logits"]).abs().max()),
    "loss": float(output.loss),
    "training": model.training,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("gamma_structure", [0.0, 1.0])
@pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
def test_a_stranger_gets_the_same_scores(backbone: str, gamma_structure: float, tmp_path: Path) -> None:
    model, processor = tiny.model(backbone, gamma_structure=gamma_structure), tiny.processor(backbone)
    release, elsewhere = tmp_path / "release", tmp_path / "elsewhere"
    elsewhere.mkdir()
    model.save_pretrained(release)
    processor.save_pretrained(release)
    tracks = [tiny.tone(2.3), tiny.tone(0.8, 200.0)]
    inputs = processor(
        audio=tracks, text=["a slow piano ballad, then drums", "drums and guitar enter"], sampling_rate=tiny.RATE
    )
    with torch.no_grad():
        logits = model(**inputs).logits_per_audio
    assert logits.std() > 0.01
    first, second = map(torch.from_numpy, tracks)
    save_file({"first": first, "second": second, "logits": logits}, elsewhere / "expected.safetensors")

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.update(HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    (elsewhere / "stranger.py").write_text(NO_CHECKOUT + STRANGER)
    process = subprocess.run(
        [sys.executable, "stranger.py", str(release), "expected.safetensors"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout.splitlines()[-1])
    tokenizer = type(processor.tokenizer).__name__
    assert report["classes"] == ["CollapConfig", "CollapModel", "CollapProcessor", "CollapFeatureExtractor", tokenizer]
    assert report["module"].startswith("transformers_modules.")
    # Logits are about 10 in float32, and on another number of threads sums are taken in another order.
    assert report["difference"] < 1e-5
    assert not report["training"]


def test_release_layout(tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map == {
        "AutoConfig": "configuration_collap.CollapConfig",
        "AutoModel": "modeling_collap.CollapModel",
    }
    processor_config = json.loads((tmp_path / "processor_config.json").read_text())
    assert processor_config["auto_map"] == {"AutoProcessor": "processing_collap.CollapProcessor"}
    assert (
        processor_config["feature_extractor"]["auto_map"]["AutoFeatureExtractor"]
        == "feature_extraction_collap.CollapFeatureExtractor"
    )
    weights = {
        path.name for path in tmp_path.iterdir() if path.suffix in {".safetensors", ".bin", ".pt", ".pth", ".pkl"}
    }
    assert weights == {"model.safetensors"}


def test_every_module_of_the_packages_travels(tmp_path: Path) -> None:
    """What is missing in the folder would be an import error for the stranger."""
    tiny.model().save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    root = Path(__file__).resolve().parents[1]
    for package in ("modeling_collap", "processing_collap"):
        modules = {path.name for path in (root / package).glob("*.py")} - {"__init__.py"}
        assert modules <= {path.name for path in tmp_path.glob("*.py")}
