"""MusCALL: the model, its checkpoints, and its scorer, with tiny random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from transformers import AutoModel

from evaluation_collap.muscall import MuscallConfig, MuscallModel
from evaluation_collap.muscall.attention_pooling import AttentionPooling
from evaluation_collap.scorers.muscall import MuscallScorer
from processing_collap import CollapFeatureExtractor, CollapProcessor

RATE = 16000
TEXTS = ["a slow piano", "fast drums", "a string quartet", "it ends"]
WINDOW = 2.048  # seconds: 64 frames of 512 samples
TEXT_LIMIT = 24


def config(**options: Any) -> MuscallConfig:
    text = tiny.text_config("gpt2", limit=TEXT_LIMIT) | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    audio = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
    shape = {"window_seconds": WINDOW, "num_mel_bins": 64}
    return MuscallConfig(
        **{"text_config": text, "audio_config": audio, "projection_dim": 24, "pooling_heads": 2, **shape, **options},
        initializer_range=0.3,
    )


def model(seed: int = 0, **options: Any) -> MuscallModel:
    torch.manual_seed(seed)
    return MuscallModel(config(**options)).eval()


def processor() -> CollapProcessor:
    extractor = CollapFeatureExtractor(**config().extraction)
    return CollapProcessor(extractor, tiny.tokenizer("gpt2", limit=TEXT_LIMIT))


def tracks(*seconds: float) -> list[np.ndarray]:
    return [tiny.tone(length, 220.0 * (i + 1), seed=i) for i, length in enumerate(seconds)]


def batch(*seconds: float) -> dict[str, torch.Tensor]:
    return dict(processor()(audio=tracks(*seconds), sampling_rate=RATE))


@pytest.fixture(scope="module")
def scorer() -> MuscallScorer:
    return MuscallScorer(model(), processor())


# --- the model --------------------------------------------------------------------------------------------------------


def test_the_default_is_the_model_of_the_paper() -> None:
    assert MuscallConfig().text_config.vocab_size == 49408
    default = MuscallModel(MuscallConfig(text_config={"vocab_size": 100}))  # faster to fill
    text = default.config.text_config
    assert (text.num_hidden_layers, text.num_attention_heads, text.hidden_size) == (4, 8, 512)
    assert text.max_position_embeddings == 77
    assert default.config.audio_config.depths == [3, 4, 6, 3]
    assert (default.config.frames_per_window, default.config.positions) == (625, (4, 20))
    with torch.inference_mode():
        feature_map = default.audio_model(torch.zeros(1, 1, 128, 625)).last_hidden_state
    assert feature_map.shape == (1, 512, 4, 20)


def test_a_saved_model_is_the_same_after_loading(tmp_path: Path) -> None:
    saved = model()
    with torch.no_grad():
        saved.logit_scale.fill_(3.5)
    saved.save_pretrained(tmp_path)
    for loaded in (MuscallModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert type(loaded) is MuscallModel
        assert loaded.config.text_config.model_type == "gpt2"
        assert (loaded.config.positions, loaded.config.window_seconds) == ((2, 2), WINDOW)
        for (name, weight), other in zip(saved.state_dict().items(), loaded.state_dict().values(), strict=True):
            assert torch.equal(weight, other), name
        with torch.inference_mode():
            assert torch.equal(loaded.get_audio_features(**batch(3.0))[0], saved.get_audio_features(**batch(3.0))[0])


def test_every_weight_is_initialised() -> None:
    for name, weight in model().state_dict().items():
        assert weight.isfinite().all(), name
        assert weight.abs().max() < 100, name
    assert model().audio_pooling.position_embeddings.detach().std() == pytest.approx(32**-0.5, rel=0.2)


@torch.inference_mode()
def test_attention_pooling_is_torchs_attention_with_the_mean_as_query() -> None:
    torch.manual_seed(0)
    rows, columns, heads, channels = 2, 5, 4, 8
    pooling = AttentionPooling(channels, rows, columns, heads)
    torch.nn.init.normal_(pooling.position_embeddings)
    feature_map, held = torch.randn(3, channels, rows, columns), torch.tensor([5, 3, 1])
    reference = torch.nn.MultiheadAttention(channels, heads, batch_first=True)
    parts = (pooling.query, pooling.key, pooling.value)
    reference.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    reference.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    reference.out_proj.load_state_dict(pooling.output.state_dict())
    positions = pooling.position_embeddings[1:].unflatten(0, (rows, columns))
    for window, count, pooled in zip(feature_map, held.tolist(), pooling(feature_map, held), strict=True):
        states = window[..., :count].flatten(1).T  # what is held alone: (L, C)
        states = torch.cat([states.mean(0, keepdim=True), states])
        states = states + torch.cat([pooling.position_embeddings[:1], positions[:, :count].flatten(0, 1)])
        torch.testing.assert_close(pooled, reference(states[None, :1], states[None], states[None])[0][0, 0])


@torch.inference_mode()
def test_a_track_is_the_same_alone_in_a_batch_and_with_anything_in_its_padding() -> None:
    muscall, seconds = model(windows_per_chunk=2), (5.0, 2.0, 0.5)
    together = batch(*seconds)
    features, lengths = muscall.get_audio_features(**together)
    assert lengths.tolist() == [3, 1, 1]
    for i, length in enumerate(lengths.tolist()):
        alone = {"input_features": together["input_features"][i : i + 1, :length]}
        alone["input_features_lengths"] = together["input_features_lengths"][i : i + 1, :length]
        torch.testing.assert_close(muscall.get_audio_features(**alone)[0][0], features[i, :length])
    frames = torch.arange(together["input_features"].shape[-1])
    beyond = frames >= together["input_features_lengths"][..., None, None]
    spoilt = together | {"input_features": together["input_features"].masked_fill(beyond, torch.nan)}
    torch.testing.assert_close(muscall.get_audio_features(**spoilt)[0], features)


@torch.inference_mode()
def test_windows_count_by_the_seconds_that_they_hold() -> None:
    muscall, text = model(), torch.randn(2, 24)
    features, lengths = muscall.get_audio_features(**batch(5.0))
    torch.testing.assert_close(features[0].norm(dim=-1), torch.tensor([WINDOW, WINDOW, 0.928]), atol=0.01, rtol=0)
    units = F.normalize(features[0], dim=-1)
    mean = WINDOW * units[0] + WINDOW * units[1] + features[0, 2].norm() * units[2]
    expected = F.cosine_similarity(mean[None], text, dim=-1)
    torch.testing.assert_close(muscall.fused_score(features, lengths, text)[0], expected)
    padded = torch.cat([features, torch.full((1, 2, 24), torch.nan)], dim=1)
    torch.testing.assert_close(muscall.fused_score(padded, lengths, text)[0], expected)


@torch.inference_mode()
@pytest.mark.parametrize("text_model", ["gpt2", "clip_text_model"])
def test_a_text_is_its_last_token_on_either_side_of_the_padding(text_model: str) -> None:
    clip = {"model_type": "clip_text_model", "vocab_size": 300, "hidden_size": 16, "num_attention_heads": 2}
    clip |= {"num_hidden_layers": 2, "intermediate_size": 32, "eos_token_id": 299}
    muscall = model() if text_model == "gpt2" else model(text_config=clip)
    assert muscall.config.text_config.model_type == text_model
    ids = torch.randint(5, 200, (3, 9))
    counts = torch.tensor([9, 4, 6])
    right = (torch.arange(9) < counts[:, None]).long()
    left = right.flip(1)
    shifted = torch.stack([row.roll(9 - count) for row, count in zip(ids, counts.tolist(), strict=True)])
    vectors = muscall.get_text_features(ids, right)
    torch.testing.assert_close(muscall.get_text_features(shifted, left), vectors)
    torch.testing.assert_close(muscall.get_text_features(ids[1:2, :4]), vectors[1:2])
    changed = ids.clone()
    changed[1, 0] += 1
    assert not torch.allclose(muscall.get_text_features(changed, right)[1], vectors[1], atol=1e-4)


def test_it_learns_to_tell_tones_apart() -> None:
    torch.manual_seed(0)
    muscall = MuscallModel(config()).train()
    inputs = processor()(audio=tracks(2.0, 2.0, 2.0, 2.0), text=TEXTS, sampling_rate=RATE)
    optimizer = torch.optim.AdamW(muscall.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = muscall(**inputs, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        assert all(weight.grad is not None for weight in muscall.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < 1.0 < losses[0]
    scores = muscall(**inputs).logits_per_audio
    assert scores.argmax(1).tolist() == [0, 1, 2, 3]


def test_wrong_inputs_are_refused() -> None:
    muscall = model()
    with pytest.raises(ValueError, match=r"windows \(N, K, 64, 64\); they are missing"):
        muscall.get_audio_features()
    with pytest.raises(ValueError, match=r"of shape \(1, 1, 80, 64\)"):
        muscall.get_audio_features(torch.zeros(1, 1, 80, 64))
    with pytest.raises(ValueError, match="track 1 of the batch has no valid window"):
        muscall.get_audio_features(torch.zeros(2, 1, 64, 64), torch.tensor([[64], [0]]))
    with pytest.raises(ValueError, match="25 tokens, but MusCALL reads at most 24"):
        muscall.get_text_features(torch.ones(1, 25, dtype=torch.int64))
    with pytest.raises(ValueError, match="pooling_heads=3 must divide"):
        config(pooling_heads=3)


# --- the scorer -------------------------------------------------------------------------------------------------------


def test_the_scorer_is_deterministic_and_hears_the_end(scorer: MuscallScorer) -> None:
    [track] = tracks(7.0)
    encoded = scorer.encode_track(track)
    torch.manual_seed(1)
    assert torch.equal(scorer.encode_track(track)["embeds"], encoded["embeds"])
    assert encoded["windows"].shape == (4, 24)
    other = track.copy()
    other[-RATE:] = tiny.tone(1.0, 990.0, seed=9)
    changed = scorer.encode_track(other)
    torch.testing.assert_close(changed["windows"][:2], encoded["windows"][:2])
    assert not torch.allclose(changed["embeds"], encoded["embeds"], atol=1e-4)


@torch.inference_mode()
def test_the_scorer_scores_as_the_model_does(scorer: MuscallScorer) -> None:
    audio = tracks(5.0, 2.0, 3.0)
    inputs = processor()(audio=audio, text=TEXTS, sampling_rate=RATE)
    expected = scorer.model(**inputs).logits_per_audio / scorer.model.logit_factor
    encoded = [scorer.encode_track(track) for track in audio], [scorer.encode_text(text) for text in TEXTS]
    torch.testing.assert_close(scorer.score(*encoded), expected)
    relevance, rate = scorer.relevance(encoded[0][0], encoded[1][0])
    assert rate == 1 / WINDOW
    assert relevance.shape == (3,)
    assert torch.equal(relevance, encoded[0][0]["windows"] @ encoded[1][0]["embeds"])


def test_the_scorer_says_what_it_cuts(scorer: MuscallScorer) -> None:
    assert (scorer.is_cut("piano"), scorer.is_cut("piano " * 40)) == (False, True)
    assert f"{TEXT_LIMIT} tokens" in scorer.protocol["texts"]
    assert "2.048 s" in scorer.protocol["tracks"]


def test_the_scorer_is_loaded_from_a_folder(tmp_path: Path, scorer: MuscallScorer) -> None:
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    loaded = MuscallScorer.from_pretrained(str(tmp_path))
    assert loaded.fingerprint == scorer.fingerprint
    assert MuscallScorer(model(seed=1), processor()).fingerprint != scorer.fingerprint
    tiny.model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model of type 'collap', not 'muscall'"):
        MuscallScorer.from_pretrained(str(tmp_path))
