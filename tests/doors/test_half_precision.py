"""Scores in float16 and bfloat16 are those in float32 within 1e-2."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import BatchFeature

from modeling_collap import CollapModel, CollapScores
from processing_collap import CollapProcessor

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
HALVES = [torch.float16, torch.bfloat16]


@torch.inference_mode()
def scores(model: CollapModel, inputs: BatchFeature) -> CollapScores:
    features, lengths = model.get_audio_features(**inputs)
    return model.score(features, lengths, model.encode_text(**inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["collap-mini", "collap-mini-paper"])
def test_scores_of_songs(name: str, songs: list[dict[str, Any]]) -> None:
    """A whole song, captions of 250 words and a few words; every term by itself, and their sum."""
    folder = CHECKPOINTS / name
    inputs = CollapProcessor.from_pretrained(folder)(
        audio=[song["audio"]["bytes"] for song in songs[:1]],
        text=[*(song["caption"] for song in songs), "jazz", "A quiet piano. Then the drums enter."],
    )
    full = scores(CollapModel.from_pretrained(folder), inputs)
    assert (full.structure is not None) == (name == "collap-mini")
    assert float(full.fused.std()) > 0.05  # what is within 1e-2 is no accident
    for dtype in HALVES:
        model = CollapModel.from_pretrained(folder, dtype=dtype)
        assert model.audio_encoder.adapter.weight.dtype == dtype
        assert model.logit_scale.dtype == torch.float32
        half = scores(model, inputs)
        for term, exact in full.present().items():
            torch.testing.assert_close(getattr(half, term), exact, rtol=0, atol=1e-2, msg=f"{term} in {dtype}")


@pytest.mark.parametrize("dtype", HALVES)
def test_saved_and_loaded_it_stays_half(dtype: torch.dtype, tmp_path: Path) -> None:
    tiny.model(gamma_structure=1.0).save_pretrained(tmp_path / "full")
    CollapModel.from_pretrained(tmp_path / "full", dtype=dtype).save_pretrained(tmp_path / "half")
    model = CollapModel.from_pretrained(tmp_path / "half")
    assert model.dtype == model.text_projection.weight.dtype == dtype
    assert model.logit_scale.dtype == model.structure_log_temperature.dtype == torch.float32


@pytest.mark.parametrize("dtype", HALVES)
def test_a_last_window_too_short_to_hear(dtype: torch.dtype, tmp_path: Path) -> None:
    """0.03 s are no patch of BEATs' and a step or two of Whisper's: a row of attention that is nothing but padding."""
    tiny.model(gamma_structure=1.0).save_pretrained(tmp_path)
    inputs = tiny.batch(seconds=(2.03, 1.0))
    assert (inputs["fbank_lengths"] < 16).any()
    full = scores(CollapModel.from_pretrained(tmp_path), inputs).fused
    half = scores(CollapModel.from_pretrained(tmp_path, dtype=dtype), inputs).fused
    torch.testing.assert_close(half, full, rtol=0, atol=5e-2)  # weights of this model are wild


def test_long_texts_do_not_overflow(tmp_path: Path) -> None:
    """Summed over a text, states as large as pretrained models have exceed what float16 holds."""
    model = tiny.model(text_pooling="mean", gamma_structure=1.0)
    with torch.no_grad():
        model.text_model.ln_f.weight.mul_(3000.0)
    model.save_pretrained(tmp_path)
    inputs = tiny.batch(texts=["drums and guitar and a soft verse " * 3, "a loud chorus"])
    half = CollapModel.from_pretrained(tmp_path, dtype=torch.float16)
    states = half.text_model(input_ids=inputs["input_ids"][:1]).last_hidden_state
    assert states.isfinite().all()
    assert states.sum(1).isinf().any()
    with torch.no_grad():
        text, full = half.encode_text(**inputs), model.encode_text(**inputs)
    assert all(rows.isfinite().all() for rows in text.present().values())
    for rows, exact in zip(text, full, strict=True):
        torch.testing.assert_close(rows.float(), exact, rtol=2e-2, atol=2e-2 * float(exact.abs().max()))
