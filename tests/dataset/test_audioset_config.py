"""A build's YAML file: what it becomes, and all that is wrong with one at once."""

from pathlib import Path

import pytest
import yaml

from dataset_scripts.audioset.captioners import ImportedCaptions, ServerCaptioner
from dataset_scripts.audioset.config import STAGES, BuildConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "dataset" / "audioset.yaml"


def minimal(tmp_path: Path) -> dict:
    return {
        "work": str(tmp_path / "work"),
        "select": {"segments": ["a.csv", "b.csv"], "ontology": "ontology.json"},
        "caption": {"backend": "imported", "file": "captions.jsonl", "model": "FUTGA"},
        "pack": {"output": str(tmp_path / "out")},
    }


def read(tmp_path: Path, values: object) -> BuildConfig:
    path = tmp_path / "build.yaml"
    path.write_text(yaml.safe_dump(values))
    return BuildConfig.from_yaml(path)


def test_the_recipe_in_the_repository_is_one() -> None:
    config = BuildConfig.from_yaml(RECIPE)
    assert [stage.name for stage in config.stages] == list(STAGES)
    assert (config.block_size, config.workers) == (100, None)
    assert [stage.num_gpus for stage in config.stages if stage.name == "caption"] == [1.0]


def test_defaults_paths_and_lists(tmp_path: Path) -> None:
    config = read(tmp_path, minimal(tmp_path) | {"block_size": 7, "filter": {"min_seconds": 60}})
    stages = {stage.name: stage for stage in config.stages}
    assert list(stages) == ["select", "download", "filter", "duplicates", "caption", "structure", "pack"]
    assert stages["select"].segments == (Path("a.csv").absolute(), Path("b.csv").absolute())
    assert stages["select"].block_size == config.block_size == 7
    assert stages["filter"] == STAGES["filter"](work=tmp_path / "work", min_seconds=60.0)
    assert stages["caption"].captioner == ImportedCaptions(Path("captions.jsonl").absolute(), "FUTGA")
    assert stages["pack"].output == tmp_path / "out"


def test_options_of_captioner_and_stage_stand_side_by_side(tmp_path: Path) -> None:
    values = minimal(tmp_path)
    values["caption"] = {"backend": "openai", "base_url": "http://h/v1", "model": "m", "concurrency": 2, "workers": 8}
    stage = next(stage for stage in read(tmp_path, values).stages if stage.name == "caption")
    assert stage.concurrency == 2
    assert stage.captioner == ServerCaptioner("http://h/v1", "m", workers=8)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    values = minimal(tmp_path)
    values["filter"] = {"min_second": 60}
    values["select"]["limit"] = "many"
    values["paks"] = {}
    del values["pack"]["output"], values["caption"]["file"], values["work"]
    values["block_size"] = 0
    with pytest.raises(ValueError) as caught:
        read(tmp_path, values)
    for problem in (
        "filter.min_second is unknown (did you mean 'min_seconds'?)",
        "select.limit must be a whole number or null, not 'many'",
        "build.paks is unknown (did you mean 'pack'?)",
        "pack.output is missing",
        "caption.file is missing, which the backend imported needs",
        "work is missing",
        "block_size must be at least 1, not 0",
    ):
        assert problem in str(caught.value)


@pytest.mark.parametrize("backend", [None, "whisper"])
def test_backend_must_be_known(tmp_path: Path, backend: str | None) -> None:
    values = minimal(tmp_path) | {"caption": {"backend": backend}}
    with pytest.raises(ValueError, match=r"caption\.backend must be one of transformers, openai, imported"):
        read(tmp_path, values)


def test_work_is_no_option_of_a_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"filter\.work is unknown"):
        read(tmp_path, minimal(tmp_path) | {"filter": {"work": "elsewhere"}})


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no configuration"):
        BuildConfig.from_yaml(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("work: [")
    with pytest.raises(ValueError, match="is no YAML"):
        BuildConfig.from_yaml(tmp_path / "bad.yaml")
    with pytest.raises(ValueError, match="build must hold fields, not 'text'"):
        read(tmp_path, "text")
