"""The dataset schema: every builder writes it and every loader reads it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Audio, Dataset, Features, List, Value

SECTION = {"start": Value("float32"), "end": Value("float32"), "label": Value("string"), "caption": Value("string")}
# Columns that a row may leave empty and a shard may lack: the first shards had only the others.
NULLABLE = frozenset(
    {"audio", "youtube_id", "section_tags", "audioset_labels", "caption_source", "caption_model", "provenance"}
)


def dataset_features(*, audio: bool = True, sampling_rate: int | None = None, decode: bool = True) -> Features:
    """Columns of a captioned-track dataset.

    - `id` names the row, `song_id` the recording or composition that rows may share; `youtube_id` is null elsewhere.
    - `audio` holds the encoded bytes; `sampling_rate` resamples on decoding, `decode=False` hands the bytes over as
      they are, and `audio=False` leaves the column out.
    - `duration` and the `start` and `end` of `structure` are in seconds; sections lie within the duration. It is 0 of a
      recording that does not decode.
    - `caption` is the whole text; `global_caption` and the captions of `structure` are its parts, "" where one is not
      given.
    - `section_tags` names what is heard in each section of `structure`, all that is known of it, where its caption says
      what it says.
    - `audioset_labels` names the classes of the AudioSet ontology that the clip was labelled with.
    - `source` is the collection that the recording is from; `caption_source` says how its caption came about, and
      `caption_model` which model wrote it. `provenance` tells where both can be had again.

    The columns of `NULLABLE` may be null, the others not.
    """
    features = Features(
        {
            "id": Value("string"),
            "song_id": Value("string"),
            "youtube_id": Value("string"),
            "audio": Audio(sampling_rate=sampling_rate, decode=decode),
            "duration": Value("float32"),
            "caption": Value("string"),
            "global_caption": Value("string"),
            "structure": List(SECTION),
            "section_tags": List(List(Value("string"))),
            "audioset_labels": List(Value("string")),
            "source": Value("string"),
            "caption_source": Value("string"),
            "caption_model": Value("string"),
            "licence": Value("string"),
            "provenance": Value("string"),
            "split": Value("string"),
        }
    )
    if not audio:
        del features["audio"]
    return features


def dataset_from_rows(rows: Iterable[Mapping[str, Any]], features: Features | None = None) -> Dataset:
    """Rows as a data set in memory; the nullable columns that a row does not name are null.

    Args:
        rows: in the schema, `structure` as a list of dictionaries.
        features: the schema, with further columns if the rows have some; by default `dataset_features(decode=False)`.

    Raises:
        ValueError: a row lacks a column, has one that is not in `features`, or holds what cannot be; the message names
            the row (from 0) and the field.
    """
    features = dataset_features(decode=False) if features is None else features
    rows = list(rows)
    for number, row in enumerate(rows):
        if missing := [name for name in features if name not in row and name not in NULLABLE]:
            raise ValueError(f"row {number} ({row.get('id')!r}) lacks the field {missing[0]}.")
        if unknown := [name for name in row if name not in features]:
            raise ValueError(f"row {number} ({row.get('id')!r}) has a field {unknown[0]}, which the schema does not.")
    columns = {name: [row.get(name) for row in rows] for name in features}
    try:
        data = Dataset.from_dict(columns, features=features)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ValueError(f"{_misfit(columns, features)}: {error}") from error
    check_table(data.data.table, "the data set")
    return data


def read_shards(source: str | Path | Sequence[str | Path], *, cache: Path | None = None) -> Dataset:
    """Parquet shards in the schema as one data set, after a look at all of their rows (not at the audio).

    Columns that no builder wrote at first are filled with null where a shard lacks them, so that older shards and new
    ones are read together. `audio` is left out where no shard has it. Further columns, such as the `labels` of some
    benchmarks, are kept.

    Args:
        source: a folder, with the shards in it or in its `data`, or the files themselves, read in the order given.
        cache: where `datasets` keeps its copy of the rows; by default its own cache.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds no parquet files.
        ValueError: a shard is no parquet file or does not match; the message names file, field and row (from 0).
    """
    files = _shard_files(source)
    schemas = {file: _schema(file) for file in files}
    features = _features(schemas)
    for file in files:
        names = [name for name in schemas[file].names if name != "audio"]
        first = 0
        with pq.ParquetFile(file) as shard:
            for group in range(shard.num_row_groups):
                table = shard.read_row_group(group, columns=names)
                check_table(table, str(file), first)
                first += table.num_rows
    data: Any = Dataset.from_parquet(
        [str(file) for file in files], features=features, cache_dir=None if cache is None else str(cache)
    )
    return data


def check_table(table: pa.Table, name: str, first: int = 0) -> None:
    """Looks at all rows of a table in the schema; `audio` is passed over, other columns are of no concern.

    Args:
        name: what the message calls the table, such as its file.
        first: number of the first row, where the table is a part.

    Raises:
        ValueError: a column is absent or of another type, a required value is null, the duration is no length, or a
            section ends before it starts or lies outside the duration.
    """
    check_schema(table.schema, name)

    def fail(field: str, row: int, problem: str) -> None:
        raise ValueError(f"{name}, row {first + row} ({table['id'][row].as_py()!r}), field {field}: {problem}.")

    for field in dataset_features(audio=False):
        if field not in NULLABLE and table[field].null_count:
            fail(field, _first(table[field].is_null()), "null, which only an optional field may be")
    if "section_tags" in table.column_names:
        counts, tagged = (pc.list_value_length(table[field]) for field in ("structure", "section_tags"))
        if pc.any(wrong := pc.fill_null(pc.not_equal(counts, tagged), False)).as_py():
            i = _first(wrong)
            fail("section_tags", i, f"tags of {tagged[i]} sections, but `structure` has {counts[i]}")
    durations = table["duration"].to_numpy()
    if (wrong := ~(np.isfinite(durations) & (durations >= 0))).any():
        fail("duration", row := int(wrong.argmax()), f"{durations[row]:g} s is no length")
    structure = pa.chunked_array(table["structure"]).combine_chunks()
    rows = pc.list_parent_indices(structure).to_numpy()
    sections = pc.list_flatten(structure)
    for field in SECTION:
        values = pc.struct_field(sections, field)
        if values.null_count:
            fail(f"structure.{field}", int(rows[_first(values.is_null())]), "null in a section")
    starts, ends = (pc.struct_field(sections, field).to_numpy(zero_copy_only=False) for field in ("start", "end"))
    if (wrong := ~(starts < ends)).any():
        i = int(wrong.argmax())
        fail("structure", int(rows[i]), f"a section from {starts[i]:g} to {ends[i]:g} s ends before it starts")
    if (wrong := (starts < 0) | (ends > durations[rows])).any():
        i = int(wrong.argmax())
        span, duration = f"{starts[i]:g} to {ends[i]:g} s", durations[rows[i]]
        fail("structure", int(rows[i]), f"a section from {span} lies outside the duration of {duration:g} s")


def check_schema(schema: pa.Schema, name: str) -> None:
    """Looks at the columns of `name`.

    Raises:
        ValueError: a required column is absent, or one is of another type.
    """
    for field in dataset_features().arrow_schema:
        if field.name not in schema.names:
            if field.name not in NULLABLE:
                raise ValueError(f"{name} lacks the field {field.name}, which every row of the schema has.")
            continue
        found = schema.field(field.name).type
        if not _matches(found, field.type) and not (pa.types.is_null(found) and field.name in NULLABLE):
            raise ValueError(f"{name}, all rows, field {field.name}: its type is {found}, it must be {field.type}.")


def _matches(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether one type is the other, up to the number of bits and the order of fields."""
    kinds = (
        (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
        (pa.types.is_floating,),
    )
    for kind in kinds:
        if any(check(wanted) for check in kind):
            return any(check(found) for check in kind)
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and (_matches(found.value_type, wanted.value_type) or pa.types.is_null(found.value_type))
    if pa.types.is_struct(wanted):
        names = {field.name for field in wanted}
        return (
            pa.types.is_struct(found)
            and {field.name for field in found} == names
            and all(_matches(found.field(name).type, wanted.field(name).type) for name in names)
        )
    return found == wanted


def _shard_files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(source, (str, Path)):
        files = [Path(file) for file in source]
    elif Path(source).is_dir():
        files = sorted(Path(source).glob("data/*.parquet")) or sorted(Path(source).glob("*.parquet"))
        if not files:
            raise FileNotFoundError(f"the folder {source} holds no parquet files, nor does its folder data.")
    else:
        files = [Path(source)]
    if not files:
        raise FileNotFoundError("no shards are named.")
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"there is no shard {missing[0]}.")
    return files


def _schema(file: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is no parquet file: {error}") from error
    check_schema(schema, str(file))
    return schema


def _features(schemas: Mapping[Path, pa.Schema]) -> Features:
    """The schema, and what columns the shards have beside it."""
    features = dataset_features(audio=any("audio" in schema.names for schema in schemas.values()))
    own = frozenset(dataset_features())
    for file, schema in schemas.items():
        for name, feature in Features.from_arrow_schema(schema).items():
            if name not in own and features.setdefault(name, feature) != feature:
                raise ValueError(f"{file}, all rows, field {name}: its type is {feature}, elsewhere {features[name]}.")
    return features


def _first(mask: Any) -> int:
    """Index of the first true value."""
    return int(np.argmax(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy()))


def _misfit(columns: Mapping[str, Sequence[Any]], features: Features) -> str:
    """Row and field of the first value that is not of its type."""
    for name, feature in features.items():
        for number, value in enumerate(columns[name]):
            try:
                Dataset.from_dict({name: [value]}, features=Features({name: feature}))
            except (pa.ArrowException, TypeError, ValueError):
                return f"row {number} ({columns['id'][number]!r}), field {name}: {value!r} is no {feature}"
    return "the rows do not fit the schema"
