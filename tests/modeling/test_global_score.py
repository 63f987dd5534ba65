"""The fourth term: one vector of the track against one of the text."""

import pytest
import tiny
import torch
from torch import Tensor

from modeling_collap import CollapConfig, CollapModel, CollapTextFeatures, global_scores, mean_steps

LENGTHS = torch.tensor([9, 4, 1])


def features() -> Tensor:
    """(3, 9, 24), NaN past the end of a track."""
    steps = torch.randn(3, 9, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for track, length in zip(steps, LENGTHS.tolist(), strict=True):
        track[length:] = torch.nan
    return steps


def texts(count: int = 2) -> Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_in_loops() -> None:
    expected = torch.zeros(3, 2, dtype=torch.float64)
    for n, track in enumerate(features()):
        mean = sum(step / step.norm() for step in track[: LENGTHS[n]]) / LENGTHS[n]
        for m, text in enumerate(texts()):
            expected[n, m] = (mean / mean.norm()) @ (text / text.norm())
    torch.testing.assert_close(global_scores(features(), LENGTHS, texts()), expected)


def test_gradients() -> None:
    steps = features().nan_to_num(0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, t: global_scores(u, LENGTHS, t), (steps, texts().requires_grad_()))


def test_no_track_or_padding_beside_it_moves_a_score() -> None:
    together = global_scores(features(), LENGTHS, texts())
    for n, length in enumerate(LENGTHS.tolist()):
        alone = global_scores(features()[n : n + 1, :length], LENGTHS[n : n + 1], texts())
        torch.testing.assert_close(alone[0], together[n])


def test_half_precision_is_reckoned_in_float32() -> None:
    steps = features().nan_to_num(0.0).to(torch.bfloat16)
    assert mean_steps(steps, LENGTHS).dtype == torch.float32
    scores = global_scores(steps, LENGTHS, texts().to(torch.bfloat16))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), global_scores(features(), LENGTHS, texts()), atol=0.02, rtol=0)


@torch.no_grad()
def test_its_weight_in_the_model() -> None:
    inputs = tiny.batch()
    plain, model = tiny.model(), tiny.model(gamma_global=0.7)
    assert plain.state_dict().keys() == model.state_dict().keys()
    given = *model.get_audio_features(**inputs), model.get_text_features(**inputs)
    scores, without = model.score(*given), plain.score(*given)
    assert without.whole is None
    torch.testing.assert_close(scores.whole, global_scores(*given))
    torch.testing.assert_close(scores.fused, without.fused + 0.7 * scores.whole)
    torch.testing.assert_close(model(**inputs).logits_per_audio, scores.fused * model.logit_factor)


@torch.no_grad()
def test_alone_it_is_a_clap(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model(gamma_kernel=0.0, gamma_temporal=0.0, gamma_global=1.0)
    monkeypatch.setattr("modeling_collap.modeling_collap.alignment_scores", None)  # what has no weight costs nothing
    inputs = tiny.batch()
    given = *model.get_audio_features(**inputs), model.get_text_features(**inputs)
    torch.testing.assert_close(model.fused_score(*given), global_scores(*given))


def test_some_term_has_to_count() -> None:
    with pytest.raises(ValueError, match="gamma_global are all 0"):
        CollapConfig(**tiny.collap_options(gamma_kernel=0.0, gamma_temporal=0.0))


def structured(**gammas: float) -> CollapModel:
    return tiny.model(**{"gamma_structure": 0.7, "gamma_global": 0.4, "seconds_per_structure_step": 0.2, **gammas})


@torch.no_grad()
def test_text_vectors_are_what_the_score_comes_to_where_attention_is_even() -> None:
    """In a track that never changes every attention is even, and every term is a cosine with the step."""
    model = structured()
    text = model.encode_text(**tiny.processor()(text=["a low tone. a high tone", "drums"], return_tensors="pt"))
    step = torch.randn(24, generator=torch.Generator().manual_seed(2))
    fused = model.score(step.expand(1, 80, 24), torch.tensor([80]), text).fused[0]  # (M,)
    weights = sum(getattr(model.config, f"gamma_{name}") for name in ("kernel", "temporal", "structure", "global"))
    torch.testing.assert_close(weights * model.text_vectors(text) @ (step / step.norm()), fused)


@torch.no_grad()
def test_text_vectors_of_the_paper_are_its_unit_embeddings() -> None:
    embeds = texts().float()
    expected = torch.nn.functional.normalize(embeds, dim=-1)
    torch.testing.assert_close(tiny.model().text_vectors(embeds), expected)
    torch.testing.assert_close(tiny.model().text_vectors(CollapTextFeatures(embeds)), expected)
    with pytest.raises(ValueError, match="give score what encode_text returns"):
        structured().text_vectors(embeds)


def test_long_tracks_are_added_up_in_blocks() -> None:
    steps = torch.randn(1, 2500, 24, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = torch.nn.functional.normalize(steps[0, :2300], dim=-1).mean(0)
    torch.testing.assert_close(mean_steps(steps, torch.tensor([2300]))[0], expected)
