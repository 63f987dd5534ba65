"""Retrieval quality of an index of real songs, against the score of their whole, uncompressed sequences."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from rich.progress import track
from torch import Tensor

from evaluation_collap.probes.recall import retrieval_both_ways
from evaluation_collap.scorers.collap import load_collap
from modeling_collap import CollapModel, CollapTextFeatures
from processing_collap import CollapProcessor, load_audio
from retrieval_collap import TrackIndex
from retrieval_collap.index import IndexedTrack

from .index_tracks import MINI

SONGBOOK = Path(__file__).resolve().parents[1] / "data" / "songbook"


def songs(folder: Path) -> list[dict[str, Any]]:
    """The validation songs: id, audio and caption. None where there is no songbook."""
    shards = sorted((folder / "data").glob("validation-*.parquet"))
    return [row for shard in shards for row in pq.read_table(shard, columns=["id", "audio", "caption"]).to_pylist()]


@torch.inference_mode()
def recalls(rows: list[dict[str, Any]], bits: int = 8, candidates: int | None = None) -> tuple[dict, dict]:
    """Retrieval metrics by text of the exact score and of searches, see `retrieval_both_ways`."""
    model, processor = load_collap(str(MINI))
    sequences = [_sequence(model, processor, row["audio"]["bytes"]) for row in track(rows, "encoding songs")]
    captions = [row["caption"] for row in rows]
    texts = [model.encode_text(**processor(text=[caption], return_tensors="pt")) for caption in captions]
    together = CollapTextFeatures.cat(texts)
    exact = torch.cat([model.score(s[None], torch.tensor([len(s)]), together).fused for s in sequences])  # (N, M)
    found = torch.full_like(exact, -torch.inf)
    with tempfile.TemporaryDirectory() as folder:
        index = TrackIndex.create(Path(folder) / "index", model, processor, bits=bits)
        index.write([_row(index, number, sequence) for number, sequence in enumerate(sequences)])
        for column, caption in enumerate(captions):
            for match in index.search(caption, top=candidates or len(rows), candidates=candidates):
                found[int(match.id), column] = match.score
    return retrieval_both_ways(exact), retrieval_both_ways(found)


def _sequence(model: CollapModel, processor: CollapProcessor, audio: bytes) -> Tensor:
    """(T, D)."""
    rate = processor.feature_extractor.sampling_rate
    inputs = processor.feature_extractor(load_audio(audio, rate), sampling_rate=rate, return_tensors="pt")
    features, lengths = model.get_audio_features(**inputs)
    return features[0, : lengths[0]]


def _row(index: TrackIndex, number: int, sequence: Tensor) -> IndexedTrack:
    return IndexedTrack(
        id=f"{number}",
        path="",
        title="",
        duration=len(sequence) / index.model.config.steps_per_second,
        content_hash="",
        size=0,
        modified=0.0,
        tags=(),
        **index.compress(sequence)._asdict(),
    )
