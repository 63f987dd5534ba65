"""Reading recipes."""

import re
from pathlib import Path

import pytest
import tiny
import yaml
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import evaluation_collap.muscall  # noqa: F401  # a recipe names it
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
    assert recipe.data.dataset == content["data"].get("dataset", "")
    assert recipe.training.learning_rate == float(content["training"]["learning_rate"])
    assert recipe.training.dataloader_drop_last
    assert not recipe.training.remove_unused_columns
    options = content["model"].get("config", {})
    kind = CONFIG_MAPPING[recipe.model.model_type]
    assert kind(**recipe.model.config).projection_dim == options.get("projection_dim", 512)
    assert set(recipe.model.backbones) in ({"text", "whisper", "beats"}, set())


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"collap-gpt2", "collap-roberta", "collap-mini", "finetune"}


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


def test_overrides_reach_fields_within_fields(recipe_file: Path) -> None:
    overrides = [
        "model.config.projection_dim=64",
        "model.config.text_config.n_layer=3",
        "model.lora.r=4",  # where the recipe has none
        "training.lr_scheduler_kwargs.num_cycles=2",
    ]
    recipe = load_recipe(recipe_file, overrides)
    assert recipe.model.config["projection_dim"] == 64
    assert recipe.model.config["text_config"]["n_layer"] == 3
    assert recipe.model.config["text_config"]["n_embd"] == 16, "its neighbours stay"
    assert recipe.model.lora == {"r": 4}
    assert recipe.training.lr_scheduler_kwargs == {"num_cycles": 2}


def test_whole_numbers_stand_for_floats(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["model.config.beats_config.hidden_dropout=0", "training.weight_decay=0"])
    dropout = recipe.model.config["beats_config"]["hidden_dropout"]
    assert isinstance(dropout, float)
    assert CollapConfig(**recipe.model.config).beats_config.hidden_dropout == 0


def test_reports_go_to_tensorboard_unless_told_otherwise(recipe_file: Path) -> None:
    assert load_recipe(recipe_file).training.report_to == ["tensorboard"]
    assert load_recipe(recipe_file, ["training.report_to=none"]).training.report_to == []


UNKNOWN = {
    "optimizer.lr=7": "there is no section 'optimizer'",
    "trainin.max_steps=7": "there is no section 'trainin' (did you mean 'training'?)",
    "training.learning_rat=7": "training.learning_rat is unknown (did you mean 'learning_rate'?)",
    "training.cached_batch_chunks=7": "did you mean 'cached_batch_chunk'?",
    "data.crop_window=7": "data.crop_window is unknown (did you mean 'crop_windows'?)",
    "objective.nam=sigmoid": "objective.nam is unknown (did you mean 'name'?)",
    "model.freez=[text]": "model.freez is unknown (did you mean 'freeze'?)",
    "model.config.projection_dims=7": "model.config.projection_dims is unknown (did you mean 'projection_dim'?)",
    "model.config.text_config.n_layers=7": "model.config.text_config.n_layers is unknown (did you mean 'n_layer'?)",
    "model.config.text_config.model_type=robertta": "model_type 'robertta' is unknown (did you mean 'roberta'?)",
    "model.config.whisper_config.d_modell=7": "d_modell is unknown (did you mean 'd_model'?)",
    "model.config.beats_config.layer_drop=0.1": "layer_drop is unknown (did you mean 'layerdrop'?)",
    "model.feature_extractor.hop=7": "model.feature_extractor.hop is unknown (did you mean 'hop_length'?)",
    "model.backbones.speech=x": "model.backbones.speech is unknown (known are beats, text, whisper)",
    "model.lora.rank=7": "model.lora.rank is unknown",
}
WRONG = {
    "training.learning_rate=fast": "training.learning_rate must be a number, not 'fast'",
    "training.max_steps=1.5": "training.max_steps must be a whole number, not 1.5",
    "training.bf16=1": "training.bf16 must be true or false, not 1",
    "training.eval_strategy=sometimes": "sometimes",
    "training=7": "section.name=value",
    "training.max_steps": "section.name=value",
    "training..max_steps=7": "section.name=value",
    "max_steps=7": "section.name=value",
    "data.dataset.name=x": "looks for fields in dataset",
    "data.dataset={a: ": "cannot be read as YAML",
    "data.dataset=[songs]": "data.dataset must be text",
    "data.crop_windows=true": "data.crop_windows must be a whole number or null, not True",
    "model.freeze=whisper": "model.freeze must be a list (text each), not 'whisper'",
    "model.freeze=[wisper]": "model.freeze names no encoder with 'wisper' (did you mean 'whisper'?)",
    "model.config=small": "model.config must be fields of its own, not 'small'",
    "model.config.projection_dim=wide": "model.config.projection_dim must be a whole number, not 'wide'",
    "model.config.beats_config.num_buckets=many": "beats_config.num_buckets must be a whole number, not 'many'",
    "model.feature_extractor.n_fft=2.5": "model.feature_extractor.n_fft must be a whole number, not 2.5",
    "model.lora=true": "model.lora must be fields of its own or null, not True",
    "objective.name=triplet": "objective.name is one of",
}


@pytest.mark.parametrize(("override", "message"), (UNKNOWN | WRONG).items())
def test_what_cannot_be_read_raises_one_sentence(recipe_file: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load_recipe(recipe_file, [override])
    assert "\n" not in str(raised.value)


def test_all_misspelt_keys_are_named_at_once(recipe_file: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe\.yaml: .*crop_window is.*; training\.max_step is"):
        load_recipe(recipe_file, ["training.max_step=7", "data.crop_window=2"])


CONTRADICTIONS = [
    (["model.backbones.text=gpt2"], "model.config.text_config contradicts model.backbones"),
    (["model.pretrained=m", "model.backbones.text=gpt2", "model.config=null"], "model.backbones contradicts"),
    (["model.pretrained=m"], "model.vocab_size contradicts model.pretrained"),
    (["model.pretrained=m", "model.vocab_size=null", "model.tokenizer=t"], "model.tokenizer contradicts"),
    (
        ["model.pretrained=m", "model.vocab_size=null", "model.feature_extractor.n_fft=512"],
        "model.feature_extractor.n_fft contradicts model.pretrained",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_raise(recipe_file: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe_file, overrides)


@pytest.mark.parametrize("content", ["- a list", "just text", "data: songs", "data: [", "data: \x00"])
def test_files_that_are_no_recipe_raise(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match="is no recipe"):
        load_recipe(path)


def test_missing_recipe_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe .*absent\.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_folders_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 3)):
        tiny.write_dataset(tmp_path / name / "songs", train=count, validation=1)
        train, validation = load_splits(DataSection(dataset=str(tmp_path / name / "songs")))
        assert (len(train), len(validation)) == (count, 1)
