"""Scores of compressed sequences: near those of whole ones, the same alone and in a batch, and alike tracks alike."""

from collections.abc import Sequence

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures
from retrieval_collap.index import SequenceCodec, scoring
from retrieval_collap.index.scoring import alignment_with_texts, likeness, sketch_scores

SIZE, POOL = 24, 5


def song(seed: int, steps: int = 300) -> Tensor:
    """(T, D) with a motif of its own that drifts."""
    generator = torch.Generator().manual_seed(seed)
    motif = torch.randn(SIZE, generator=generator)
    return 3 * motif + 0.5 * torch.randn(steps, SIZE, generator=generator).cumsum(0)


def texts(count: int = 3) -> CollapTextFeatures:
    generator = torch.Generator().manual_seed(9)
    places = torch.rand(count, 4, generator=generator)
    places[0, 3] = -1.0
    seconds = places * 20.0 * (torch.arange(count)[:, None] != 1)  # of the second text they are 0
    passages = torch.randn(count, 4, SIZE, generator=generator)
    return CollapTextFeatures(
        torch.randn(count, SIZE, generator=generator),
        passages,
        places,
        20 * torch.rand(count, 4, generator=generator),
        seconds.where(places >= 0, -1.0),
    )


@pytest.fixture(scope="module")
def model() -> CollapModel:
    return tiny.model(
        gamma_structure=0.8, whole_text_weight=1.0, seconds_per_structure_step=0.2, attention_temperature=8.0
    )


@pytest.fixture(scope="module", params=[8, 4], ids="{} bits".format)
def codec(request: pytest.FixtureRequest) -> SequenceCodec:
    return SequenceCodec(SIZE, POOL, request.param)


@pytest.fixture(scope="module")
def records(codec: SequenceCodec) -> list[bytes]:
    """Of unequal lengths, the last shorter than a kernel."""
    return [codec.encode(song(seed, 300 - 70 * seed)) for seed in range(4)] + [codec.encode(song(4, 3))]


def exact(model: CollapModel, tracks: Sequence[Tensor], of: CollapTextFeatures) -> Tensor:
    with torch.inference_mode():
        return torch.cat([model.score(track[None], torch.tensor([len(track)]), of).fused for track in tracks])


def test_alignment_is_near_that_of_the_whole_sequence(model: CollapModel, codec: SequenceCodec) -> None:
    tracks = [song(seed, 300) for seed in range(8)]
    scores = alignment_with_texts(model, codec, [codec.encode(track) for track in tracks], texts())
    assert scores.shape == (8, 3)
    torch.testing.assert_close(scores, exact(model, tracks, texts()), rtol=0.0, atol=0.02 if codec.bits == 8 else 0.05)


def test_batches_and_order_change_no_bit(
    model: CollapModel, codec: SequenceCodec, records: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = alignment_with_texts(model, codec, records, texts())
    alike = likeness(codec, records[0], records)
    assert torch.equal(alignment_with_texts(model, codec, records[::-1], texts()).flip(0), together)
    assert torch.equal(likeness(codec, records[0], records[::-1]).flip(0), alike)
    monkeypatch.setattr(scoring, "_ELEMENTS", 1)  # every track and every text alone
    assert torch.equal(alignment_with_texts(model, codec, records, texts()), together)
    assert torch.equal(likeness(codec, records[0], records), alike)


def test_memory_stays_within_the_budget(
    model: CollapModel, codec: SequenceCodec, records: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    elements: list[int] = []
    score = model.score

    def watched(features: Tensor, lengths: Tensor, text: CollapTextFeatures, *, pool: int):
        rows = features.shape[0] * features.shape[1]
        elements.append(rows * max(SIZE, text.passage_places.numel()))
        return score(features, lengths, text, pool=pool)

    monkeypatch.setattr(model, "score", watched)
    monkeypatch.setattr(scoring, "_ELEMENTS", budget := 64 * SIZE)
    alignment_with_texts(model, codec, records, texts(20))
    assert len(elements) > 1
    assert max(elements) <= budget


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (0.2, 0.4, 0.2)], ids=["passages", "all terms"])
def test_sketches_score_as_the_sequence_where_that_keeps_still(weights: tuple[float, float, float]) -> None:
    """The passages as in full, on a track that changes every six stored steps; the other terms on one that stays."""
    kernel, temporal, whole = weights
    model = tiny.model(
        gamma_kernel=kernel,
        gamma_temporal=temporal,
        gamma_structure=0.8,
        whole_text_weight=whole,
        seconds_per_structure_step=0.6,
    )
    codec = SequenceCodec(SIZE, POOL)
    moving = not kernel
    blocks = torch.randn(9 if moving else 1, SIZE, generator=torch.Generator().manual_seed(2))
    track = blocks.repeat_interleave(6 * POOL if moving else 270, 0)
    sketch = codec.sketch(codec.encode(track))
    longer = codec.sketch(codec.encode(song(1, 400)))
    for i in range(3):
        text = texts().select(slice(i, i + 1))
        scores = sketch_scores(model, codec, [sketch, longer], text)
        assert scores.shape == (2,)
        assert float(scores[0]) == pytest.approx(float(exact(model, [track], text)), abs=2e-3)


def test_no_tracks_no_scores(model: CollapModel, codec: SequenceCodec) -> None:
    assert alignment_with_texts(model, codec, [], texts()).shape == (0, 3)
    assert likeness(codec, codec.encode(song(0)), []).shape == (0,)


def test_models_without_passages(codec: SequenceCodec) -> None:
    plain = tiny.model()
    only = CollapTextFeatures(texts().text_embeds)
    scores = alignment_with_texts(plain, codec, [codec.encode(song(0))], only)
    torch.testing.assert_close(scores, exact(plain, [song(0)], only), rtol=0.0, atol=0.05)


def test_a_track_is_most_like_itself(codec: SequenceCodec, records: list[bytes]) -> None:
    for i, record in enumerate(records):
        scores = likeness(codec, record, records)
        assert scores.argmax() == i
        assert scores[i] == pytest.approx(1.0, abs=1e-6)


def test_likeness_is_the_same_both_ways(codec: SequenceCodec, records: list[bytes]) -> None:
    table = torch.stack([likeness(codec, record, records) for record in records])
    torch.testing.assert_close(table, table.T)


def test_likeness_equals_the_loops(codec: SequenceCodec, records: list[bytes]) -> None:
    decoded = [F.normalize(codec.decode([record])[0][0].double(), dim=1) for record in records[:3]]
    scores = likeness(codec, records[0], records[:3])
    for score, other in zip(scores, decoded, strict=True):
        here = [max(float(a @ b) for b in other) for a in decoded[0]]
        there = [max(float(a @ b) for a in decoded[0]) for b in other]
        mean_here, mean_there = sum(here) / len(here), sum(there) / len(there)
        expected = (len(there) * mean_here + len(here) * mean_there) / (len(here) + len(there))
        assert float(score) == pytest.approx(expected, abs=1e-6)


def test_crops_and_noisy_copies_are_most_like_their_track(codec: SequenceCodec) -> None:
    """A crop that starts within a stored step, and the track's steps with noise of their own."""
    tracks = [song(seed) for seed in range(12)]
    records = [codec.encode(track) for track in tracks]
    noise = torch.randn(300, SIZE, generator=torch.Generator().manual_seed(5))
    for i, track in enumerate(tracks):
        for changed in (track[103:158], track + 0.5 * noise, track[:200].flip(0)):
            assert likeness(codec, codec.encode(changed), records).argmax() == i
