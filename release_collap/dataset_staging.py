"""The dataset repository, assembled: shards, card, licence."""

from pathlib import Path

import pyarrow.parquet as pq
from huggingface_hub import DatasetCard

from dataset_scripts.schema import check_schema, check_table

from .card_statistics import dataset_statistics
from .cards import render_dataset_card
from .errors import ReleaseError
from .licences import is_open
from .staging import place, staging_folder

CAPTIONS, DATA = "captions", "data"
_LICENCE = "LICENSE"
_ADDRESSES = {
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/legalcode",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
}


def assemble_dataset(name: str, source: Path, output: Path, *, org: str, rehearsal: bool = False) -> Path:
    """The folder `output/name` with exactly what is pushed.

    Args:
        name: of the data set, as "collap-audioset": its card is that of this repository, with what is counted here.
        source: a folder as `collap dataset build` packs it, of which `captions` is published and `audio` stays; or one
            whose shards lie in `data`.
        rehearsal: whether these are stand-ins; the card then says so.

    Raises:
        ReleaseError: there are no shards, one is not in the schema, or has recordings that may not be passed on.
    """
    shards = dataset_shards(name, source)
    with staging_folder(output / name) as folder:
        for shard in shards:
            _check_shard(name, shard)
            place(shard, folder / shard.parent.name / shard.name)
        statistics = dataset_statistics([folder / shard.parent.name / shard.name for shard in shards])
        card = render_dataset_card(name, org=org, statistics=statistics, stand_in=rehearsal)
        (folder / "README.md").write_text(card, encoding="utf-8")
        if (source / _LICENCE).is_file():
            place(source / _LICENCE, folder / _LICENCE)
        else:
            (folder / _LICENCE).write_text(_licence(name, DatasetCard(card).data.get("license")), encoding="utf-8")
    return output / name


def dataset_shards(name: str, source: Path) -> list[Path]:
    """The shards of a data set that are published.

    Raises:
        ReleaseError: there are none.
    """
    if not source.is_dir():
        raise ReleaseError(f"{name}: there is no folder {source}")
    shards = sorted(source.glob(f"{CAPTIONS}/*.parquet")) or sorted(source.glob(f"{DATA}/*.parquet"))
    if not shards:
        raise ReleaseError(f"{name}: {source} holds no parquet files in {CAPTIONS} or {DATA}")
    return shards


def _check_shard(name: str, shard: Path) -> None:
    """Every row is in the schema, and its recording, if the shard has it, may be passed on."""
    try:
        with pq.ParquetFile(shard) as file:
            check_schema(file.schema_arrow, shard.name)
            columns, first = [column for column in file.schema_arrow.names if column != "audio"], 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                check_table(table, shard.name, first)
                if "audio" in file.schema_arrow.names:
                    _check_licences(name, shard, table["licence"].to_pylist(), first)
                first += table.num_rows
    except (OSError, ValueError) as error:
        if isinstance(error, ReleaseError):
            raise
        raise ReleaseError(f"{name}: {error}") from error


def _check_licences(name: str, shard: Path, licences: list[str | None], first: int) -> None:
    for row, licence in enumerate(licences, start=first):
        if not is_open(licence):
            raise ReleaseError(
                f"{name}: {shard.name} has audio, and the licence of its row {row} is {licence!r}: only recordings "
                "under CC0, CC BY, CC BY-SA or MIT, or in the public domain, are published; release the captions alone"
            )


def _licence(name: str, licence: str | None) -> str:
    if licence not in _ADDRESSES:
        raise ReleaseError(f"{name}: put the text of its licence ({licence}) as {_LICENCE} beside the shards")
    return (
        f"The captions and their times are licensed under {licence.upper()}:\n{_ADDRESSES[licence]}\n\n"
        "The recordings that they describe are their owners'.\n"
    )
