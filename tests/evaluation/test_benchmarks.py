"""Where the rows come from: names, datasets in the schema, folders of audio, and what is wrong with them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from stand_ins import write_audio, write_table
from tiny import RATE, row, rows, tone, write_dataset
from torch import from_numpy
from torchcodec.encoders import AudioEncoder

from dataset_scripts.schema import dataset_from_rows
from evaluation_collap import benchmarks
from evaluation_collap.benchmarks import PAPER_BENCHMARKS, Benchmark, DataOptions, find_benchmark


@pytest.fixture
def options(tmp_path: Path) -> DataOptions:
    return DataOptions(cache=tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings, one of them with two captions, as CSV and as JSON lines."""
    folder = tmp_path / "music"
    (folder / "audio").mkdir(parents=True)
    for index, name in enumerate(("one", "two")):
        path = folder / "audio" / f"{name}.flac"
        AudioEncoder(from_numpy(tone(2.0 + index))[None], sample_rate=RATE).to_file(path)
    captions = [("audio/one.flac", "slow, and soft"), ("audio/two.flac", "fast"), ("audio/one.flac", "soft and slow")]
    (folder / "captions.csv").write_text("file,caption\n" + "".join(f'{name},"{text}"\n' for name, text in captions))
    lines = [json.dumps({"file": name, "description": text, "bpm": 90}) for name, text in captions]
    (folder / "words.jsonl").write_text("\n".join(lines) + "\n\n")
    return folder


def of_rows(data: Dataset, **fields: Any) -> Benchmark:
    return Benchmark("mine", "Mine", "all", lambda: data, **fields)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown benchmark 'songdescribe' \(did you mean 'songdescriber'\?\)"):
        find_benchmark("songdescribe")
    with pytest.raises(ValueError, match="unknown kind of benchmark 'zip:data'"):
        find_benchmark("zip:data")


@pytest.mark.parametrize("name", PAPER_BENCHMARKS)
def test_the_papers_benchmarks_say_what_is_missing(name: str, tmp_path: Path) -> None:
    title = PAPER_BENCHMARKS[name].title
    with pytest.raises(ValueError, match=re.escape(f"name the folder of {title} with --data-dir")):
        find_benchmark(name)
    benchmark = find_benchmark(name, DataOptions(data_dir=tmp_path))
    assert (benchmark.title, benchmark.recall_at) == (title, (1, 5, 20, 100))
    with pytest.raises(OSError, match=rf"{title.partition(' ')[0]}: .* holds no .*(publishes it at|docs/benchmarks)"):
        benchmark.rows()


def write_musiccaps(folder: Path, caption: str) -> None:
    write_table(folder / "musiccaps-public.csv", [{"ytid": "a" * 11, "start_s": 0, "end_s": 10, "caption": caption}])
    write_audio(folder / "audio" / f"{'a' * 11}.flac")


def test_the_folder_of_a_benchmark_or_of_all(tmp_path: Path) -> None:
    write_musiccaps(tmp_path, "alone")
    options = DataOptions(data_dir=tmp_path)
    assert list(find_benchmark("musiccaps", options).rows()["caption"]) == ["alone"]
    write_musiccaps(tmp_path / "musiccaps", "among others")
    assert list(find_benchmark("musiccaps", options).rows()["caption"]) == ["among others"]
    assert find_benchmark("musiccaps", options).captions == "the musicians' captions"


def test_a_file_of_captions_for_one_of_the_papers_benchmarks(tmp_path: Path) -> None:
    write_musiccaps(tmp_path, "official")
    (tmp_path / "mine.jsonl").write_text(json.dumps({"id": "a" * 11, "caption": "mine"}))
    options = DataOptions(data_dir=tmp_path, captions_file=tmp_path / "mine.jsonl", caption_column="global_caption")
    benchmark = find_benchmark("musiccaps", options)
    assert list(benchmark.rows()["caption"]) == ["mine"]
    assert benchmark.captions == "the column global_caption: captions of mine.jsonl"
    with pytest.raises(ValueError, match="--captions-file does not go with vctk, whose texts are the transcripts"):
        find_benchmark("vctk", options)
    with pytest.raises(ValueError, match="--split goes with a dataset in the schema, which musiccaps is not"):
        find_benchmark("musiccaps", DataOptions(data_dir=tmp_path, split="test"))


def test_a_dataset_in_the_schema(tmp_path: Path, options: DataOptions) -> None:
    folder = write_dataset(tmp_path / "songs", train=3, validation=5)
    for spec in (f"dataset:{folder}", str(folder)):
        benchmark = find_benchmark(spec, options)
        data = benchmark.rows()
        assert benchmark.title == "songs"
        assert list(data["id"]) == [f"song-{i}" for i in range(5)]
        assert data[0]["audio"]["bytes"]
    assert len(find_benchmark(str(folder), DataOptions(split="train", cache=options.cache)).rows()) == 3


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "songs")
    with pytest.raises(ValueError, match="has no split 'test': it holds the splits train, validation"):
        find_benchmark(str(folder), DataOptions(split="test")).rows()
    with pytest.raises(ValueError, match="it holds no parquet files"):
        find_benchmark(f"dataset:{tmp_path}").rows()


def test_neither_folder_nor_hub_dataset(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is neither a folder nor a Hub dataset with a split 'validation'"):
        find_benchmark(f"dataset:{tmp_path / 'absent'}").rows()


def test_the_first_rows(options: DataOptions) -> None:
    assert list(of_rows(rows(4)).rows(2)["id"]) == ["song-0", "song-1"]
    assert len(of_rows(rows(4)).rows(9)) == 4


def test_texts_of_another_column() -> None:
    data = of_rows(rows(2), caption_column="global_caption").rows()
    assert list(data["caption"]) == ["song 0 of two tones", "song 1 of two tones"]


def test_rows_that_are_not_in_the_schema() -> None:
    with pytest.raises(ValueError, match="mine lacks the column audio; it has id, caption"):
        of_rows(rows(2).select_columns(["id", "caption"])).rows()
    with pytest.raises(ValueError, match="mine lacks the column words"):
        of_rows(rows(2), caption_column="words").rows()
    with pytest.raises(ValueError, match=r"the column audio of mine holds .*string.*, not Audio"):
        of_rows(Dataset.from_dict({"id": ["a"], "audio": ["a.wav"], "caption": ["a"]})).rows()
    with pytest.raises(ValueError, match="mine has no rows"):
        of_rows(rows(2).select([])).rows()
    blank = dataset_from_rows([row(0), {**row(1), "caption": " "}])
    with pytest.raises(ValueError, match=r"row 1 of mine \(song-1\) has an empty caption"):
        of_rows(blank).rows()


def test_a_folder_of_audio_with_captions(folder: Path) -> None:
    for spec in (f"folder:{folder}", str(folder)):
        data = find_benchmark(spec).rows()
        assert list(data["id"]) == ["audio/one.flac", "audio/two.flac", "audio/one.flac"]
        assert list(data["caption"]) == ["slow, and soft", "fast", "soft and slow"]
        assert data[1]["duration"] == pytest.approx(3.0)
        assert data[0]["audio"] == {"bytes": None, "path": str(folder / "audio" / "one.flac")}


def test_captions_in_json_lines_under_another_name(folder: Path) -> None:
    options = DataOptions(captions_file=folder / "words.jsonl", caption_column="description")
    data = find_benchmark(f"folder:{folder}", options).rows()
    assert list(data["caption"]) == ["slow, and soft", "fast", "soft and slow"]


def test_captions_that_cannot_be_used(folder: Path) -> None:
    captions = folder / "captions.csv"
    captions.write_text("file,caption\naudio/one.flac,\naudio/three.flac,fast\naudio/two.flac,slow, and soft\n")
    with pytest.raises(ValueError, match=r"row 2: the caption of audio/one\.flac is empty") as error:
        find_benchmark(str(folder)).rows()
    assert "row 3: there is no file 'audio/three.flac'" in str(error.value)
    assert "row 4: more fields than columns" in str(error.value)
    captions.write_text("name,caption\na,b\n")
    with pytest.raises(ValueError, match="lacks the column file"):
        find_benchmark(str(folder)).rows()
    captions.write_text("file,caption\n")
    with pytest.raises(ValueError, match="names no recording"):
        find_benchmark(str(folder)).rows()
    for line, reason in (
        ("no json", "row 1 of .* is no JSON"),
        ("[1]", "no JSON object"),
        ('{"file": "a"}', "field caption"),
    ):
        (folder / "words.jsonl").write_text(line + "\n")
        with pytest.raises(ValueError, match=reason):
            find_benchmark(str(folder), DataOptions(captions_file=folder / "words.jsonl")).rows()


def test_no_captions_at_all(folder: Path, tmp_path: Path) -> None:
    (folder / "captions.csv").unlink()
    with pytest.raises(OSError, match=r"holds none of captions\.csv, .*--captions-file"):
        find_benchmark(str(folder)).rows()
    with pytest.raises(OSError, match="there is no file of captions"):
        find_benchmark(str(folder), DataOptions(captions_file=tmp_path / "none.csv")).rows()
    with pytest.raises(OSError, match="there is no folder of audio"):
        find_benchmark(f"folder:{tmp_path / 'none'}").rows()
    with pytest.raises(ValueError, match="--captions-file goes with a folder of audio, which songbook is not"):
        find_benchmark("songbook", DataOptions(captions_file=tmp_path / "none.csv"))


def test_a_recording_that_does_not_decode_keeps_its_row(folder: Path) -> None:
    (folder / "audio" / "two.flac").write_bytes(b"this is no sound")
    data = find_benchmark(str(folder)).rows()
    assert len(data) == 3
    assert data[1]["duration"] == 0


def test_real_recordings_with_the_composers_words(shared_data: Path) -> None:
    options = DataOptions(caption_column="description")
    data = find_benchmark(f"folder:{shared_data / 'macleod_real'}", options).rows()
    assert len(data) == 21
    assert min(data["duration"]) >= 120
    assert len(set(data["caption"])) == 21


def test_a_songbook_that_was_not_rendered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmarks, "SONGBOOK", tmp_path / "songbook")
    with pytest.raises(ValueError, match="`make songbook` renders it"):
        find_benchmark("songbook").rows()
