"""CoLLAP behind the interface: the model's own scores, alone and in company, and what a fingerprint covers."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import CAPTIONS, RATE, model, processor, tone

from evaluation_collap.scorers import build_scorer
from evaluation_collap.scorers.collap import CollapScorer, MeanPoolingScorer, load_collap
from processing_collap import CollapProcessor
from retrieval_collap import locate

SECONDS = (2.6, 1.0, 4.3)
STRUCTURE = {"gamma_structure": 0.5}
PASSAGES = ["First a soft verse. Then a loud chorus.", "Drums enter.", "A sad melody. A joyful one. It ends quietly."]


def tracks() -> list:
    return [tone(seconds, 220.0 * (i + 1), seed=i) for i, seconds in enumerate(SECONDS)]


def scores(scorer: CollapScorer, texts: list[str]) -> torch.Tensor:
    return scorer.score([scorer.encode_track(track) for track in tracks()], [scorer.encode_text(t) for t in texts])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options", [{}, STRUCTURE, {"normalization": "paper"}], ids=["two terms", "structure", "paper"]
)
def test_scores_are_those_of_the_model(options: dict) -> None:
    net = model(**options)
    inputs = processor()(audio=tracks(), text=PASSAGES, sampling_rate=RATE)
    with torch.inference_mode():
        expected = net(**inputs).logits_per_audio / net.logit_factor
    torch.testing.assert_close(scores(CollapScorer(net, processor()), PASSAGES), expected, rtol=1e-4, atol=1e-5)


def test_a_score_depends_on_its_track_and_text_alone() -> None:
    scorer = CollapScorer(model(**STRUCTURE), processor())
    encoded, texts = [scorer.encode_track(t) for t in tracks()], [scorer.encode_text(t) for t in PASSAGES]
    together = scorer.score(encoded, texts)
    alone = torch.stack([torch.stack([scorer.score([a], [t])[0, 0] for t in texts]) for a in encoded])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_many_texts_are_scored_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = CollapScorer(model(), processor())
    expected = scores(scorer, CAPTIONS)
    monkeypatch.setattr("evaluation_collap.scorers.collap._SIMILARITIES", 300)
    torch.testing.assert_close(scores(scorer, CAPTIONS), expected, rtol=0, atol=1e-6)


def test_mean_pooling_compares_the_mean_of_all_steps() -> None:
    scorer = MeanPoolingScorer(model(), processor())
    result = scores(scorer, CAPTIONS[:2])
    for i, track in enumerate(tracks()):
        steps = scorer.encode_track(track)["features"]
        for j, caption in enumerate(CAPTIONS[:2]):
            text = scorer.encode_text(caption)["text_embeds"]
            mean = F.normalize(steps, dim=1).mean(0)
            assert result[i, j] == pytest.approx(float(F.cosine_similarity(mean, text, dim=0)), abs=1e-5)
            relevance, per_second = scorer.relevance({"features": steps}, {"text_embeds": text})
            torch.testing.assert_close(relevance, F.cosine_similarity(steps, text[None], dim=1))
            assert per_second == scorer.model.config.steps_per_second


def test_relevance_is_the_attention_that_search_shows() -> None:
    scorer = CollapScorer(model(attention_temperature=6.0), processor())
    track, text, config = scorer.encode_track(tracks()[2]), scorer.encode_text(CAPTIONS[0]), scorer.model.config
    relevance, per_second = scorer.relevance(track, text)
    location = locate(
        track["features"],
        text["text_embeds"],
        kernel_size=config.kernel_size,
        stride=config.stride,
        steps_per_second=config.steps_per_second,
        attention_temperature=6.0,
    )
    assert torch.equal(relevance, location.attention)
    assert relevance.std() > 0
    assert per_second == location.steps_per_second


def test_other_settings_share_encodings() -> None:
    scorer = CollapScorer(model(**STRUCTURE), processor())
    for settings in (
        {"gamma_kernel": 0.0},
        {"seconds_per_kernel": 0.3},
        {"normalization": "paper"},
        {"gamma_structure": 0.0},
    ):
        other = scorer.with_settings("other", **settings)
        assert other.fingerprint == scorer.fingerprint
        assert other.name == "other"
        expected = model(**{**STRUCTURE, **settings})
        expected.load_state_dict(scorer.model.state_dict(), strict=False)
        torch.testing.assert_close(scores(other, PASSAGES), scores(CollapScorer(expected, processor()), PASSAGES))
        assert not torch.allclose(scores(other, PASSAGES), scores(scorer, PASSAGES), atol=1e-6)
        assert other.settings != scorer.settings
        # An encoding serves both, whichever made it.
        assert other.encode_text(PASSAGES[0]).keys() == scorer.encode_text(PASSAGES[0]).keys()


def test_another_temperature_replaces_a_learned_one() -> None:
    scorer = CollapScorer(model(learn_attention_temperature=True, attention_temperature=2.0), processor())
    assert scorer.with_settings(attention_temperature=9.0).settings["attention_temperature"] == 9.0
    assert scorer.settings["attention_temperature"] == pytest.approx(2.0)


def test_settings_that_do_not_fit() -> None:
    scorer = CollapScorer(model(), processor())
    with pytest.raises(ValueError, match="'projection_dim' is no setting of the score"):
        scorer.with_settings(projection_dim=8)
    with pytest.raises(ValueError, match="without the structure term"):
        scorer.with_settings(gamma_structure=1.0)


def test_the_fingerprint_covers_what_encodings_depend_on(saved: Path) -> None:
    scorer = CollapScorer(model(), processor())
    assert scorer.fingerprint == CollapScorer(*load_collap(str(saved))).fingerprint
    assert scorer.fingerprint == MeanPoolingScorer(model(), processor()).fingerprint
    short = CollapProcessor(processor().feature_extractor, processor().tokenizer)
    short.tokenizer.model_max_length = 8
    others = [
        CollapScorer(model(seed=1), processor()),
        CollapScorer(model(beats_time_alignment="pooled"), processor()),
        CollapScorer(model(), processor(fbank_mean=1.0)),
        CollapScorer(model(), short),
    ]
    assert len({scorer.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_texts_beyond_the_limit_are_known() -> None:
    scorer = CollapScorer(model(), processor())
    assert not scorer.is_cut(CAPTIONS[0])
    assert scorer.is_cut(" ".join(CAPTIONS * 4))
    assert "up to 64 tokens" in scorer.protocol["texts"]
    assert scorer.encode_text(" ".join(CAPTIONS * 4))["text_embeds"].shape == (24,)


def test_specs_name_models(saved: Path) -> None:
    plain, mean = build_scorer(str(saved), "cpu"), build_scorer(f"mean:{saved}", "cpu")
    assert (type(plain), plain.name) == (CollapScorer, "tiny")
    assert (type(mean), mean.name) == (MeanPoolingScorer, "tiny, mean pooling")
    assert (plain.device, plain.sampling_rate) == ("cpu", RATE)


def test_specs_that_name_none(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'meen' \(did you mean 'mean'\?\)"):
        build_scorer("meen:somewhere")
    with pytest.raises(ValueError, match="names no folder"):
        build_scorer("clap:")
    with pytest.raises(ValueError, match="there is no model in /no/such/folder"):
        build_scorer("/no/such/folder")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="of the type 'bert', not 'collap'"):
        build_scorer(str(other))


def test_a_model_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    net = model()
    weights = {name: value for name, value in net.state_dict().items() if not name.startswith("text_projection")}
    net.save_pretrained(tmp_path, state_dict=weights)
    processor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"its weights lack text_projection\.bias"):
        build_scorer(str(tmp_path))
