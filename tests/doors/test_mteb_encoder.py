"""One vector per track or text, and a task of MTEB's with it."""

import json
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import tiny
import torch
from datasets import Audio, Dataset, DatasetDict
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from mteb.models.models_protocols import EncoderProtocol
from sentence_transformers.util import semantic_search
from torch.utils.data import DataLoader
from torchcodec.encoders import AudioEncoder

from evaluation_collap.mteb_encoder import CollapEncoder
from evaluation_collap.scorers.collap import MeanPoolingScorer

ROOT = Path(__file__).parents[2]
TEXTS = ["a slow piano ballad", "fast dance music with heavy bass", "drums and guitar enter. Then it ends"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> CollapEncoder:
    folder = tmp_path_factory.mktemp("org") / "tiny"
    tiny.model().save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    return CollapEncoder(str(folder), device="cpu")


def batches(items: list[dict[str, Any]], size: int) -> DataLoader:
    """As MTEB collates: a dict of lists."""
    return DataLoader(
        items,  # type: ignore[arg-type]
        batch_size=size,
        collate_fn=lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    )


class SongDescriptions(AbsTaskZeroShotClassification):
    """Which of the descriptions is the song's own."""

    input_column_name = "audio"
    label_column_name = "label"
    metadata = TaskMetadata(
        name="SongbookDescriptions",
        description="Songs of the songbook among their captions.",
        dataset={"path": "org/songbook", "revision": "0"},
        type="AudioZeroshotClassification",
        category="a2t",
        modalities=["audio", "text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="accuracy",
    )

    def __init__(self, songs: list[dict[str, Any]]):
        super().__init__()
        self.songs = songs

    def load_data(self, *_: Any, **__: Any) -> None:
        rows = Dataset.from_list([{"audio": song["audio"], "label": i} for i, song in enumerate(self.songs)])
        self.dataset = DatasetDict(test=rows.cast_column("audio", Audio()))
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        return [song["caption"] for song in self.songs]


@pytest.mark.slow
def test_a_task_of_mteb(songs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # collap-mini goes by its last two folders, and is found there again
    meta = CollapEncoder("checkpoints/collap-mini", device="cpu").mteb_model_meta
    cache = mteb.ResultCache(cache_path=tmp_path)
    result = mteb.evaluate(meta, SongDescriptions(songs), cache=cache, show_progress_bar=False)
    (task,) = result.task_results
    accuracy = task.get_score()
    assert accuracy >= 0.75  # 0.25 by chance
    (kept,) = tmp_path.rglob("SongbookDescriptions.json")
    assert json.loads(kept.read_text())["scores"]["test"][0]["main_score"] == accuracy
    assert kept.parent.name == meta.revision


def test_speaks_the_protocol(encoder: CollapEncoder) -> None:
    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.modalities, meta.license) == ("org0/tiny", ["audio", "text"], "apache-2.0")
    assert meta.embed_dim == 24
    assert meta.max_tokens == tiny.TEXT_LIMIT
    assert meta.n_parameters == sum(weight.numel() for weight in encoder.model.parameters())


def test_the_revision_follows_the_weights(encoder: CollapEncoder, tmp_path: Path) -> None:
    tiny.model(seed=1).save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    assert CollapEncoder(str(tmp_path), device="cpu").mteb_model_meta.revision != encoder.mteb_model_meta.revision


def test_similarity_is_that_of_mean_pooling(encoder: CollapEncoder) -> None:
    track = tiny.tone(3.4)
    vectors, texts = encoder.encode([track], sampling_rate=tiny.RATE), encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([vectors, texts]), axis=1), 1.0, rtol=1e-5)
    scorer = MeanPoolingScorer(encoder.model, encoder.processor)
    encoded = scorer.encode_track(track)
    scores = scorer.score([encoded], [scorer.encode_text(text) for text in TEXTS])  # (1, texts)
    torch.testing.assert_close(encoder.similarity(vectors, texts), scores)


def test_the_same_alone_and_in_a_batch(encoder: CollapEncoder) -> None:
    seconds = (100.0, 1.0, 3.3)
    tracks = [tiny.tone(length, 200.0 * (i + 1), seed=i) for i, length in enumerate(seconds)]
    rows = [{"audio": {"array": track, "sampling_rate": tiny.RATE}} for track in tracks]
    together = encoder.encode(batches(rows, 2))
    alone = [encoder.encode(row["audio"]) for row in rows]
    np.testing.assert_array_equal(together, np.stack(alone))
    texts = encoder.encode(batches([{"text": text} for text in TEXTS], 2))
    np.testing.assert_allclose(texts, np.stack([encoder.encode(text) for text in TEXTS]), atol=1e-6)


def test_hears_the_whole_track(encoder: CollapEncoder) -> None:
    first = tiny.tone(40.0)
    longer = np.concatenate([first, tiny.tone(20.0, 1300.0, seed=1)])
    short, long = encoder.encode([first, longer], sampling_rate=tiny.RATE)
    assert np.abs(short - long).max() > 5e-3


def test_any_rate_and_source(encoder: CollapEncoder, tmp_path: Path) -> None:
    stereo = torch.from_numpy(np.stack([tiny.tone(6.0, 200.0), tiny.tone(6.0, 311.0, seed=1)]))
    file = tmp_path / "song.wav"
    AudioEncoder(stereo, sample_rate=44100).to_file(str(file))
    column = Dataset.from_dict({"audio": [str(file)]}).cast_column("audio", Audio())
    vectors = encoder.encode([file, file.read_bytes(), {"array": stereo.numpy(), "sampling_rate": 44100}])
    vectors = np.concatenate([vectors, encoder.encode(batches(list(column), 1))])
    np.testing.assert_allclose(vectors @ vectors.T, 1.0, atol=1e-4)
    slower = encoder.encode(stereo, sampling_rate=22050)
    assert float(slower @ vectors[0]) < 0.999


def test_clips_too_short_are_padded_with_silence(encoder: CollapEncoder) -> None:
    clip = tiny.tone(0.1)
    padded = np.pad(clip, (0, encoder.processor.feature_extractor.min_samples - len(clip)))
    first, second = encoder.encode([clip, padded], sampling_rate=tiny.RATE)
    np.testing.assert_array_equal(first, second)


def test_items_of_both_kinds(encoder: CollapEncoder) -> None:
    track = {"array": tiny.tone(1.2), "sampling_rate": tiny.RATE}
    text, audio = encoder.encode([TEXTS[0], track])
    both = encoder.encode(batches([{"text": TEXTS[0], "audio": track}], 1))[0]
    np.testing.assert_allclose(both, (text + audio) / np.linalg.norm(text + audio), atol=1e-6)
    mixed = encoder.encode([track, *TEXTS, track], batch_size=2)
    np.testing.assert_allclose(mixed, [audio, *encoder.encode(TEXTS), audio], atol=1e-6)
    assert encoder.encode(TEXTS[0]).shape == (24,)


def test_sentence_transformers_searches_with_it(encoder: CollapEncoder) -> None:
    tracks = encoder.encode([tiny.tone(1.0), tiny.tone(2.0, 900.0)], sampling_rate=tiny.RATE)
    texts = encoder.encode(TEXTS)
    similarity = encoder.similarity(texts, tracks)  # (texts, tracks)
    for hits, row in zip(semantic_search(texts, tracks, top_k=1), similarity, strict=True):
        assert hits[0]["corpus_id"] == int(row.argmax())
        assert hits[0]["score"] == pytest.approx(float(row.max()), abs=1e-5)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([tiny.tone(1.0)], {}, "sampling rate is missing"),
        ([], {}, "empty list"),
        ([""], {}, "text 1 of 1 is empty"),
        (TEXTS, {"precision": "int8"}, "float32"),
        (batches([{"image": 0}], 1), {}, "reads text and audio, but the batch has image"),
    ],
)
def test_says_what_is_wrong(encoder: CollapEncoder, inputs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder.encode(inputs, **options)
