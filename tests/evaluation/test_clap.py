"""LAION-CLAP as a scorer, on a tiny random model in the real format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

from evaluation_collap.scorers.clap import ClapScorer

RATE = 48000
MAX_TEXT = 20


def write_clap(folder: Path, *, fusion: bool = False) -> Path:
    """A ClapModel of random weights and its processor, as `laion/clap-htsat-(un)fused` have them."""
    torch.manual_seed(0)
    tokenizer = tiny.tokenizer("roberta", limit=512)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": MAX_TEXT + 2,
        "initializer_factor": 20.0,
    }
    audio: dict[str, Any] = {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "initializer_factor": 20.0,
    }
    if fusion:
        audio |= {"enable_fusion": True, "fusion_type": "aff_2d"}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24, initializer_factor=20.0)
    extractor = ClapFeatureExtractor(truncation="fusion" if fusion else "rand_trunc")
    ClapModel(config).save_pretrained(folder)
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClapScorer:
    return ClapScorer.from_pretrained(str(write_clap(tmp_path_factory.mktemp("clap"))))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose colour and loudness change with the seed: (samples,) at 48 kHz."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=round(seconds * RATE))
    return (0.1 * np.convolve(samples, np.ones(4 * seed + 1), "same")).astype(np.float32)


@pytest.mark.parametrize("fusion", [False, True])
def test_the_same_track_has_the_same_vector_whatever_the_random_state(tmp_path: Path, fusion: bool) -> None:
    scorer = ClapScorer.from_pretrained(str(write_clap(tmp_path, fusion=fusion)))
    track = np.concatenate([noise(10, seed) for seed in range(2)] + [noise(3, 2)])
    encoded = []
    for seed in range(3):
        np.random.seed(seed)  # the feature extractor draws from this one
        torch.manual_seed(seed)
        encoded.append(scorer.encode_track(track))
    assert encoded[0]["windows"].shape == (3, 24)
    for other in encoded[1:]:
        assert torch.equal(other["windows"], encoded[0]["windows"])
        assert torch.equal(other["embeds"], encoded[0]["embeds"])


def test_a_track_is_heard_to_its_end(scorer: ClapScorer) -> None:
    track = np.concatenate([noise(10, seed) for seed in range(3)])
    other = track.copy()
    other[-10 * RATE :] = noise(10, 7)
    first, second = scorer.encode_track(track), scorer.encode_track(other)
    assert torch.equal(first["windows"][:2], second["windows"][:2])
    assert F.cosine_similarity(first["embeds"], second["embeds"], dim=0) < 0.999


def test_windows_are_those_that_the_processor_and_the_model_make_of_ten_seconds(scorer: ClapScorer) -> None:
    parts = [noise(10, 0), noise(10, 1), noise(4, 2)]
    encoded = scorer.encode_track(np.concatenate(parts))
    inputs = scorer.processor(audio=parts, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        expected = scorer.model.get_audio_features(**inputs).pooler_output
    torch.testing.assert_close(encoded["windows"], expected)
    mean = (10 * expected[0] + 10 * expected[1] + 4 * expected[2]) / 24
    torch.testing.assert_close(encoded["embeds"], mean / mean.norm())


def test_a_window_is_the_same_alone_and_beside_others(scorer: ClapScorer) -> None:
    parts = [noise(10, 3), noise(2, 4)]
    together = scorer.encode_track(np.concatenate(parts))["windows"]
    for part, window in zip(parts, together, strict=True):
        torch.testing.assert_close(scorer.encode_track(part)["embeds"], window)


def test_a_sliver_at_the_end_counts_as_a_sliver(scorer: ClapScorer) -> None:
    whole = scorer.encode_track(noise(10, 5))["embeds"]
    longer = scorer.encode_track(np.concatenate([noise(10, 5), noise(0.01, 6)]))
    assert F.cosine_similarity(longer["windows"][1], whole, dim=0) < 0.999
    assert F.cosine_similarity(longer["embeds"], whole, dim=0) > 0.99999


def test_scores_are_cosines_and_do_not_depend_on_neighbours(scorer: ClapScorer) -> None:
    tracks = [scorer.encode_track(noise(12, seed)) for seed in range(3)]
    texts = [scorer.encode_text(caption) for caption in tiny.CAPTIONS]
    scores = scorer.score(tracks, texts)
    assert scores.shape == (3, 4)
    assert scores.abs().max() <= 1 + 1e-6
    assert scores.std() > 1e-3
    torch.testing.assert_close(scorer.score(tracks[1:2], texts[2:3])[0, 0], scores[1, 2])


def test_relevance_is_the_cosine_of_every_window(scorer: ClapScorer) -> None:
    track, text = scorer.encode_track(noise(25, 1)), scorer.encode_text(tiny.CAPTIONS[0])
    relevance, rate = scorer.relevance(track, text)
    assert rate == 0.1
    torch.testing.assert_close(relevance, F.cosine_similarity(track["windows"], text["embeds"][None], dim=1))


def test_texts_are_read_up_to_the_limit_that_the_protocol_names(scorer: ClapScorer) -> None:
    short, long = "piano", "piano " * 40
    assert scorer.text_limit == MAX_TEXT
    assert f"{MAX_TEXT} tokens" in scorer.protocol["texts"]
    assert (scorer.is_cut(short), scorer.is_cut(long)) == (False, True)
    assert torch.equal(scorer.encode_text(long)["embeds"], scorer.encode_text(long + "drums")["embeds"])


def test_the_fingerprint_follows_the_weights(scorer: ClapScorer) -> None:
    same = ClapScorer(scorer.model, scorer.processor, "another name")
    assert same.fingerprint == scorer.fingerprint
    changed = ClapModel(scorer.model.config)
    assert ClapScorer(changed, scorer.processor).fingerprint != scorer.fingerprint


def test_empty_inputs_are_refused(scorer: ClapScorer) -> None:
    with pytest.raises(ValueError, match=r"0 samples; .* needs at least 0.01 s"):
        scorer.encode_track(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="the text is empty"):
        scorer.encode_text("  ")
