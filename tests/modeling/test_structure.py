"""The structure term: against loops written out, under padding, and in the model."""

import importlib.util
import math
from pathlib import Path

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures, structure_scores
from modeling_collap.structure import pooled_steps, reordered_scores

LENGTHS = torch.tensor([11, 4, 7])
SECONDS = torch.tensor([[-1.0, 1.2, 4.0], [3.2, -1.0, -1.0]], dtype=torch.float64)
STAMPED = "a slow song\n0:00-0:10: a quiet piano\n0:10-0:40: the full band"


def inputs(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Three tracks and two texts; the second text has one passage fewer."""
    generator = torch.Generator().manual_seed(3)
    places = torch.tensor([[0.1, 0.5, 0.8], [0.3, 0.9, -1.0]], dtype=dtype)
    return {
        "audio_features": torch.randn(3, 11, 6, generator=generator, dtype=dtype),
        "lengths": LENGTHS,
        "passage_embeds": torch.randn(2, 3, 6, generator=generator, dtype=dtype),
        "passage_places": places,
        "passage_sharpness": torch.rand(2, 3, generator=generator, dtype=dtype) * 30,
    }


def in_loops(
    features: Tensor,
    passages: Tensor,
    places: Tensor,
    sharpness: Tensor,
    seconds: Tensor | None = None,
    *,
    temperature: float,
    pool: int,
    steps_per_second: float = 1.0,
) -> float:
    """r_S of one track (T, D) with one text."""
    length, scores = len(features), []
    times = [-1.0] * len(places) if seconds is None else seconds.tolist()
    for passage, place, k, time in zip(passages, places.tolist(), sharpness.tolist(), times, strict=True):
        if place < 0:
            continue
        if time >= 0:
            place = time * steps_per_second / length
        if place > 1:
            scores.append(0.0)
            continue
        weights, similarities = [], []
        for start in range(0, length, pool):
            steps = features[start : start + pool]
            cosine = float(F.cosine_similarity(steps.mean(0), passage, dim=0))
            middle = (start + len(steps) / 2) / length
            weights.append(math.exp(temperature * cosine - k * (place - middle) ** 2))
            similarities.append(cosine)
        scores.append(sum(w * s for w, s in zip(weights, similarities, strict=True)) / sum(weights))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("pool", [1, 3, 20])
def test_equals_the_loops(pool: int) -> None:
    given = inputs()
    scores = structure_scores(**given, temperature=4.0, pool=pool)
    for n, length in enumerate(LENGTHS.tolist()):
        for m in range(2):
            text = (given[name][m] for name in ("passage_embeds", "passage_places", "passage_sharpness"))
            expected = in_loops(given["audio_features"][n, :length], *text, temperature=4.0, pool=pool)
            assert float(scores[n, m]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pool", [1, 3])
def test_seconds_are_looked_up_in_every_track(pool: int) -> None:
    """Tracks of 5.5, 2 and 3.5 s: what a text says of the fourth second is not heard in all of them."""
    given = inputs() | {"passage_seconds": SECONDS}
    scores = structure_scores(**given, temperature=4.0, pool=pool, steps_per_second=2.0)
    for n, length in enumerate(LENGTHS.tolist()):
        for m in range(2):
            text = (given[f"passage_{name}"][m] for name in ("embeds", "places", "sharpness", "seconds"))
            features = given["audio_features"][n, :length]
            expected = in_loops(features, *text, temperature=4.0, pool=pool, steps_per_second=2.0)
            assert float(scores[n, m]) == pytest.approx(expected, abs=1e-12)
    unknown = given | {"passage_seconds": torch.full((2, 3), -1.0, dtype=torch.float64)}
    torch.testing.assert_close(
        structure_scores(**unknown, temperature=4.0), structure_scores(**inputs(), temperature=4.0)
    )


def test_a_text_that_is_cut_is_looked_for_where_it_was() -> None:
    """By its seconds, the first half of a caption lies in the first half of its track."""
    low, high = torch.eye(4)[:2]
    track = torch.cat([low.expand(20, 4), high.expand(20, 4)])[None]
    text = {"passage_embeds": torch.stack([low, low])[None], "passage_places": torch.tensor([[0.25, 0.75]])}
    text |= {"passage_sharpness": torch.full((1, 2), 1000.0)}
    relative = structure_scores(track, torch.tensor([40]), **text, temperature=1.0)
    seconds = torch.tensor([[5.0, 15.0]])
    absolute = structure_scores(track, torch.tensor([40]), **text, passage_seconds=seconds, temperature=1.0)
    assert float(relative) == pytest.approx(0.5, abs=1e-3)
    assert float(absolute) == pytest.approx(1.0, abs=1e-3)


def test_padding_never_counts() -> None:
    given = inputs(torch.float32) | {"passage_seconds": SECONDS.float()}
    scores = structure_scores(**given, temperature=4.0, pool=2)
    for n, length in enumerate(LENGTHS.tolist()):
        alone = given | {"audio_features": given["audio_features"][n : n + 1, :length], "lengths": LENGTHS[n : n + 1]}
        torch.testing.assert_close(structure_scores(**alone, temperature=4.0, pool=2)[0], scores[n])
    spoilt = given["audio_features"].clone()
    spoilt[1, 4:] = torch.nan
    torch.testing.assert_close(structure_scores(**given | {"audio_features": spoilt}, temperature=4.0, pool=2), scores)
    names = ("passage_embeds", "passage_places", "passage_sharpness", "passage_seconds")
    without = {name: given[name][1:, :2] for name in names}
    torch.testing.assert_close(structure_scores(**given | without, temperature=4.0, pool=2)[:, 0], scores[:, 1])


def test_gradients() -> None:
    given = inputs()
    names = ("audio_features", "passage_embeds", "passage_sharpness")
    free = [given.pop(name).requires_grad_() for name in names]
    temperature = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)

    def score(*values: Tensor) -> Tensor:
        return structure_scores(**given, **dict(zip(names, values, strict=False)), temperature=values[-1], pool=2)

    assert torch.autograd.gradcheck(score, (*free, temperature))


def test_a_text_without_passages_scores_zero() -> None:
    given = inputs() | {"passage_places": torch.full((2, 3), -1.0, dtype=torch.float64)}
    assert torch.equal(structure_scores(**given, temperature=1.0), torch.zeros(3, 2, dtype=torch.float64))


def test_order_counts() -> None:
    """A track of two halves: the text that names them in their order scores higher, and the score in other orders is
    that of the text in other orders."""
    low, high = torch.eye(4)[:2]
    track = torch.cat([low.expand(20, 4), high.expand(20, 4)])[None]
    places, sharpness = torch.tensor([[0.25, 0.75]]), torch.full((1, 2), 20.0)
    right, wrong = (
        structure_scores(track, torch.tensor([40]), torch.stack(order)[None], places, sharpness, temperature=1.0)
        for order in ((low, high), (high, low))
    )
    assert right > wrong + 0.5
    orders = torch.stack([places, places.flip(1)], dim=-1)  # (1, P, 2)
    scores = reordered_scores(
        track, torch.tensor([40]), torch.stack([low, high])[None], orders, sharpness, temperature=1.0
    )
    torch.testing.assert_close(scores, torch.cat([right, wrong], dim=1))


def test_pooled_steps_lie_where_they_are_heard() -> None:
    steps, places = pooled_steps(torch.ones(1, 5, 2), torch.tensor([5]), pool=2)
    torch.testing.assert_close(places, torch.tensor([[0.2, 0.6, 0.9]]))
    torch.testing.assert_close(steps, torch.full((1, 3, 2), 0.5**0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": LENGTHS[:2]}, "lengths"),
        ({"passage_embeds": torch.zeros(2, 3, 5)}, "passage_embeds"),
        ({"passage_places": torch.zeros(2, 2)}, "passage_places"),
        ({"passage_seconds": torch.zeros(2, 2)}, "passage_seconds"),
        ({"pool": 0}, "pool"),
    ],
)
def test_shapes_that_do_not_fit(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structure_scores(**inputs() | {"temperature": 1.0} | change)


# In the model


@pytest.fixture(scope="module", params=["gpt2", "roberta"])
def backbone(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(backbone: str) -> CollapModel:
    model = tiny.model(backbone, gamma_structure=0.7, seconds_per_structure_step=0.2)
    torch.nn.init.normal_(model.passage_sharpness.weight, std=0.3)
    return model


def test_off_by_default(backbone: str) -> None:
    model = tiny.model(backbone)
    assert not [name for name in model.state_dict() if "passage" in name or "structure" in name]
    features = model.encode_text(**tiny.processor(backbone)(text=[STAMPED]))
    assert features.passage_embeds is None
    scores = model.score(torch.randn(1, 30, 24), torch.tensor([30]), features)
    assert (scores.structure, scores.whole) == (None, None)


@torch.no_grad()
def test_the_third_term(model: CollapModel, backbone: str) -> None:
    inputs = tiny.batch(backbone, texts=[STAMPED, "two. sentences", "one"])
    features, lengths = model.get_audio_features(**inputs)
    text = model.encode_text(**inputs)
    scores = model.score(features, lengths, text)
    expected = 0.5 * scores.kernel + 0.5 * scores.temporal + 0.7 * scores.structure
    torch.testing.assert_close(scores.fused, expected)
    torch.testing.assert_close(model(**inputs).logits_per_audio, scores.fused * model.logit_factor)
    torch.testing.assert_close(text.text_embeds, model.get_text_features(**inputs))
    with pytest.raises(ValueError, match="encode_text"):
        model.score(features, lengths, text.text_embeds)


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.9), (0.3, 0.0, 0.9), (0.5, 0.5, 0.0)])
@torch.no_grad()
def test_the_fused_score_is_that_of_all_terms(
    weights: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the paper's two are not computed where they do not count."""
    kernel, temporal, structure = weights
    model = tiny.model(
        gamma_kernel=kernel, gamma_temporal=temporal, gamma_structure=structure, seconds_per_structure_step=0.2
    )
    inputs = tiny.batch(texts=[STAMPED, "two. sentences", "one"])
    given = *model.get_audio_features(**inputs), model.encode_text(**inputs)
    expected = model.score(*given).fused
    assert float(expected.std()) > 0
    if not model.config.weighs_frames:
        monkeypatch.setattr("modeling_collap.modeling_collap.alignment_scores", None)
    assert model.fused_score(*given).equal(expected)
    with pytest.raises(ValueError, match="pool must lie within"):
        model.fused_score(*given, pool=10_000)


@torch.no_grad()
def test_a_text_scores_the_same_alone_and_padded_on_either_side(model: CollapModel, backbone: str) -> None:
    processor = tiny.processor(backbone)
    texts = [STAMPED, "two. sentences", "one"]
    expected = [model.encode_text(**processor(text=[text])) for text in texts]
    for side in ("right", "left"):
        together = model.encode_text(**processor(text=texts, padding_side=side))
        for field, rows in zip(CollapTextFeatures._fields, together, strict=True):
            for i, alone in enumerate(expected):
                wanted = getattr(alone, field)[0]
                got = rows[i] if field == "text_embeds" else rows[i, : len(wanted)]
                torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
        assert together.passage_places.gt(-1).sum(1).tolist() == [3, 2, 1]
        joined = CollapTextFeatures.cat(expected)
        torch.testing.assert_close(joined.passage_places, together.passage_places)
        torch.testing.assert_close(joined.select(slice(1, 2)).text_embeds, expected[1].text_embeds, atol=1e-5, rtol=0)


@torch.no_grad()
def test_tokens_alone_are_one_passage(model: CollapModel, backbone: str) -> None:
    inputs = tiny.processor(backbone)(text=["one", "a longer text of one sentence"])
    plain = model.encode_text(inputs["input_ids"], inputs["attention_mask"])
    assert plain.passage_places.tolist() == [[0.5], [0.5]]
    with pytest.raises(ValueError, match="belong together"):
        model.encode_text(inputs["input_ids"], passage_ids=inputs["passage_ids"])


@torch.no_grad()
def test_a_passage_that_was_cut_off_is_none(model: CollapModel, backbone: str) -> None:
    with pytest.warns(UserWarning, match="cut"):
        inputs = tiny.processor(backbone)(text=[STAMPED], max_length=8)
    assert model.encode_text(**inputs).passage_places[0, -1] == -1


@torch.no_grad()
def test_saved_and_loaded(model: CollapModel, backbone: str, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    inputs = tiny.batch(backbone, texts=[STAMPED, "two. sentences", "one"])
    again = CollapModel.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**inputs).logits_per_audio, model(**inputs).logits_per_audio)


def test_the_first_sharpness_is_the_configured_one() -> None:
    model = tiny.model(gamma_structure=1.0, structure_sharpness=7.0, structure_temperature=5.0)
    text = model.encode_text(**tiny.processor()(text=[STAMPED]))
    torch.testing.assert_close(text.passage_sharpness, torch.full((1, 3), 7.0))
    assert model.structure_temperature.item() == pytest.approx(5.0)


def test_text_features_of_remote_code_are_scored_alike() -> None:
    """A model that was loaded as remote code brings another class of this name."""
    spec = importlib.util.find_spec("modeling_collap.text_features")
    assert spec is not None
    assert spec.loader is not None
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)
    assert twin.CollapTextFeatures is not CollapTextFeatures
    model = tiny.model(gamma_structure=1.0)
    inputs = tiny.batch()
    with torch.no_grad():
        features, lengths = model.get_audio_features(**inputs)
        text = model.encode_text(**inputs)
        expected = model.score(features, lengths, text).fused
        assert model.score(features, lengths, twin.CollapTextFeatures(*text)).fused.equal(expected)
