"""What is pushed: exactly the files of a release, from what training and the pipeline leave, under the owner's name."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from made import OWNER, app, library, packed_dataset, rewrite, trained_model
from safetensors.torch import load_file, save_file

from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from release_collap.contents import check_contents
from release_collap.dataset_staging import assemble_dataset
from release_collap.errors import ReleaseError
from release_collap.licences import is_open
from release_collap.model_staging import assemble_model
from release_collap.repositories import ROOT, with_owner
from release_collap.space_staging import ROOMS, assemble_space, check_index
from release_collap.staging import staging_folder
from retrieval_collap.index.settings import IndexSettings
from retrieval_collap.index.store import TrackStore

OTHER = "someone-else"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def metadata(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_model(tmp_path_factory.mktemp("run") / "final")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_dataset(tmp_path_factory.mktemp("corpus") / "packed")


def test_a_model_is_pushed_without_what_training_leaves(trained: Path, tmp_path: Path) -> None:
    folder = assemble_model("collap-gpt2", trained, tmp_path, org=OTHER, rehearsal=True)
    code = {path.name for room in ("modeling_collap", "processing_collap") for path in (ROOT / room).glob("*.py")}
    assert names(folder) == {
        *(code - {"__init__.py"}),
        *("config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("README.md", "recipe.yaml", "metrics.json", "LICENSE"),
    }
    assert (folder / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    for file in code - {"__init__.py"}:
        (source,) = ROOT.glob(f"[mp]*ing_collap/{file}")
        assert (folder / file).read_bytes() == source.read_bytes()
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_collap.CollapConfig",
        "AutoModel": "modeling_collap.CollapModel",
    }
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert recipe["data"]["dataset"] == f"{OTHER}/collap-audioset"
    card = (folder / "README.md").read_text()
    assert f"{OTHER}/collap-gpt2" in card
    assert "org/collap-gpt2" not in card
    check_contents(folder)


def test_assembling_twice_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    folders = [
        assemble_model("collap-gpt2", trained, tmp_path / each, org=OWNER, rehearsal=True) for each in ("one", "two")
    ]
    first, second = ({name: (folder / name).read_bytes() for name in names(folder)} for folder in folders)
    assert first == second


def test_parts_do_not_tell_where_they_were_loaded_from(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "run"
    source.mkdir()
    for file in trained.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["_name_or_path"] = "/home/someone/models/gpt2"
    (source / "config.json").write_text(json.dumps(config))
    folder = assemble_model("collap-gpt2", source, tmp_path / "out", org=OWNER, rehearsal=True)
    assert "/home" not in (folder / "config.json").read_text()


def test_weights_in_several_files(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "run"
    source.mkdir()
    for file in trained.glob("*.json"):
        (source / file.name).write_bytes(file.read_bytes())
    weights = load_file(trained / "model.safetensors")
    halves = {"model-00001-of-00002.safetensors": sorted(weights)[::2]}
    halves["model-00002-of-00002.safetensors"] = sorted(weights)[1::2]
    for file, keys in halves.items():
        save_file({key: weights[key] for key in keys}, source / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: file for file, keys in halves.items() for key in keys}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    folder = assemble_model("collap-gpt2", source, tmp_path / "out", org=OWNER, rehearsal=True)
    assert {*halves, "model.safetensors.index.json"} <= names(folder)
    (source / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ReleaseError, match=r"lacks model-00002-of-00002\.safetensors, which its index names"):
        assemble_model("collap-gpt2", source, tmp_path / "out", org=OWNER)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.safetensors", r"holds no model\.safetensors; weights in other formats are not published"),
        ("config.json", r"holds no config\.json, which training saves"),
        ("processor_config.json", r"holds no processor_config\.json"),
    ],
)
def test_what_a_model_lacks(missing: str, message: str, trained: Path, tmp_path: Path) -> None:
    for file in trained.glob("*.*"):
        if file.is_file() and file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ReleaseError, match=message):
        assemble_model("collap-gpt2", tmp_path, tmp_path / "out", org=OWNER)
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_read_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    folder = assemble_model("collap-gpt2", trained, tmp_path / "out", org=OWNER, rehearsal=True)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    for file in trained.glob("*.*"):
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"collap-gpt2: the model in .* cannot be read"):
        assemble_model("collap-gpt2", tmp_path, tmp_path / "out", org=OWNER)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["collap-gpt2"]


def test_what_a_killed_process_was_assembling_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from release_collap.staging import staging_folder\n"
        "with staging_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "collap")], cwd=ROOT, timeout=120)
    assert killed.returncode == -9
    assert not (tmp_path / "collap").exists()
    assert len(list(tmp_path.iterdir())) == 1
    alive = tmp_path / f".collap.{os.getppid()}.tmp"  # of a process that still works on it
    alive.mkdir()
    with staging_folder(tmp_path / "collap") as folder:
        (folder / "whole").write_text("whole")
    assert set(tmp_path.iterdir()) == {tmp_path / "collap", alive}


def test_captions_are_pushed_and_audio_stays(packed: Path, tmp_path: Path) -> None:
    folder = assemble_dataset("collap-audioset", packed, tmp_path, org=OTHER)
    shards = {f"captions/{split}-00000-of-00001.parquet" for split in ("train", "validation")}
    assert names(folder) == {"README.md", "LICENSE", *shards}
    assert metadata(folder)["configs"] == [
        {
            "config_name": "captions",
            "default": True,
            "data_files": [
                {"split": "train", "path": "captions/train-*.parquet"},
                {"split": "validation", "path": "captions/validation-*.parquet"},
            ],
        }
    ]
    assert metadata(folder)["license"] == "cc-by-4.0"
    assert "creativecommons.org/licenses/by/4.0" in (folder / "LICENSE").read_text()
    check_contents(folder)
    rows = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(data) for split, data in rows.items()} == {"train": 5, "validation": 5}


def test_recordings_under_an_open_licence_are_pushed(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    (packed / "audio").rename(tmp_path / "songs" / "data")
    try:
        for shard in (tmp_path / "songs" / "data").iterdir():
            with pytest.raises(ReleaseError, match="has audio, and the licence of its row 0 is 'not stated'"):
                assemble_dataset("collap-audioset", tmp_path / "songs", tmp_path / "out", org=OWNER)
            rewrite(shard, "licence", ["CC-BY-4.0", "CC0-1.0", "public domain", "MIT", "cc-by-sa-3.0"])
        folder = assemble_dataset("collap-audioset", tmp_path / "songs", tmp_path / "out", org=OWNER)
        assert len(names(folder / "data")) == 2
        shard = tmp_path / "songs" / "data" / "validation-00000-of-00001.parquet"
        rewrite(shard, "licence", ["CC0-1.0"] * 4 + ["CC-BY-NC-4.0"])
        with pytest.raises(ReleaseError, match=r"the licence of its row 4 is 'CC-BY-NC-4\.0'"):
            assemble_dataset("collap-audioset", tmp_path / "songs", tmp_path / "out", org=OWNER)
    finally:
        (tmp_path / "songs" / "data").rename(packed / "audio")


def test_shards_that_are_not_in_the_schema(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "captions").mkdir()
    shard = tmp_path / "captions" / "train-00000-of-00001.parquet"
    shard.write_bytes((packed / "captions" / shard.name).read_bytes())
    rewrite(shard, "duration", [4.0, 4.0, 1.0, 4.0, 4.0])
    with pytest.raises(ReleaseError, match=r"collap-audioset: train-.*, row 2 .* lies outside the duration of 1 s"):
        assemble_dataset("collap-audioset", tmp_path, tmp_path / "out", org=OWNER)
    shard.write_bytes(b"PAR1")
    with pytest.raises(ReleaseError, match="collap-audioset: "):
        assemble_dataset("collap-audioset", tmp_path, tmp_path / "out", org=OWNER)
    shard.unlink()
    with pytest.raises(ReleaseError, match="holds no parquet files in captions or data"):
        assemble_dataset("collap-audioset", tmp_path, tmp_path / "out", org=OWNER)


def test_the_space_has_its_rooms_its_library_and_the_name_of_its_model(tmp_path: Path) -> None:
    source, tracks = app(tmp_path / "space"), library(tmp_path / "library")
    folder = assemble_space("collap", source, tmp_path / "out", org=OTHER, model="collap-gpt2", library=tracks)
    assert json.loads((folder / "space.json").read_text()) == {"model": f"{OTHER}/collap-gpt2"}
    head = metadata(folder)
    assert head["models"] == [f"{OTHER}/collap-gpt2"]
    assert head["python_version"] == "3.11"
    assert head["sdk_version"] == "6.31.0"
    assert f"`{OTHER}/collap-mini`" in (folder / "README.md").read_text()
    assert {"app.py", "LICENSE", "library/tracks.jsonl", "library/audio/song.opus"} <= names(folder)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"space_collap", "library", *ROOMS}
    assert (folder / "retrieval_collap" / "templates" / "match.html.j2").is_file()
    assert not [name for name in names(folder) if "__pycache__" in name]
    check_contents(folder)
    assert "org/collap-mini" in (source / "README.md").read_text()  # the checkout stays as it is


def test_all_that_the_rooms_of_the_space_import_is_there(tmp_path: Path) -> None:
    """But for the command line, which offers releases too and is of no use there."""
    folder = assemble_space("collap", app(tmp_path / "space"), tmp_path / "out", org=OWNER, model="collap-mini")
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert ours > set(ROOMS)
    for file in folder.rglob("*.py"):
        for name in absolute_imports(file):
            if name.split(".")[0] in ours and file.relative_to(folder).as_posix() != "retrieval_collap/cli.py":
                module = folder / name.replace(".", "/")
                assert module.is_dir() or module.with_suffix(".py").is_file(), f"{file} imports {name}"


def absolute_imports(file: Path) -> Iterator[str]:
    """Modules that a file imports by their whole name, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def test_a_library_belongs_to_a_model(trained: Path, tmp_path: Path) -> None:
    tracks = library(tmp_path / "library")
    with pytest.raises(ReleaseError, match=r"collap: the library .* does not fit its model"):
        check_index("collap", tracks, trained)
    model, processor = CollapModel.from_pretrained(trained), CollapProcessor.from_pretrained(trained)
    TrackStore.create(tracks / "index", IndexSettings.for_model(model, processor, name=OWNER, seconds_per_step=0.1))
    check_index("collap", tracks, trained)
    with pytest.raises(ReleaseError, match="use the same model, or index the tracks again"):
        check_index("collap", tracks, ROOT / "checkpoints" / "collap-mini")


def test_what_a_space_lacks(tmp_path: Path) -> None:
    source = app(tmp_path / "space")
    with pytest.raises(ReleaseError, match=r"the licence of audio/song\.opus in .* is 'all rights reserved'"):
        assemble_space(
            "collap",
            source,
            tmp_path,
            org=OWNER,
            model="collap-mini",
            library=library(tmp_path / "closed", "all rights reserved"),
        )
    tracks = library(tmp_path / "library")
    (tracks / "audio" / "song.opus").unlink()
    with pytest.raises(ReleaseError, match=r"names the file audio/song\.opus, which is not there"):
        assemble_space("collap", source, tmp_path, org=OWNER, model="collap-mini", library=tracks)
    (tracks / "tracks.jsonl").write_text('{"id": "song"}\n')
    with pytest.raises(ReleaseError, match=r"line 1 of .* is no track"):
        assemble_space("collap", source, tmp_path, org=OWNER, model="collap-mini", library=tracks)
    with pytest.raises(ReleaseError, match=r"holds no tracks\.jsonl"):
        assemble_space("collap", source, tmp_path, org=OWNER, model="collap-mini", library=source)
    (source / "app.py").unlink()
    with pytest.raises(ReleaseError, match=r"holds no app\.py"):
        assemble_space("collap", source, tmp_path, org=OWNER, model="collap-mini")


@pytest.mark.parametrize(
    ("licence", "may_be_passed_on"),
    [
        *(
            (name, True)
            for name in ("CC0-1.0", "cc0", "CC-BY-4.0", "CC BY 3.0", "cc-by-sa-4.0", "Public Domain", "MIT")
        ),
        ("https://creativecommons.org/licenses/by/4.0/", True),
        ("http://creativecommons.org/publicdomain/zero/1.0/", True),
        *((name, False) for name in ("CC-BY-NC-4.0", "CC-BY-ND-4.0", "not stated", "", None, "all rights reserved")),
        ("https://creativecommons.org/licenses/by-nc/4.0/", False),
        ("https://example.org/creativecommons.org/licenses/by/4.0/", False),
    ],
)
def test_open_licences(licence: str | None, may_be_passed_on: bool) -> None:
    assert is_open(licence) is may_be_passed_on


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('load_dataset("org/collap-audioset")', 'load_dataset("me/collap-audioset")'),
        ("https://huggingface.co/org/collap-mini", "https://huggingface.co/me/collap-mini"),
        ("https://huggingface.co/spaces/org/collap", "https://huggingface.co/spaces/me/collap"),
        ("https://arxiv.org/collap", "https://arxiv.org/collap"),
        ("other-org/collap and org/collapsed", "other-org/collap and org/collapsed"),
    ],
)
def test_names_of_the_owner(text: str, expected: str) -> None:
    assert with_owner(text, "me") == expected
