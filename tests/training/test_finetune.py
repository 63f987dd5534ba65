"""`collap finetune` from end to end with a tiny model, and everything that may be wrong with one's own music."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from datasets import Dataset, load_dataset
from typer.testing import CliRunner

from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from retrieval_collap.cli import app
from training_collap.own_music import CaptionedFile, read_own_music, write_dataset

LIMITS = (1.0, 100.0)  # seconds


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings of 3 to 6 s and their captions; one in a folder of its own, one with commas and a quote."""
    folder = tmp_path_factory.mktemp("music")
    lines = ["file,caption"]
    for index in range(8):
        name = f"song {index}.flac" if index else "album/song é.flac"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(tiny.row(index, seconds=3.0 + index % 4)["audio"]["bytes"])
        lines.append(f'{name},"song {index}: low, then ""high"""')
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that goes on from a tiny model, whose folder is `model` beside it."""
    folder = tmp_path_factory.mktemp("recipe")
    tiny.model().save_pretrained(folder / "model")
    tiny.processor().save_pretrained(folder / "model")
    content = tiny.recipe(folder, folder, max_steps=2, eval_strategy="no", logging_steps=1, report_to="none")
    content["model"] = {"pretrained": str(folder / "model"), "lora": {"r": 2}}
    content["data"] = {"crop_windows": 2}
    return tiny.write_recipe(folder / "recipe.yaml", content)


def read(music: Path, captions: Path | None = None, **options: float) -> dict[str, list[CaptionedFile]]:
    return read_own_music(music, captions or music / "captions.csv", seconds=LIMITS, **options)


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["finetune", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_own_music(music: Path, recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "run: 1"  # what would be a mapping in YAML
    arguments = ["--audio", music, "--captions", music / "captions.csv", "--output", output, "--recipe", recipe]
    code, said = invoke(*arguments)
    assert code == 0, said
    assert "6 tracks to train on, 2 to validate with" in said
    results = json.loads((output / "finetuning.json").read_text())
    assert results["tracks"] == 2
    for direction in ("text_to_audio", "audio_to_text"):
        for when in ("before", "after"):
            assert 1 <= results[when][f"eval_{direction}_median_rank"] <= 2
    assert results["before"]["eval_loss"] != results["after"]["eval_loss"]
    model, processor = CollapModel.from_pretrained(output), CollapProcessor.from_pretrained(output)
    plain = tiny.model()
    assert model.state_dict().keys() == plain.state_dict().keys(), "adapters are merged"
    assert not torch.equal(model.text_model.h[0].mlp.c_fc.weight, plain.text_model.h[0].mlp.c_fc.weight)
    assert processor.feature_extractor.window_seconds == tiny.WINDOW_SECONDS
    # Before is the model as it came; after is the model as it was saved.
    held_out = load_dataset("parquet", data_files=str(output / "dataset/data/validation*"), split="train")
    for name, folder in (("before", recipe.parent / "model"), ("after", output)):
        assert loss_of(folder, held_out) == pytest.approx(results[name]["eval_loss"], abs=2e-3)  # features in float16
    again, said = invoke(*arguments)
    assert again == 0, said
    assert json.loads((output / "finetuning.json").read_text())["before"] == results["before"]


@torch.no_grad()
def loss_of(folder: Path, rows: Dataset) -> float:
    processor = CollapProcessor.from_pretrained(folder)
    paths = [audio["path"] for audio in rows.cast_column("audio", tiny.rows(1).features["audio"])["audio"]]
    inputs = processor(audio=paths, text=list(rows["caption"]), return_tensors="pt")
    return float(CollapModel.from_pretrained(folder)(**inputs, return_loss=True).loss)


def test_a_dataset_in_the_schema_with_a_frozen_encoder(recipe: Path, tmp_path: Path) -> None:
    dataset = tiny.write_dataset(tmp_path / "songs", train=3, validation=2)
    overrides = ["training.max_steps=1", "model.freeze=[whisper]", "model.lora=null"]
    code, said = invoke("--dataset", dataset, "--output", tmp_path / "run", "--recipe", recipe, *overrides)
    assert code == 0, said
    assert json.loads((tmp_path / "run" / "finetuning.json").read_text())["tracks"] == 2
    before, after = tiny.model().state_dict(), CollapModel.from_pretrained(tmp_path / "run").state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"text_model.h.0.mlp.c_fc.weight", "audio_encoder.adapter.weight"} <= changed
    assert not [name for name in changed if name.startswith("audio_encoder.whisper.")]


def test_which_tracks_validate_depends_on_their_bytes_alone(music: Path, tmp_path: Path) -> None:
    splits = read(music)
    assert [len(splits[name]) for name in ("train", "validation")] == [6, 2]
    shutil.copytree(music, tmp_path / "copy")
    names = sorted(path.name for path in (tmp_path / "copy").glob("*.flac"))
    for name in names:
        (tmp_path / "copy" / name).rename(tmp_path / "copy" / f"x{name[::-1]}.flac")
    lines = ["file,caption", *(f"x{name[::-1]}.flac,text" for name in reversed(names)), "album/song é.flac,text"]
    (tmp_path / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    renamed = read(tmp_path / "copy", tmp_path / "captions.csv")
    assert {file.digest for file in renamed["validation"]} == {file.digest for file in splits["validation"]}
    assert len(read(music, validation_share=0.5)["validation"]) == 4


def test_a_split_can_be_chosen(music: Path, tmp_path: Path) -> None:
    splits = ["validation", "train", "train", "", "", "validation", "validation", ""]
    lines = [f"song {i + 1}.flac,text,{split}" for i, split in enumerate(splits[1:])]
    (tmp_path / "captions.csv").write_text("\n".join(["file,caption,split", *lines]))
    found = read(music, tmp_path / "captions.csv")
    assert {file.name for file in found["validation"]} == {"song 5.flac", "song 6.flac"}


def test_rows_of_the_schema(music: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "dataset", read(music), source="music")
    rows = load_dataset("parquet", data_files=str(tmp_path / "dataset/data/train*"), split="train")
    rows = rows.cast_column("audio", tiny.rows(1).features["audio"])
    assert rows.features == tiny.rows(1).features
    for row in rows:
        assert row["audio"] == {"bytes": None, "path": str((music / row["id"]).resolve())}
        assert row["caption"] == row["global_caption"]
        assert row["caption"].endswith('low, then "high"')
        assert row["structure"] == []
        seconds = 3.0 + int(row["caption"][5]) % 4
        assert row["duration"] == pytest.approx(seconds, abs=0.01)
    write_dataset(tmp_path / "dataset", read(music), source="music")  # the same again
    with pytest.raises(FileExistsError, match="other recordings, captions or splits"):
        write_dataset(tmp_path / "dataset", read(music, validation_share=0.5), source="music")


def test_every_row_that_cannot_be_used_is_named_at_once(music: Path, tmp_path: Path) -> None:
    shutil.copytree(music, tmp_path / "music")
    (tmp_path / "music" / "broken.mp3").write_bytes(b"no audio at all")
    (tmp_path / "music" / "short.flac").write_bytes(tiny.row(0, seconds=0.5)["audio"]["bytes"])
    shutil.copy(music / "song 1.flac", tmp_path / "music" / "copy.flac")
    lines = [
        "file,caption,split",
        "song 1.flac,a tone,",
        "absent.flac,a tone,",
        "song 1.flac,another tone,",
        "song 2.flac,  ,",
        ",a tone,",
        "song 3.flac,a tone,test",
        "song 4.flac,a tone, with a comma,train",
        "broken.mp3,noise,",
        "short.flac,short,",
        "copy.flac,a twin,",
        "song 5.flac,a tone,",
    ]
    captions = tmp_path / "captions.csv"
    captions.write_text("\n".join(lines))
    with pytest.raises(ValueError) as raised:
        read(tmp_path / "music", captions)
    first, *problems = str(raised.value).splitlines()
    assert str(captions) in first
    expected = {
        3: "there is no file absent.flac",
        4: "song 1.flac is in row 2 already",
        5: "the caption of song 2.flac is empty",
        6: "the file is missing",
        7: "'test', neither train nor validation",
        8: "a caption with commas needs double quotes",
        9: "broken.mp3 cannot be decoded: ",
        10: "short.flac lasts 0.5 s; the model reads 1 to 100 s",
        11: "copy.flac is the same recording as song 1.flac in row 2",
    }
    assert len(problems) == len(expected)
    for line, (row, problem) in zip(problems, expected.items(), strict=True):
        assert line.strip().startswith(f"row {row}: ")
        assert problem in line


def truncated(music: Path, folder: Path) -> str:
    """A file whose header promises more than there is."""
    content = (music / "song 3.flac").read_bytes()
    (folder / "cut.flac").write_bytes(content[: len(content) // 3])
    return "file,caption\ncut.flac,text\n"


FILES: dict[str, tuple[Callable[[Path, Path], str | bytes], str]] = {
    "no caption column": (lambda *_: "file;caption\na;b\n", "lacks the column file: .*file;caption"),
    "empty": (lambda *_: "", "lacks the column file"),
    "another encoding": (lambda *_: "file,caption\nétude.flac,text\n".encode("latin-1"), "is not in UTF-8"),
    "an open quote": (lambda *_: 'file,caption\na.flac,"text\n', "is no CSV file"),
    "too few": (
        lambda *_: "file,caption\nsong 1.flac,a\nsong 2.flac,b\nsong 3.flac,c\n",
        "3 recordings; .* at least 4",
    ),
    "no validation": (
        lambda *_: "file,caption,split\n" + "".join(f"song {i}.flac,text,train\n" for i in range(1, 5)),
        "leaves 0 recordings for validation",
    ),
    "cut": (truncated, r"cut\.flac cannot be decoded"),
}


@pytest.mark.parametrize(("make", "message"), FILES.values(), ids=FILES)
def test_files_of_captions_that_cannot_be_used_raise(
    music: Path, tmp_path: Path, make: Callable[[Path, Path], str | bytes], message: str
) -> None:
    folder = tmp_path / "music"
    shutil.copytree(music, folder)
    content = make(music, folder)
    (tmp_path / "captions.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read(folder, tmp_path / "captions.csv")


def test_a_byte_order_mark_and_spreadsheet_line_ends_are_read(music: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_bytes(b"\xef\xbb\xbf" + (music / "captions.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert sum(map(len, read(music, captions).values())) == 8


def test_the_captions_of_the_documentation_are_read(music: Path, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "finetuning.md").read_text()
    header, *rows = text.split("```csv\n")[1].split("```")[0].strip().splitlines()
    (tmp_path / "film").mkdir()
    for index, name in enumerate(["Overcast.mp3", "film/Oppressive Gloom.flac", "a.flac", "b.flac"]):
        shutil.copy(music / f"song {index + 1}.flac", tmp_path / name)
    (tmp_path / "captions.csv").write_text("\n".join([header, *rows, "a.flac,a", "b.flac,b"]))
    splits = read(tmp_path, tmp_path / "captions.csv")
    captions = {file.name: file.caption for files in splits.values() for file in files}
    assert (
        captions["Overcast.mp3"] == "Disco, 120 BPM, dreamy and watery, with bass, drum kit, synth, guitar and piano."
    )
    assert set(captions) == {"Overcast.mp3", "film/Oppressive Gloom.flac", "a.flac", "b.flac"}


def test_what_cannot_be_done_is_one_sentence(music: Path, recipe: Path, tmp_path: Path) -> None:
    own = ["--audio", music, "--captions", music / "captions.csv", "--output", tmp_path / "run"]
    cases: list[tuple[list[object], str]] = [
        (own[:2] + own[4:], "by --audio and --captions together, or by --dataset alone"),
        ([*own, "--dataset", "songs"], "by --audio and --captions together, or by --dataset alone"),
        (["--output", tmp_path / "run"], "by --audio and --captions together, or by --dataset alone"),
        ([*own, "--validation-share", "1.5"], "--validation-share lies between 0 and 1"),
        ([*own, "--recipe", tmp_path / "absent.yaml"], "there is no recipe"),
        ([*own, "--model", tmp_path / "absent"], "holds no model with its processor"),
        ([*own, "training.epochs=2"], "training.epochs is unknown"),
        (["--audio", tmp_path / "absent", *own[2:]], "there is no folder of audio"),
        ([*own[:2], "--captions", tmp_path / "absent.csv", *own[4:]], "there is no file of captions"),
        ([*own[:4], "--output", music / "captions.csv"], "is a file"),
        (["--dataset", tmp_path / "absent", "--output", tmp_path / "run"], "absent"),
    ]
    for arguments, message in cases:
        if "--recipe" not in arguments:
            arguments = [*arguments, "--recipe", recipe]
        code, said = invoke(*arguments)
        assert code == 2, said
        assert said.strip().startswith("Error: ")
        assert message in said
        assert not (tmp_path / "run").exists()
