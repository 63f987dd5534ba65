"""The cards: what is on disk is what is rendered, every figure has its place, and the code in them runs."""

import json
import re
import struct
import tomllib
from math import prod
from pathlib import Path

import pytest
import tiny
import torch
from datasets import load_dataset
from huggingface_hub import DatasetCard, ModelCard
from torchcodec.encoders import AudioEncoder
from typer.testing import CliRunner

from release_collap import cards
from release_collap.card_figures import CARDS, DatasetFacts, ModelFigures, read_figures
from release_collap.cards import (
    DATASETS,
    MODELS,
    dataset_statistics,
    render_dataset_card,
    render_model_card,
    rendered_cards,
    unfilled,
)

ROOT = Path(__file__).parents[2]
RENDERED = rendered_cards()
TRAINED = ("collap-mini", "collap-mini-paper")
FULL_SIZE = ("collap-gpt2", "collap-roberta")
SECTIONS = [
    "How to use",
    "Model details",
    "Training data and cost",
    "Training procedure",
    "Evaluation",
    "Where it fails",
    "Bias",
    "Licence",
    "Citation",
]


def figures_of(name: str) -> ModelFigures:
    return read_figures(CARDS / f"{name}.json", ModelFigures)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: str(path.relative_to(ROOT)))
def test_card_on_disk_is_what_is_rendered(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == RENDERED[path], "run `python -m release_collap.cards`"


@pytest.mark.parametrize("org", [None, "musicians"])
@pytest.mark.parametrize("name", MODELS)
def test_head_is_what_the_hub_reads(name: str, org: str | None) -> None:
    card = ModelCard(render_model_card(name, org=org))
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "feature-extraction"
    assert card.data.arxiv == "2410.02271"
    assert {"music", "arxiv:2410.02271", "zero-shot-audio-classification"} <= set(card.data.tags)
    assert card.data.datasets == ([f"{org or 'org'}/collap-audioset"] if name in FULL_SIZE else ["pop909", "songbook"])
    assert "https://arxiv.org/abs/2410.02271" in card.text
    # What was read is written again without loss.
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


@pytest.mark.parametrize("name", TRAINED)
def test_model_index_has_the_numbers_of_the_tables(name: str) -> None:
    figures = figures_of(name)
    results = ModelCard(render_model_card(name)).data.eval_results
    found = {
        (result.dataset_type, result.dataset_config, result.metric_name): result.metric_value for result in results
    }
    validation = figures.table("validation-pop909")
    assert found["songbook", "pop909", "R@5, text → audio"] == validation.value("text → audio", "R@5")
    assert found["macleod_real", "description", "R@1, audio → text"] == figures.table("real").value(
        "audio → text", "R@1"
    )
    assert found["songbook", "genre", "accuracy"] == figures.table("genre").value(name, "accuracy")
    assert not [key for key in found if "chance" in key[2] or "without listening" in key[2]]
    assert len(found) == len(results)  # none overwrites another


@pytest.mark.parametrize("name", MODELS)
def test_sections(name: str) -> None:
    text = render_model_card(name)
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == SECTIONS
    assert "{{" not in text
    assert "None" not in text


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models_have_all_figures(name: str) -> None:
    assert unfilled(render_model_card(name, org="musicians")) == []


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_cards_say_what_is_not_there(name: str) -> None:
    text = render_model_card(name)
    assert "No trained weights exist yet" in text
    assert f"train.py recipes/{name}.yaml" in text
    assert "two 40 GB GPUs" in text
    assert "collap-mini" in text
    assert {"parameters", "training.minutes", "training.hours", "benchmarks.songdescriber"} <= set(unfilled(text))
    assert "| wall time | not measured yet<!--" in text
    assert ModelCard(text).data.eval_results is None


@pytest.mark.parametrize("name", FULL_SIZE)
def test_stand_ins_are_called_so_and_claim_nothing(name: str) -> None:
    text = render_model_card(name, org="rehearsal", stand_in=True)
    assert "> **Random weights; a rehearsal.**" in text
    assert unfilled(text) == []
    data = ModelCard(text).data
    assert data.eval_results is None
    assert data.base_model is None
    assert data.datasets is None
    assert "No trained weights" not in text


def test_cards_on_the_hub_name_their_owner_and_link_nothing_of_a_checkout() -> None:
    for name in MODELS:
        text = render_model_card(name, org="musicians")
        assert f'"musicians/{name}"' in text
        assert not re.search(r"(?<![\w/.])org/", text)
        assert "](../" not in text
    text = render_dataset_card("collap-audioset", org="musicians")
    assert "https://huggingface.co/datasets/musicians/collap-audioset/discussions" in text
    assert "](../" not in text


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).resolve().exists(), target


@pytest.mark.parametrize("name", TRAINED)
def test_parameters_are_those_of_the_checkpoint(name: str) -> None:
    with (ROOT / "checkpoints" / name / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length))
    counted = sum(prod(tensor["shape"]) for key, tensor in tensors.items() if key != "__metadata__")
    assert figures_of(name).parameters == counted


def test_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (line,) = re.findall(r"^pip install (.*?)  #", render_model_card("collap-mini"), flags=re.MULTILINE)
    assert set(re.findall(r'"([^"]+)"', line)) <= set(project)


def test_recipes_and_files_that_are_named_exist() -> None:
    for name in (*MODELS, *DATASETS):
        text = render_model_card(name) if name in MODELS else render_dataset_card(name)
        for file in re.findall(r"\b(?:recipes|docs)/[\w./-]+\.(?:yaml|md)", text):
            assert (ROOT / file).exists(), file


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with song.mp3 and the checkpoints, as the code in the cards expects it."""
    samples = torch.from_numpy(tiny.tone(12.0))[None]
    AudioEncoder(samples, sample_rate=tiny.RATE).to_file(tmp_path / "song.mp3")
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path


def run_code(text: str) -> dict:
    found: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, found)
    return found


@pytest.mark.parametrize("name", TRAINED)
def test_code_of_a_trained_model_runs(name: str, workplace: Path) -> None:
    found = run_code(render_model_card(name))
    assert found["scores"].shape == (1, 1)
    assert torch.isfinite(found["scores"]).all()
    assert found["maps"].temporal.shape[1] == found["model"].config.kernel_size


@pytest.mark.parametrize("name", FULL_SIZE)
def test_code_of_a_stand_in_runs(name: str, workplace: Path) -> None:
    folder = workplace / "rehearsal" / name
    backbone = name.removeprefix("collap-")
    tiny.model(backbone).save_pretrained(folder)
    tiny.processor(backbone).save_pretrained(folder)
    found = run_code(render_model_card(name, org="rehearsal", stand_in=True))
    assert torch.isfinite(found["scores"]).all()


def test_check_names_stale_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale, fresh = tmp_path / "stale.md", tmp_path / "fresh.md"
    fresh.write_text("new")
    stale.write_text("old")
    monkeypatch.setattr(cards, "CARDS", tmp_path / "model_cards")
    monkeypatch.setattr(cards, "rendered_cards", lambda: {stale: "new", fresh: "new"})
    app = cards.typer.Typer()
    app.command()(cards.main)
    checked = CliRunner().invoke(app, ["--check"])
    assert checked.exit_code == 1
    assert "stale.md is stale" in checked.output
    assert "fresh.md" not in checked.output
    assert stale.read_text() == "old"
    assert CliRunner().invoke(app, []).exit_code == 0
    assert stale.read_text() == "new"
    assert CliRunner().invoke(app, ["--check"]).exit_code == 0


def test_dataset_card_without_rows() -> None:
    text = render_dataset_card("collap-audioset")
    card = DatasetCard(text)
    assert "There are no rows yet" in text
    assert unfilled(text) == ["rows", "hours", "mean duration", "mean words", "sections"]
    assert card.data.license == "cc-by-4.0"
    assert card.data.configs[0]["config_name"] == "captions"
    for heading in ("Where it comes from", "Removal of a row", "Personal data", "Licence", "How to rebuild it"):
        assert f"## {heading}" in text
    assert "Community tab" in text
    assert isinstance(read_figures(CARDS / "collap-audioset.json", DatasetFacts), DatasetFacts)


def test_dataset_card_of_rows(tmp_path: Path) -> None:
    folder = tiny.write_dataset(tmp_path / "org" / "collap-audioset")
    statistics = dataset_statistics(sorted((folder / "data").glob("*.parquet")))
    text = render_dataset_card("collap-audioset", org="org", statistics=statistics, stand_in=True)
    assert "> **A rehearsal.**" in text
    assert unfilled(text) == []
    assert "| these rows | 11 |" in text
    assert "| train | 6 | 54.5% |" in text
    assert "| CC0-1.0 | 11 | 100.0% |" in text
    assert "| `audio` |" in text
    assert DatasetCard(text).data.size_categories == ["n<1K"]
    (folder / "README.md").write_text(text)
    found = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 6, "validation": 5}
