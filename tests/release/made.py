"""Things to release, small and made in memory, in the layouts in which training and the pipeline leave them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tiny

from dataset_scripts.audioset.pack import packed_features
from dataset_scripts.schema import dataset_from_rows

OWNER = "org"


def trained_model(folder: Path, backbone: str = "gpt2", **options: object) -> Path:
    """The output folder of a run, with all that training leaves beside the model."""
    tiny.model(backbone, **options).save_pretrained(folder)
    tiny.processor(backbone).save_pretrained(folder)
    for leftover in ("training_args.bin", "trainer_state.json", "optimizer.pt", "all_results.json"):
        (folder / leftover).write_bytes(b"{}")
    (folder / "checkpoint-2").mkdir()
    (folder / "checkpoint-2" / "model.safetensors").write_bytes(b"older")
    (folder / "metrics.json").write_text('{"steps": 4}\n')
    return folder


def packed_dataset(folder: Path, rows: int = 5) -> Path:
    """As `collap dataset build` packs it: captions that may be passed on, and audio that may not."""
    for config in ("captions", "audio"):
        (folder / config).mkdir(parents=True)
        for split, first in (("train", 0), ("validation", rows)):
            songs = [tiny.row(first + i, split=split) | {"licence": "not stated", "flags": []} for i in range(rows)]
            if config == "captions":
                for song in songs:
                    del song["audio"]
            data = dataset_from_rows(songs, packed_features(audio=config == "audio"))
            data.to_parquet(str(folder / config / f"{split}-00000-of-00001.parquet"))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# The pipeline's own card\n")
    (folder / "build.json").write_text('{"work": "/home/someone/build"}')
    return folder


def rewrite(shard: Path, column: str, values: list[object]) -> None:
    """The shard with other values in a column."""
    table = pq.read_table(shard)
    index = table.schema.get_field_index(column)
    changed = table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))
    pq.write_table(changed, shard)


def app(folder: Path) -> Path:
    """The app's folder, with caches as a developer's machine has them."""
    (folder / "space_collap" / "__pycache__").mkdir(parents=True)
    (folder / "space_collap" / "__pycache__" / "engine.pyc").write_bytes(b"compiled")
    (folder / "space_collap" / "__init__.py").write_text("")
    (folder / "app.py").write_text('print("running")\n')
    (folder / "requirements.txt").write_text("gradio>=6.31,<7\n")
    (folder / "README.md").write_text(
        "---\ntitle: CoLLAP\nsdk: gradio\nsdk_version: 6.31.0\npython_version: '3.11'\napp_file: app.py\n"
        "license: apache-2.0\nmodels:\n- org/collap-mini\n---\n# CoLLAP\n\nIt runs on `org/collap-mini`.\n"
    )
    return folder


def library(folder: Path, licence: str = "CC0-1.0") -> Path:
    """A library of one track."""
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "song.opus").write_bytes(b"OggS")
    track = {"id": "song", "title": "Song", "file": "audio/song.opus", "licence": licence}
    (folder / "tracks.jsonl").write_text(json.dumps(track) + "\n")
    return folder
