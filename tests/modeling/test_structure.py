"""The structure term: against loops written out, under padding, and in the model."""

import importlib.util
import math
from pathlib import Path

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapConfig, CollapModel, CollapTextFeatures, global_scores, structure_scores
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
        "text_embeds": torch.randn(2, 6, generator=generator, dtype=dtype),
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
    text: Tensor | None = None,
    text_weight: float = 0.0,
) -> float:
    """r_S of one track (T, D) with one text."""
    length, scores = len(features), []
    whole = torch.zeros(features.shape[1], dtype=features.dtype)
    for start in range(0, length, pool):
        step = features[start : start + pool].mean(0)
        whole += step / step.norm()
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
    as_a_whole = 0.0 if text is None else float(F.cosine_similarity(whole, text, dim=0))
    return (sum(scores) + text_weight * as_a_whole) / (len(scores) + text_weight)


@pytest.mark.parametrize("text_weight", [0.0, 1.5])
@pytest.mark.parametrize("pool", [1, 3, 20])
def test_equals_the_loops(pool: int, text_weight: float) -> None:
    given = inputs()
    options = {"temperature": 4.0, "pool": pool, "text_weight": text_weight}
    scores = structure_scores(**given, **options)
    for n, length in enumerate(LENGTHS.tolist()):
        for m in range(2):
            names = ("passage_embeds", "passage_places", "passage_sharpness")
            passages, text = (given[name][m] for name in names), given["text_embeds"][m]
            expected = in_loops(given["audio_features"][n, :length], *passages, text=text, **options)
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
    options = {"temperature": 4.0, "pool": 2, "text_weight": 1.0}
    scores = structure_scores(**given, **options)
    for n, length in enumerate(LENGTHS.tolist()):
        alone = given | {"audio_features": given["audio_features"][n : n + 1, :length], "lengths": LENGTHS[n : n + 1]}
        torch.testing.assert_close(structure_scores(**alone, **options)[0], scores[n])
    spoilt = given["audio_features"].clone()
    spoilt[1, 4:] = torch.nan
    torch.testing.assert_close(structure_scores(**given | {"audio_features": spoilt}, **options), scores)
    names = ("passage_embeds", "passage_places", "passage_sharpness", "passage_seconds")
    without = {name: given[name][1:, :2] for name in names} | {"text_embeds": given["text_embeds"][1:]}
    torch.testing.assert_close(structure_scores(**given | without, **options)[:, 0], scores[:, 1])


def test_gradients() -> None:
    given = inputs()
    names = ("audio_features", "passage_embeds", "passage_sharpness", "text_embeds")
    free = [given.pop(name).requires_grad_() for name in names]
    temperature = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)

    def score(*values: Tensor) -> Tensor:
        free = dict(zip(names, values, strict=False))
        return structure_scores(**given, **free, temperature=values[-1], text_weight=1.0, pool=2)

    assert torch.autograd.gradcheck(score, (*free, temperature))


def test_a_text_without_passages_scores_zero() -> None:
    given = inputs() | {"passage_places": torch.full((2, 3), -1.0, dtype=torch.float64)}
    assert torch.equal(structure_scores(**given, temperature=1.0), torch.zeros(3, 2, dtype=torch.float64))


def test_a_text_without_passages_is_heard_as_a_whole() -> None:
    given = inputs() | {"passage_places": torch.full((2, 3), -1.0, dtype=torch.float64)}
    names = ("audio_features", "lengths", "text_embeds")
    expected = global_scores(*(given[name] for name in names))
    torch.testing.assert_close(structure_scores(**given, temperature=1.0, text_weight=0.5), expected)


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
        ({"text_weight": 1.0, "text_embeds": None}, "text_embeds must be .*, not None"),
        ({"text_weight": 1.0, "text_embeds": torch.zeros(3, 6)}, "text_embeds must be"),
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
    assert scores.structure is None


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


@torch.no_grad()
def test_the_text_as_one_more_passage(backbone: str) -> None:
    options = {"gamma_structure": 0.7, "seconds_per_structure_step": 0.2}
    plain, model = tiny.model(backbone, **options), tiny.model(backbone, **options, whole_text_weight=2.0)
    assert plain.state_dict().keys() == model.state_dict().keys()
    inputs = tiny.batch(backbone, texts=[STAMPED, "two. sentences", "one"])
    features, lengths = model.get_audio_features(**inputs)
    text = model.encode_text(**inputs)
    counts = (text.passage_places >= 0).sum(1)
    assert sorted(counts.tolist()) == [1, 2, 3]
    means = pooled_steps(features, lengths, model.config.structure_pool)[0].sum(1)
    whole = F.cosine_similarity(means[:, None], text.text_embeds[None], dim=-1)
    expected = (counts * plain.score(features, lengths, text).structure + 2 * whole) / (counts + 2)
    torch.testing.assert_close(model.score(features, lengths, text).structure, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma_kernel": 0.0, "gamma_temporal": 0.0}, "gamma_structure are all 0"),
        ({"whole_text_weight": -1.0}, "whole_text_weight must be at least 0"),
    ],
)
def test_weights_that_make_no_score(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CollapConfig(**tiny.collap_options(**options))


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


def structured(text_weight: float) -> CollapModel:
    return tiny.model(gamma_structure=0.7, whole_text_weight=text_weight, seconds_per_structure_step=0.2)


@torch.no_grad()
@pytest.mark.parametrize("text_weight", [0.0, 1.5])
def test_text_vectors_are_what_the_score_comes_to_where_attention_is_even(text_weight: float) -> None:
    """In a track that never changes every attention is even, and every term is a cosine with the step."""
    model = structured(text_weight)
    text = model.encode_text(**tiny.processor()(text=["a low tone. a high tone", "drums"], return_tensors="pt"))
    step = torch.randn(24, generator=torch.Generator().manual_seed(2))
    fused = model.score(step.expand(1, 80, 24), torch.tensor([80]), text).fused[0]  # (M,)
    weights = sum(getattr(model.config, f"gamma_{name}") for name in ("kernel", "temporal", "structure"))
    torch.testing.assert_close(weights * model.text_vectors(text) @ (step / step.norm()), fused)


@torch.no_grad()
def test_text_vectors_of_the_paper_are_its_unit_embeddings() -> None:
    embeds = inputs(torch.float32)["text_embeds"]
    plain = tiny.model(projection_dim=6)
    expected = F.normalize(embeds, dim=-1)
    torch.testing.assert_close(plain.text_vectors(embeds), expected)
    torch.testing.assert_close(plain.text_vectors(CollapTextFeatures(embeds)), expected)
    with pytest.raises(ValueError, match="give score what encode_text returns"):
        structured(0.0).text_vectors(embeds)
