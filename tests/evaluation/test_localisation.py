"""The localisation probe: sections that are heard are found, a blind profile is at chance, a wrong one below it."""

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evaluation_collap.probes import localisation
from evaluation_collap.probes.localisation import locate_section
from evaluation_collap.scorers import Encoded
from evaluation_collap.spans import best_spans
from tests.evaluation.fakes import FakeScorer
from tests.evaluation.pitched import songs

TUNES = (("low", "middle", "high", "shrill"), ("high", "low", "middle"))


def test_what_is_heard_is_found() -> None:
    result = localisation.run(FakeScorer(), songs(TUNES, seconds=2.0), min_span_seconds=1.0)
    assert result.metrics == {"pointing": 100, "mean_IoU": 100, "IoU@0.3": 100, "IoU@0.5": 100, "IoU@0.7": 100}
    assert result.chance["pointing"] == pytest.approx(100 * (1 / 4 + 1 / 3) / 2)
    assert result.chance["IoU@0.3"] == 50  # the sections of the second song take up a third each
    assert len(result.sections) == 7
    found = result.sections[1]
    assert (found.label, found.start, found.end, found.found_start, found.found_end) == ("verse", 2.0, 4.0, 2.0, 4.0)
    assert found.start < found.peak < found.end
    assert json.loads(result.to_json())["sections"][1]["iou"] == 1
    assert "| chance |" in result.table()


class Profile(FakeScorer):
    """Shows the fake's profile changed by a function."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change

    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        profile, rate = super().relevance(track, text)
        return self.change(profile), rate


def test_a_flat_profile_is_at_chance() -> None:
    for change in (torch.zeros_like, torch.ones_like, lambda profile: 0.3 + 1e-8 * profile):
        result = localisation.run(Profile(change), songs(TUNES, seconds=2.0), min_span_seconds=1.0)
        assert result.metrics == pytest.approx(result.chance)


def test_a_profile_that_shuns_the_truth_points_nowhere_near() -> None:
    result = localisation.run(Profile(torch.neg), songs(TUNES, seconds=2.0), min_span_seconds=1.0)
    assert result.metrics["pointing"] == 0
    assert result.metrics["mean_IoU"] < result.chance["mean_IoU"]


def test_peak_and_span_of_a_known_profile() -> None:
    row = {"id": "x", "duration": 20.0}
    section = {"start": 8.0, "end": 12.0, "label": None, "caption": "here"}
    profile = torch.zeros(50)  # 2 a second: longer than the track, whose end is at step 40
    profile[18:30] = 1.0
    profile[28] = 1.5
    profile[45] = 9.0
    found = locate_section(profile, 2.0, row, section, 3.0)
    assert (found.peak, found.pointing) == (14.25, 0)
    assert (found.found_start, found.found_end) == (9.0, 15.0)
    assert found.iou == pytest.approx(3 / 7)
    assert found.share == pytest.approx(0.2)


def test_a_span_is_never_shorter_than_the_least() -> None:
    profile = torch.zeros(30)
    profile[14] = 1.0
    for least in (1, 4, 10):
        ((first, last),) = best_spans(profile, least)
        assert last - first == least
        assert first <= 14 < last


def test_scorers_without_a_profile_and_rows_without_sections_are_refused() -> None:
    deaf = FakeScorer()
    deaf.can_locate = False
    with pytest.raises(ValueError, match="no profile"):
        localisation.run(deaf, songs(TUNES))
    bare = songs(TUNES).remove_columns("structure").add_column("structure", [[], []])
    with pytest.raises(ValueError, match="captions of its sections"):
        localisation.run(FakeScorer(), bare)
