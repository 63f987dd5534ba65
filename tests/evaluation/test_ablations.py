"""Ablations of one checkpoint: each line is the checkpoint with one thing changed, and the checkpoint stays."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Audio

from evaluation_collap import ablations
from evaluation_collap.ablations import OPENINGS, SWEEPS, Ablated, default_sweeps, silence_branch
from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.probes.recall import retrieval_both_ways
from evaluation_collap.probes.tracks import encode_texts, encode_tracks
from evaluation_collap.scorers.collap import CollapScorer, MeanPoolingScorer
from processing_collap import load_audio
from tests import tiny
from tests.evaluation.fakes import FakeScorer

SMALL = {
    "kernel": [{"seconds_per_kernel": 0.2}],
    "gammas": [{"gamma_kernel": 1.0, "gamma_temporal": 0.0}],
    "normalization": [{"normalization": "mean"}, {"normalization": "paper"}],
}


def scorer(**options: Any) -> CollapScorer:
    return CollapScorer(tiny.model(**options), tiny.processor())


def test_every_line_is_the_checkpoint_with_one_thing_changed() -> None:
    base, rows = scorer(), tiny.rows(4)
    result = ablations.run(base, rows, sweeps=SMALL, openings=())
    tracks, texts = encode_tracks(base, rows), encode_texts(base, rows["caption"])
    by_name = {(line.group, str(line.settings)): line.metrics for line in result.lines}
    assert by_name["checkpoint", "{}"] == retrieval_both_ways(base.score(tracks, texts))
    assert by_name["normalization", "{'normalization': 'mean'}"] == by_name["checkpoint", "{}"]
    for group, each in SMALL.items():
        for settings in each:
            scores = base.with_settings(**settings).score(tracks, texts)
            assert by_name[group, str(settings)] == retrieval_both_ways(scores)
    for branch, left in (("whisper", "BEATs only"), ("beats", "Whisper only")):
        silenced = silence_branch(base, branch)
        scores = silenced.score(encode_tracks(silenced, rows), texts)
        assert by_name["branch", str({"branch": left})] == retrieval_both_ways(scores)
    assert len(result.lines) == 1 + 4 + 2
    assert result.as_trained["normalization"] == "mean"
    assert "| branch | BEATs only |" in result.table()
    assert json.loads(result.to_json())["lines"][1]["settings"] == {"seconds_per_kernel": 0.2}


def test_a_cut_encoding_is_that_of_a_cut_track() -> None:
    base, rows = scorer(), tiny.rows(4)
    result = ablations.run(base, rows, sweeps={}, branches=False, openings=(1,))
    seconds = base.model.config.window_seconds
    cut = [
        base.encode_track(load_audio(audio["bytes"], base.sampling_rate, end_seconds=seconds).numpy())
        for audio in rows.cast_column("audio", Audio(decode=False))["audio"]
    ]
    whole = encode_tracks(base, rows)
    assert max(len(track["features"]) for track in whole) > max(len(track["features"]) for track in cut)
    scores = base.score(cut, encode_texts(base, rows["caption"]))
    assert result.lines[-1] == Ablated("audio heard", {"seconds": seconds}, retrieval_both_ways(scores))
    assert f"| audio heard | seconds {seconds:g} |" in result.table()


def test_a_silenced_branch_is_not_heard_and_the_other_one_is() -> None:
    base = scorer()
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    loud, quiet = tiny.batch(texts=["a"]), tiny.batch(texts=["a"])
    quiet["input_features"] = torch.zeros_like(quiet["input_features"])  # what Whisper hears
    deaf = {branch: silence_branch(base, branch) for branch in ("whisper", "beats")}
    heard = {
        branch: [each.model.get_audio_features(**inputs)[0] for inputs in (loud, quiet)]
        for branch, each in deaf.items()
    }
    torch.testing.assert_close(*heard["whisper"])
    assert not torch.allclose(*heard["beats"])
    assert len({each.fingerprint for each in (base, *deaf.values())}) == 3
    assert deaf["whisper"].model.text_model is base.model.text_model
    for name, tensor in base.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


def test_encodings_are_made_once_for_all_settings(tmp_path: Path) -> None:
    base, rows = scorer(), tiny.rows(4)
    cached = EmbeddingCache(tmp_path, base, progress=False)
    plain = ablations.run(base, rows, sweeps=SMALL)
    assert ablations.run(cached, rows, sweeps=SMALL).lines == plain.lines
    assert len(list(tmp_path.glob("*/tracks/*/*.safetensors"))) == 3 * 4  # as it is, and with either branch silenced
    assert len(list(tmp_path.glob("*/texts/*/*.safetensors"))) == 4


def test_all_default_settings_run_and_leave_the_model_alone() -> None:
    base = scorer(steps_per_second=50.0)
    result = ablations.run(base, tiny.rows(3), branches=False)
    assert len(result.lines) == 1 + sum(map(len, SWEEPS.values())) + len(OPENINGS)
    assert base.model.config.normalization == "mean"
    assert base.model.config.seconds_per_kernel == 0.5


def test_models_without_kernels_or_branches() -> None:
    mean = MeanPoolingScorer(tiny.model(), tiny.processor())
    lines = ablations.run(mean, tiny.rows(2), openings=()).lines
    assert [line.group for line in lines] == ["checkpoint", "branch", "branch"]
    one = scorer(beats_config=None)
    assert default_sweeps(one) == SWEEPS
    structured = {"gamma_kernel": 0.0, "gamma_temporal": 0.0, "gamma_structure": 1.0}
    assert list(default_sweeps(scorer(**structured))) == ["structure"]
    assert list(default_sweeps(scorer(gamma_structure=1.0))) == [*SWEEPS, "structure"]
    assert list(default_sweeps(scorer(**structured, whole_text_weight=1.0))) == ["structure", "whole text"]
    assert all(line.group != "branch" for line in ablations.run(one, tiny.rows(2), sweeps={}).lines)
    with pytest.raises(ValueError, match="no branch 'beats'"):
        silence_branch(one, "beats")
    with pytest.raises(ValueError, match="is no CoLLAP"):
        ablations.run(FakeScorer(), tiny.rows(2))
