"""The audio encoder: windows, padding, fusion and joining in time."""

from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from transformers import BatchFeature

BRANCHES = {"both": {}, "whisper": {"beats_config": None}, "beats": {"whisper_config": None}}
SECONDS = (3.3, 1.0, 0.4, 2.1)
# 2.1 s end in 0.1 s, which is half a patch of BEATs: Whisper alone has steps there.
STEPS = {"both": [165, 50, 20, 105], "whisper": [165, 50, 20, 105], "beats": [152, 48, 16, 96]}


def audio_inputs(seconds: Sequence[float] = SECONDS) -> BatchFeature:
    inputs = tiny.batch(seconds=seconds)
    return BatchFeature({name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")})


def features(model: Any, inputs: BatchFeature) -> list[torch.Tensor]:
    """The valid steps of every track."""
    fused, lengths = model.get_audio_features(**inputs)
    return [track[:length] for track, length in zip(fused, lengths.tolist(), strict=True)]


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("alignment", ["interleaved", "pooled"])
def test_alone_as_in_a_batch(branch: str, alignment: str) -> None:
    model = tiny.model(beats_time_alignment=alignment, **BRANCHES[branch])
    together = features(model, audio_inputs())
    assert [len(track) for track in together] == STEPS[branch]
    for i, (seconds, track) in enumerate(zip(SECONDS, together, strict=True)):
        audio = tiny.tone(seconds, 220.0 * (i + 1), seed=i)
        (alone,) = features(model, tiny.processor()(audio=audio, sampling_rate=tiny.RATE))
        torch.testing.assert_close(track, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("branch", BRANCHES)
def test_windows_per_chunk_changes_nothing(branch: str) -> None:
    inputs = audio_inputs()
    expected = features(tiny.model(windows_per_chunk=64, **BRANCHES[branch]), inputs)
    for chunk in (1, 3):
        got = features(tiny.model(windows_per_chunk=chunk, **BRANCHES[branch]), inputs)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("junk", [1e4, float("nan")])
def test_padding_windows_are_never_read(junk: float) -> None:
    model, inputs = tiny.model(), audio_inputs()
    expected = features(model, inputs)
    for name in ("input_features", "fbank"):
        padding = inputs[f"{name}_lengths"] == 0
        assert padding.any()
        inputs[name] = inputs[name].clone()
        # A last window without a single fbank frame is still a window: Whisper hears it.
        inputs[name][padding & (inputs["input_features_lengths"] == 0)] = junk
    got = features(model, inputs)
    torch.testing.assert_close(got, expected, atol=0, rtol=0)


def test_fbank_frames_past_the_end_are_never_heard() -> None:
    model, inputs = tiny.model(), audio_inputs()
    expected = features(model, inputs)
    past = torch.arange(inputs["fbank"].shape[2]) >= inputs["fbank_lengths"][..., None]
    inputs["fbank"] = inputs["fbank"].masked_fill(past[..., None], 50.0)
    torch.testing.assert_close(features(model, inputs), expected, atol=1e-5, rtol=1e-5)


def test_window_is_whisper_then_beats_with_beats_ending_first() -> None:
    """Two steps of a window lie past BEATs' last token; there its normed half is zero."""
    model, inputs = tiny.model(), audio_inputs([1.0])
    encoder = model.audio_encoder
    whisper = encoder.whisper_norm(encoder.whisper(inputs["input_features"][0]).last_hidden_state)
    beats = encoder.beats_norm(encoder.beats(inputs["fbank"][0]).last_hidden_state)
    assert (whisper.shape[1], beats.shape[1]) == (tiny.WHISPER_STEPS, tiny.BEATS_STEPS)
    beats = torch.cat([beats, torch.zeros(1, 2, beats.shape[2])], dim=1)
    expected = encoder.adapter(torch.cat([whisper, beats], dim=-1))
    torch.testing.assert_close(features(model, inputs)[0], expected[0], atol=1e-5, rtol=1e-5)


def test_pooled_alignment_repeats_the_mean_of_the_bands() -> None:
    options = {"whisper_config": None, "beats_time_alignment": "pooled"}
    model, inputs = tiny.model(**options), audio_inputs([1.0])
    (pooled,) = features(model, inputs)  # (48, D)
    groups = pooled.view(6, 8, -1)
    torch.testing.assert_close(groups, groups[:, :1].expand_as(groups))
    tokens = model.audio_encoder.beats(inputs["fbank"][0]).last_hidden_state[0]  # (48, d)
    means = tokens.view(6, 8, -1).mean(1)
    expected = model.audio_encoder.adapter(model.audio_encoder.beats_norm(means))
    torch.testing.assert_close(groups[:, 0], expected, atol=1e-5, rtol=1e-5)
    (interleaved,) = features(tiny.model(whisper_config=None), inputs)
    assert (interleaved - pooled).abs().max() > 0.01


def test_tail_without_a_beats_token_is_trained_through() -> None:
    model, inputs = tiny.model().train(), audio_inputs([2.1])
    assert inputs["fbank_lengths"].tolist()[0][-1] < 16
    (track,) = features(model, inputs)
    track[-5:].square().sum().backward()
    assert len(track) == 105
    assert all(p.grad.isfinite().all() for p in model.audio_encoder.parameters() if p.grad is not None)
    assert model.audio_encoder.whisper.conv1.weight.grad.any()


def test_thirty_seconds_at_the_real_rates() -> None:
    """One window of the real features: 1500 steps from Whisper, 187 x 8 from BEATs; and half a window more."""
    whisper = tiny.whisper_config(encoder_layers=1, max_source_positions=1500)
    beats = tiny.beats_config(num_hidden_layers=1)
    inputs = {
        "input_features": torch.randn(1, 2, 80, 3000),
        "input_features_lengths": torch.tensor([[3000, 1500]]),
        "fbank": torch.randn(1, 2, 2998, 128),
        "fbank_lengths": torch.tensor([[2998, 1498]]),
    }
    for options, steps in (
        ({"whisper_config": whisper, "beats_config": beats}, 1500 + 750),
        ({"whisper_config": whisper, "beats_config": None}, 1500 + 750),
        ({"whisper_config": None, "beats_config": beats}, 1496 + 744),
    ):
        model = tiny.model(window_seconds=30.0, **options)
        assert model.config.steps_per_second == 50
        with torch.no_grad():
            fused, lengths = model.get_audio_features(**inputs)
        assert lengths.tolist() == [steps]
        assert fused.shape == (1, steps, 24)


@pytest.mark.parametrize(("name", "branch"), [("input_features", "Whisper"), ("fbank", "BEATs")])
def test_missing_input_of_an_active_branch_raises(name: str, branch: str) -> None:
    inputs = audio_inputs()
    del inputs[name]
    with pytest.raises(ValueError, match=f"the {branch} branch needs {name}"):
        tiny.model().get_audio_features(**inputs)


def test_input_of_an_inactive_branch_is_ignored() -> None:
    model, inputs = tiny.model(beats_config=None), audio_inputs()
    expected = features(model, inputs)
    del inputs["fbank"], inputs["fbank_lengths"]
    torch.testing.assert_close(features(model, inputs), expected)


def test_track_without_a_window_raises() -> None:
    inputs = audio_inputs()
    for name in ("input_features_lengths", "fbank_lengths"):
        inputs[name] = inputs[name].clone()
        inputs[name][2] = 0
    with pytest.raises(ValueError, match="track 2 of the batch has no valid window"):
        tiny.model().get_audio_features(**inputs)


def test_short_window_in_the_middle_raises() -> None:
    inputs = audio_inputs([2.0])
    inputs["input_features_lengths"], inputs["fbank_lengths"] = torch.tensor([[60, 100]]), torch.tensor([[58, 98]])
    with pytest.raises(ValueError, match="only the last window"):
        tiny.model().get_audio_features(**inputs)


def with_states(model: Any, inputs: BatchFeature, dtype: torch.dtype, *branches: str) -> BatchFeature:
    """The inputs with the states of these branches in place of their features; junk where a window is padding."""
    names = {"whisper": "input_features", "beats": "fbank"}
    given = dict(inputs)
    for branch in branches:
        frames, windows = inputs[f"{names[branch]}_lengths"], given.pop(names[branch])
        encode = getattr(model.audio_encoder, f"encode_{branch}")
        with torch.no_grad():
            states = encode(windows.flatten(0, 1), frames.flatten()).unflatten(0, frames.shape)
        given[f"{branch}_states"] = states.masked_fill((frames == 0)[..., None, None], torch.nan).to(dtype)
    return BatchFeature(given)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("alignment", ["interleaved", "pooled"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 5e-3)])
def test_given_states_stand_for_the_encoders(
    monkeypatch: pytest.MonkeyPatch, branch: str, alignment: str, dtype: torch.dtype, tolerance: float
) -> None:
    model, inputs = tiny.model(beats_time_alignment=alignment, **BRANCHES[branch]), audio_inputs()
    expected = features(model, inputs)
    active = ["whisper", "beats"] if branch == "both" else [branch]
    given = with_states(model, inputs, dtype, *active)
    for name in active:
        encoder = getattr(model.audio_encoder, name)
        monkeypatch.setattr(encoder, "forward", lambda *_: pytest.fail("an encoder was run"))
    torch.testing.assert_close(features(model, given), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("branch", ["whisper", "beats"])
def test_states_of_one_branch_beside_features_of_the_other(branch: str) -> None:
    model, inputs = tiny.model(), audio_inputs()
    given = with_states(model, inputs, torch.float32, branch)
    torch.testing.assert_close(features(model, given), features(model, inputs), atol=1e-5, rtol=1e-5)


def test_states_need_their_lengths_and_their_shape() -> None:
    model = tiny.model()
    given = with_states(model, audio_inputs(), torch.float32, "whisper", "beats")
    whole, message = given["beats_states"], r"beats_states must be \(4, 4\) windows of at least 48 steps of 16 values"
    for wrong in (whole[..., :8], whole[:, :, :40], whole[:, :2], whole[0]):
        with pytest.raises(ValueError, match=message):
            model.get_audio_features(**{**given, "beats_states": wrong})
    del given["input_features_lengths"]
    with pytest.raises(ValueError, match="input_features_lengths"):
        model.get_audio_features(**given)


def test_scores_from_states() -> None:
    model, inputs = tiny.model(), tiny.batch()
    given = with_states(model, inputs, torch.float32, "whisper", "beats")
    expected = model(**inputs, return_loss=True)
    found = model(**given, return_loss=True)
    torch.testing.assert_close(found.logits_per_audio, expected.logits_per_audio, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.loss, expected.loss, atol=1e-4, rtol=1e-4)
