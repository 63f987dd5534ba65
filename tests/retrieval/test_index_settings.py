"""What an index was made with: kept as JSON, and any other model refused."""

import json
from dataclasses import replace

import pytest
import torch
from tiny import model, processor

from retrieval_collap.index import IndexSettings

SETTINGS = IndexSettings(
    "org/collap", "0" * 64, dim=16, model_steps_per_second=50.0, pool=40, bits=4, normalize_first=False
)


def test_an_index_of_another_layout_is_refused() -> None:
    first = {name: value for name, value in json.loads(SETTINGS.to_json()).items() if name != "layout"}
    for fields in (first, {**first, "layout": 99}):
        with pytest.raises(ValueError, match="another version of CoLLAP: index the tracks again"):
            IndexSettings.from_json(json.dumps(fields))


def test_settings_survive_json() -> None:
    assert IndexSettings.from_json(SETTINGS.to_json()) == SETTINGS
    assert SETTINGS.steps_per_second == 1.25


@pytest.mark.parametrize("text", ["", "[]", "{}", "no JSON", json.dumps({"model": "m", "colour": 3})])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no settings of a track index"):
        IndexSettings.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [("dim", 0), ("pool", 0), ("bits", 16), ("model_steps_per_second", 0.0), ("model_steps_per_second", float("nan"))],
)
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=r"bits must be|needs a positive"):
        replace(SETTINGS, **{name: value})


def test_settings_of_a_model() -> None:
    collap = model()
    config = collap.config
    pool = round(config.steps_per_second / 10)
    settings = IndexSettings.for_model(collap, processor(), name="tiny", seconds_per_step=0.1, bits=4)
    expected = ("tiny", settings.fingerprint, config.projection_dim, config.steps_per_second, pool, 4)
    assert settings == IndexSettings(*expected, normalize_first=True)
    passages = model(gamma_kernel=0.0, gamma_temporal=0.0, gamma_structure=1.0)
    assert not IndexSettings.for_model(passages, processor(), seconds_per_step=0.1).normalize_first
    settings.check(collap, processor())


def test_a_step_is_at_least_one_of_the_models_and_at_most_its_stride() -> None:
    collap = model()
    assert IndexSettings.for_model(collap, processor(), seconds_per_step=1e-6).pool == 1
    with pytest.raises(ValueError, match="stride"):
        IndexSettings.for_model(collap, processor(), seconds_per_step=collap.config.seconds_per_stride * 3)
    with pytest.raises(ValueError, match="positive"):
        IndexSettings.for_model(collap, processor(), seconds_per_step=0.0)


def test_another_model_is_refused() -> None:
    collap, other = model(), model()
    settings = IndexSettings.for_model(collap, processor(), name="org/collap", seconds_per_step=0.1)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    with pytest.raises(ValueError, match=r"made with the model org/collap .* use the same model, or index"):
        settings.check(other, processor())


def test_other_settings_of_the_model_are_refused() -> None:
    collap, other = model(), model()
    settings = IndexSettings.for_model(collap, processor(), seconds_per_step=0.1)
    other.config.gamma_kernel += 0.25
    with pytest.raises(ValueError, match="index the tracks again"):
        settings.check(other, processor())
