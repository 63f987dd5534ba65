"""One schema: what it holds, what is written with it, and what is said of shards that do not match."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value, load_dataset

from dataset_scripts.schema import NULLABLE, check_table, dataset_features, dataset_from_rows, read_shards
from dataset_scripts.songbook import SongbookSettings, build_songbook
from dataset_scripts.songbook.build import _plan_shards

LATER = ["youtube_id", "section_tags", "audioset_labels", "caption_source", "caption_model", "provenance"]


def row(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A row with what is required and an encoded sound."""
    sections = [
        {"start": 0.0, "end": 60.0, "label": "Intro", "caption": "A piano alone."},
        {"start": 60.0, "end": 120.5, "label": "", "caption": "Drums."},
    ]
    return {
        "id": name,
        "song_id": name,
        "audio": {"bytes": b"RIFF", "path": f"{name}.wav"},
        "duration": 120.5,
        "caption": "A calm song.",
        "global_caption": "",
        "structure": sections,
        "source": "tests",
        "licence": "CC0-1.0",
        "split": "train",
        **fields,
    }


def section(**fields: Any) -> list[dict[str, Any]]:
    return [{"start": 10.0, "end": 20.0, "label": "Verse", "caption": "A voice.", **fields}]


def write(path: Path, rows: list[dict[str, Any]], *, without: list[str] | None = None) -> Path:
    """A shard as a builder writes it that looks at nothing, with two rows a group."""
    schema = dataset_features().arrow_schema
    table = pa.Table.from_pylist(rows, schema=schema).drop_columns(without or [])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


def test_columns() -> None:
    features = dataset_features()
    assert list(features) == [
        *("id", "song_id", "youtube_id", "audio", "duration", "caption", "global_caption", "structure", "section_tags"),
        *("audioset_labels", "source", "caption_source", "caption_model", "licence", "provenance", "split"),
    ]
    assert frozenset({*LATER, "audio"}) == NULLABLE
    assert "audio" not in dataset_features(audio=False)
    assert dataset_features(sampling_rate=16_000)["audio"].sampling_rate == 16_000


def test_rows_without_the_nullable_columns_have_null_there() -> None:
    plain = {name: value for name, value in row().items() if name != "audio"}
    data = dataset_from_rows([plain, row("b", audioset_labels=["Music", "Jazz"], youtube_id="b")])
    assert data["audioset_labels"] == [None, ["Music", "Jazz"]]
    assert data[0]["audio"] is None
    assert data[1]["audio"] == {"bytes": b"RIFF", "path": "b.wav"}
    assert data[1]["structure"] == row()["structure"]


def test_tags_stand_beside_the_sections_that_they_are_of() -> None:
    sections = row()["structure"]
    tags = [[f"instrument: {i}"] for i in range(len(sections))]
    data = dataset_from_rows([row(), row("b", section_tags=tags)])
    assert data["section_tags"] == [None, tags]
    with pytest.raises(ValueError, match=rf"row 1 \('b'\), field section_tags: tags of {len(tags) + 1} sections"):
        dataset_from_rows([row(), row("b", section_tags=[*tags, []])])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mood": "calm"}, r"row 1 \('b'\) has a field mood"),
        ({"duration": "two minutes"}, r"row 1 \('b'\), field duration: 'two minutes'"),
        ({"structure": [{"start": "zero"}]}, r"row 1 \('b'\), field structure"),
        ({"caption": None}, r"row 1 \('b'\), field caption: null"),
    ],
)
def test_rows_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataset_from_rows([row(), row("b", **fields)])


def test_row_without_a_required_column() -> None:
    with pytest.raises(ValueError, match=r"row 0 \('a'\) lacks the field licence"):
        dataset_from_rows([{name: value for name, value in row().items() if name != "licence"}])


def test_old_shards_and_new_ones_are_read_together(tmp_path: Path) -> None:
    write(tmp_path / "data/train-00000-of-00002.parquet", [row("a"), row("b"), row("c")], without=LATER)
    write(tmp_path / "data/train-00001-of-00002.parquet", [row("d", youtube_id="d", caption_model="tiny")])
    data = read_shards(tmp_path, cache=tmp_path / "cache")
    assert data.features == dataset_features()
    assert data["id"] == ["a", "b", "c", "d"]
    assert data["youtube_id"] == [None, None, None, "d"]
    assert data["caption_model"] == [None, None, None, "tiny"]
    assert data["structure"][3] == row()["structure"]


def test_old_shards_load_as_they_did(tmp_path: Path) -> None:
    file = write(tmp_path / "train-00000-of-00001.parquet", [row("a"), row("b")], without=LATER)
    data = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert [name for name in dataset_features() if name not in LATER] == data.column_names
    assert data["id"] == ["a", "b"]


def test_shards_without_audio(tmp_path: Path) -> None:
    file = write(tmp_path / "captions.parquet", [row()], without=["audio"])
    data = read_shards(file, cache=tmp_path / "cache")
    assert data.features == dataset_features(audio=False)


def test_further_columns_are_kept(tmp_path: Path) -> None:
    features = Features({**dataset_features(decode=False), "labels": List(ClassLabel(names=["blues", "jazz"]))})
    dataset_from_rows([row(labels=["jazz"])], features).to_parquet(tmp_path / "genres.parquet")
    data = read_shards([tmp_path / "genres.parquet"], cache=tmp_path / "cache")
    assert data.features["labels"] == features["labels"]
    assert data["labels"] == [[1]]
    dataset_from_rows(
        [row(labels="jazz")], Features({**dataset_features(decode=False), "labels": Value("string")})
    ).to_parquet(tmp_path / "words.parquet")
    with pytest.raises(ValueError, match=r"words.parquet, all rows, field labels: its type is .* elsewhere"):
        read_shards(tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"caption": None}, "field caption: null"),
        ({"id": None}, r"row 3 \(None\), field id: null"),
        ({"structure": None}, "field structure: null"),
        ({"duration": float("nan")}, "field duration: nan s is no length"),
        ({"duration": -1.0}, "field duration: -1 s is no length"),
        ({"structure": section(label=None)}, r"field structure\.label: null in a section"),
        ({"structure": section(start=None)}, r"field structure\.start: null in a section"),
        ({"structure": [None]}, r"field structure\.start: null in a section"),
        ({"structure": section(end=10.0)}, "field structure: a section from 10 to 10 s ends before it starts"),
        ({"structure": section(end=5.0)}, "field structure: a section from 10 to 5 s ends before it starts"),
        ({"structure": section(end=float("nan"))}, "field structure: a section from 10 to nan s"),
        ({"structure": section(start=-0.5)}, "field structure: a section from -0.5 to 20 s lies outside"),
        ({"structure": [*section(), *section(end=121.0)]}, "from 10 to 121 s lies outside the duration of 120.5 s"),
    ],
)
def test_file_row_and_field_are_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    good = write(tmp_path / "data/train-00000-of-00002.parquet", [row("a"), row("b", structure=[])])
    file = write(tmp_path / "data/train-00001-of-00002.parquet", [row("c"), row("d"), row("e"), row("f", **fields)])
    assert len(read_shards(good, cache=tmp_path / "cache")) == 2
    with pytest.raises(ValueError, match=message) as raised:
        read_shards(tmp_path, cache=tmp_path / "cache")
    assert str(raised.value).startswith(f"{file}, row 3 ")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["long", "short"]), r"field duration: its type is string, it must be float"),
        (pa.array([None, None], pa.null()), r"field duration: its type is null, it must be float"),
        (None, r"lacks the field duration"),
    ],
)
def test_columns_of_another_type(tmp_path: Path, column: pa.Array | None, message: str) -> None:
    file = write(tmp_path / "train.parquet", [row("a"), row("b")], without=["duration"])
    if column is not None:
        pq.write_table(pq.read_table(file).append_column("duration", column), file)
    with pytest.raises(ValueError, match=rf"train\.parquet.*{message}"):
        read_shards(file)


def test_section_of_other_fields(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", [row()], without=["structure"])
    sections = pa.array([[{"start": 0.0, "end": 1.0, "name": "Intro"}]])
    pq.write_table(pq.read_table(file).append_column("structure", sections), file)
    with pytest.raises(ValueError, match=r"field structure: its type is .*name"):
        read_shards(file)


def test_types_that_say_the_same_are_cast(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", [row()], without=["duration", "caption", "youtube_id"])
    table = pq.read_table(file).append_column("duration", pa.array([120.5], pa.float64()))
    table = table.append_column("caption", pa.array(["words"], pa.large_string()))
    pq.write_table(table.append_column("youtube_id", pa.array([None], pa.null())), file)
    data = read_shards(file, cache=tmp_path / "cache")
    assert data.features == dataset_features()
    assert (data["youtube_id"], data["duration"], data["caption"]) == ([None], [120.5], ["words"])


def test_parts_of_tables_are_looked_at(tmp_path: Path) -> None:
    rows = [row("a", structure=section(end=500.0)), row("b"), row("c", structure=section(start=30.0))]
    table = pa.Table.from_pylist(rows, schema=dataset_features().arrow_schema)
    check_table(table.slice(1, 1), "rows in memory")
    check_table(table.slice(0, 0), "no rows")
    with pytest.raises(ValueError, match=r"rows in memory, row 7 \('c'\)"):
        check_table(table.slice(1), "rows in memory", first=6)


def test_what_is_no_shard(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no parquet files"):
        read_shards(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no shard .*absent"):
        read_shards([tmp_path / "absent.parquet"])
    with pytest.raises(FileNotFoundError, match="no shards are named"):
        read_shards([])
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"torn\.parquet is no parquet file"):
        read_shards(tmp_path)


def test_unfinished_songbook_of_an_earlier_version_is_not_gone_on_with(tmp_path: Path) -> None:
    settings = SongbookSettings(songwriter=2, rows_per_shard=1)
    write(tmp_path / "data" / next(iter(_plan_shards(settings))), [row()], without=LATER)
    with pytest.raises(ValueError, match="earlier version, without the column youtube_id"):
        build_songbook(tmp_path, settings, workers=1)
