"""The lines by which a stranger meets this project, against a Hub on loopback and with an empty cache."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from hub.loopback import LoopbackHub
from hub.maintainer import release
from hub.strangers import TIME_LIMIT, ask_stranger, stranger_environment
from safetensors.torch import load_file, save_file

from modeling_collap import CollapModel

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"org/collap-gpt2": "gpt2", "org/collap-roberta": "roberta"}
DATASET = "org/collap-audioset"
TEXTS = ["a slow piano ballad, then drums", "drums and guitar enter"]

MODEL_LINES = """
import json
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoProcessor

tracks = load_file(sys.argv[1])
texts, names = json.loads(sys.argv[2]), sys.argv[3:]
report = {}
for name in names:
    config = AutoConfig.from_pretrained(name, trust_remote_code=True)
    model = AutoModel.from_pretrained(name, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
    inputs = processor(audio=[tracks["0"].numpy(), tracks["1"].numpy()], text=texts, sampling_rate=16000)
    report[name] = {
        "modules": [type(each).__module__ for each in (config, model, processor, processor.feature_extractor)],
        "classes": [type(each).__name__ for each in (config, model, processor, processor.feature_extractor)],
        "training": model.training,
        "logits": model(**inputs).logits_per_audio.tolist(),
    }
print(json.dumps(report))
"""

DATASET_LINES = """
import json
from datasets import Audio, load_dataset

name = sys.argv[1]
whole = load_dataset(name).cast_column("audio", Audio())
streamed = load_dataset(name, split="train", streaming=True).cast_column("audio", Audio())
first = next(iter(streamed))
print(json.dumps({
    "ids": {split: list(rows["id"]) for split, rows in whole.items()},
    "streamed": [row["id"] for row in streamed.remove_columns("audio")],
    "captions": [whole["train"][0]["caption"], first["caption"]],
    "seconds": [row["audio"].get_all_samples().duration_seconds for row in (whole["train"][0], first)],
    "sections": first["structure"],
}))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What training and the dataset pipeline leave: a tiny model for each text backbone, and a few songs."""
    root = tmp_path_factory.mktemp("trained")
    for name, backbone in MODELS.items():
        tiny.model(backbone).save_pretrained(root / name)
        tiny.processor(backbone).save_pretrained(root / name)
    tiny.write_dataset(root / DATASET)
    return {name: root / name for name in (*MODELS, DATASET)}


@pytest.fixture(scope="module")
def released(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    """A Hub to which `collap release` pushed them as stand-ins."""
    work = tmp_path_factory.mktemp("release")
    names = [name.split("/")[1] for name in folders]
    weights = [f"--weights={name.split('/')[1]}={folders[name]}" for name in MODELS]
    with LoopbackHub() as hub:
        release(hub, work, *names, *weights, f"--dataset={folders[DATASET]}", f"--output={work / 'out'}")
        assert {name for _, name in hub.repositories()} == set(folders)
        yield hub


@pytest.mark.slow
def test_models(released: LoopbackHub, folders: dict[str, Path], tmp_path: Path) -> None:
    """`AutoModel.from_pretrained("org/collap-gpt2", trust_remote_code=True)`, and the classes beside it."""
    tracks = [tiny.tone(2.3), tiny.tone(0.8, 200.0)]
    save_file({str(i): torch.from_numpy(track) for i, track in enumerate(tracks)}, tmp_path / "tracks.safetensors")
    report = ask_stranger(
        released, tmp_path, MODEL_LINES, str(tmp_path / "tracks.safetensors"), json.dumps(TEXTS), *MODELS
    )
    for name, backbone in MODELS.items():
        got = report[name]
        assert got["classes"] == ["CollapConfig", "CollapModel", "CollapProcessor", "CollapFeatureExtractor"]
        commit = released.commits("model", name)[0].id
        package = f"transformers_modules.org.{name.split('/')[1].replace('-', '_hyphen_')}.{commit}."
        assert all(module.startswith(package) for module in got["modules"]), got["modules"]
        assert not got["training"]
        inputs = tiny.processor(backbone)(audio=tracks, text=TEXTS, sampling_rate=tiny.RATE)
        with torch.no_grad():
            expected = CollapModel.from_pretrained(folders[name])(**inputs).logits_per_audio
        assert expected.std() > 0.01
        # Logits are about 10 in float32, and on another number of threads sums are taken in another order.
        torch.testing.assert_close(torch.tensor(got["logits"]), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_dataset(released: LoopbackHub, tmp_path: Path) -> None:
    """`load_dataset("org/collap-audioset")`, as a whole and streamed."""
    got = ask_stranger(released, tmp_path, DATASET_LINES, DATASET)
    songs = {"train": tiny.rows(6), "validation": tiny.rows(5, split="validation")}
    assert got["ids"] == {split: list(rows["id"]) for split, rows in songs.items()}
    assert got["streamed"] == got["ids"]["train"]
    first = songs["train"][0]
    assert got["captions"] == [first["caption"]] * 2
    assert got["seconds"] == pytest.approx([first["duration"]] * 2)
    assert got["sections"] == first["structure"]


@pytest.mark.slow
def test_training(released: LoopbackHub, tmp_path: Path) -> None:
    """`accelerate launch train.py recipe.yaml` from a checkout, with the songs from the Hub."""
    content = tiny.recipe(Path(DATASET), tmp_path / "run", max_steps=2, eval_strategy="no", save_strategy="no")
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", content)
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", str(ROOT / "train.py"), str(recipe)],
        cwd=tmp_path / "work",
        env=stranger_environment(released, tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert set(tiny.logged(tmp_path / "run")) == {1, 2}
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
