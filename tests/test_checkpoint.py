"""The embedded model: small, complete, and better than chance on songs it never heard."""

import json
from pathlib import Path

import pytest
import torch

from dataset_scripts.songbook.build import make_row
from dataset_scripts.songbook.songwriter import split_of, write_song
from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from retrieval_collap import TrackLibrary

ROOT = Path(__file__).parents[1]
MINI = ROOT / "checkpoints" / "collap-mini"
FOLDERS = sorted((ROOT / "checkpoints").iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_of_a_model(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert (folder / "model.safetensors").stat().st_size <= 20e6


def test_the_default_has_its_code_as_on_the_hub() -> None:
    names = {path.name for path in MINI.iterdir()}
    assert {"modeling_collap.py", "processing_collap.py", "feature_extraction_collap.py"} <= names
    assert "AutoModel" in json.loads((MINI / "config.json").read_text())["auto_map"]


def test_code_beside_the_weights_is_the_code_of_the_rooms() -> None:
    sources = {
        path.name: path for room in ("modeling_collap", "processing_collap") for path in (ROOT / room).glob("*.py")
    }
    copies = list(MINI.glob("*.py"))
    assert copies
    for copy in copies:
        assert copy.read_text() == sources[copy.name].read_text(), f"run `make mini-code`: {copy.name} is older"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_weight_is_loaded(folder: Path) -> None:
    _, info = CollapModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))


@pytest.mark.slow
def test_finds_songs_never_heard() -> None:
    """12 songs of the test split by their captions: the mean reciprocal rank is far above chance (0.26)."""
    seeds = [seed for seed in range(1000) if split_of(seed) == "test"][:12]
    rows = [make_row(write_song(seed), 0) for seed in seeds]
    library = TrackLibrary(CollapModel.from_pretrained(MINI), CollapProcessor.from_pretrained(MINI))
    assert not library.add((row["id"], row["audio"]["bytes"]) for row in rows)
    order = {track.id: i for i, track in enumerate(library)}
    scores = library.scores([row["caption"] for row in rows])  # (captions, tracks)
    own = scores[torch.arange(len(rows)), [order[row["id"]] for row in rows]]
    ranks = (scores >= own[:, None]).sum(1)
    assert float((1 / ranks).mean()) > 0.45, ranks.tolist()
