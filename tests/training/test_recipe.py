"""Reading recipes."""

from pathlib import Path

import pytest
import tiny
import yaml

from modeling_collap import CollapConfig
from training_collap import load_recipe
from training_collap.recipe import DataSection
from training_collap.run import load_splits

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    return tiny.write_recipe(tmp_path / "recipe.yaml", tiny.recipe(tmp_path / "data", tmp_path / "run"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository(path: Path) -> None:
    recipe = load_recipe(path, ["training.bf16=false"])  # this machine may have no bfloat16
    content = yaml.safe_load(path.read_text())
    assert recipe.data.dataset == content["data"]["dataset"]
    assert recipe.training.learning_rate == float(content["training"]["learning_rate"])
    assert recipe.training.dataloader_drop_last
    assert not recipe.training.remove_unused_columns
    assert CollapConfig(**recipe.model.config).projection_dim == content["model"]["config"]["projection_dim"]
    assert set(recipe.model.backbones) in ({"text", "whisper", "beats"}, set())


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"collap-gpt2", "collap-roberta", "collap-mini"}


@pytest.mark.parametrize("name", ["collap-gpt2", "collap-roberta"])
def test_the_papers_settings(name: str) -> None:
    path = next(path for path in RECIPES if path.stem == name)
    recipe = load_recipe(path, ["training.bf16=false"])
    training = recipe.training
    assert (training.per_device_train_batch_size, training.num_train_epochs) == (25, 20)
    assert (training.learning_rate, training.weight_decay) == (1e-4, 1e-5)
    assert recipe.model.config["normalization"] == "paper"


def test_overrides(recipe_file: Path) -> None:
    overrides = ["training.max_steps=7", "--training.learning_rate=1e-3", "data.crop_windows=3", "model.tokenizer=null"]
    recipe = load_recipe(recipe_file, overrides)
    assert recipe.training.max_steps == 7
    assert recipe.training.learning_rate == 0.001
    assert recipe.data.crop_windows == 3
    assert recipe.model.tokenizer is None


def test_override_of_an_absent_section(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model:\ndata:\n")
    recipe = load_recipe(path, ["data.dataset=songs", f"training.output_dir={tmp_path}"])
    assert recipe.data.dataset == "songs"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_steps=7", "section.name=value"),
        ("training.max_steps", "section.name=value"),
        ("training.max_step=7", "section training, has unknown fields: max_step"),
        ("data.crop=7", "section data, has unknown fields: crop"),
        ("optimizer.lr=7", "unknown sections: optimizer"),
    ],
)
def test_unknown_names_raise(recipe_file: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe_file, [override])


@pytest.mark.parametrize("content", ["- a list", "just text", "data: songs"])
def test_files_that_are_no_recipe_raise(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match="sections"):
        load_recipe(path)


def test_missing_recipe_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe .*absent\.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_folders_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 3)):
        tiny.write_dataset(tmp_path / name / "songs", train=count, validation=1)
        train, validation = load_splits(DataSection(dataset=str(tmp_path / name / "songs")))
        assert (len(train), len(validation)) == (count, 1)
