"""The order probe: ears find every order, blind scores stay at chance, and preferences of text or audio alone show."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.probes import order
from evaluation_collap.probes.pairs import rank_of_truth, win_shares
from tests.evaluation.fakes import FakeScorer
from tests.evaluation.pitched import TUNES, ListeningScorer, in_order, song, songs


def test_an_ear_for_order_finds_the_truth_every_time() -> None:
    result = order.run(ListeningScorer(in_order), songs())
    assert set(result.captions) == {"as written", "no times", "passages"}
    for preference in (*result.captions.values(), result.audio):
        assert preference is not None
        assert preference.tracks == preference.ranked_tracks == 3
        assert preference.against_reversed == preference.against_random == preference.first == 100
        assert preference.mean_rank == 1
    assert result.audio is not None
    assert result.audio.matched_reversed == result.audio.matched_random == 100
    assert json.loads(result.to_json())["captions"]["no times"]["against_reversed"] == 100
    assert "| caption, passages | 3 | 100.0 | 100.0 | 100.0 |" in result.table()


def test_a_bag_of_pitches_is_at_chance_and_never_first() -> None:
    result = order.run(FakeScorer(), songs(), audio_tracks=0)
    assert result.audio is None
    for preference in result.captions.values():
        assert preference.against_reversed == preference.against_random == 50
        assert preference.blind_reversed == preference.blind_random == 50
        assert preference.first == 0
        assert preference.mean_rank == 10


def test_differences_of_rounding_help_nobody() -> None:
    truths = {tuple(tune) for tune in TUNES}
    rounding = ListeningScorer(lambda heard, read: 0.7 + (1e-7 if tuple(read) in truths else 0.0))
    preference = order.run(rounding, songs(), audio_tracks=0).captions["as written"]
    assert preference.against_reversed == preference.against_random == 50
    assert preference.first == 0


# All begin alike and none ends so: what prefers that beginning prefers every truth to its reverse.
BEGINNING_LOW = (("low", "middle", "high", "shrill"), ("low", "shrill", "middle", "high"), ("low", "high", "shrill"))


def test_a_preference_for_a_text_shows_as_blind_and_matches_nothing() -> None:
    result = order.run(ListeningScorer(lambda heard, read: float(read[0] == "low")), songs(BEGINNING_LOW))
    for preference in result.captions.values():
        assert preference.against_reversed == preference.blind_reversed == 100
        assert 50 < preference.against_random == preference.blind_random < 100
    assert result.audio is not None
    assert result.audio.against_reversed == result.audio.against_random == 50
    assert result.audio.matched_reversed == result.audio.matched_random == 50


def test_a_preference_for_a_track_shows_as_blind_and_matches_nothing() -> None:
    result = order.run(ListeningScorer(lambda heard, read: float(heard[0] == "low")), songs(BEGINNING_LOW))
    assert result.audio is not None
    assert result.audio.against_reversed == result.audio.blind_reversed == 100
    assert 50 < result.audio.against_random == result.audio.blind_random < 100
    assert result.audio.matched_reversed == result.audio.matched_random == 50
    assert result.captions["as written"].against_reversed == 50


def test_songs_of_few_sections_are_not_ranked_among_ten() -> None:
    tunes = [TUNES[0], ("low", "high"), ("low",)]
    preference = order.run(ListeningScorer(in_order), songs(tunes), audio_tracks=0).captions["passages"]
    assert (preference.tracks, preference.ranked_tracks) == (2, 1)
    with pytest.raises(ValueError, match="two sections"):
        order.run(ListeningScorer(in_order), songs([("low",)]))


def test_the_same_seed_gives_the_same_result_with_a_cache_too(tmp_path: Path) -> None:
    plain = order.run(ListeningScorer(in_order), songs(), seed=5, tracks=2, audio_tracks=1)
    cached = EmbeddingCache(tmp_path, ListeningScorer(in_order), progress=False)
    again = [order.run(cached, songs(), seed=5, tracks=2, audio_tracks=1) for _ in range(2)]
    assert again == [plain, plain]
    # Two tracks, and one of them in nine random orders and in reverse, which may be one of the nine.
    assert cached.scorer.tracks_encoded in (2 + 9, 2 + 10)


def test_ties_are_half_a_win_and_the_worst_rank() -> None:
    scores = torch.tensor([2.0, 1.0, 2.0, 2.0 + 1e-6, 3.0])
    assert win_shares(scores[0], scores).tolist() == [0.5, 1, 0.5, 0.5, 0]
    assert rank_of_truth(scores[0], scores[1:]) == 4
    assert rank_of_truth(torch.tensor(0.0), torch.zeros(9)) == 10
    negative = torch.tensor([-1.0, -2.0])
    assert win_shares(negative[0], negative[1]) == 1


def test_tunes_can_be_told_apart() -> None:
    """What the tests above rest on: the fake hears every tune, and no tune is the reverse of another."""
    assert all(a != b and a != b[::-1] for a, b in itertools.combinations(TUNES, 2))
    assert song(0, TUNES[0])["caption"].splitlines()[1] == "**0:00-0:01:** First verse. A low tone ."
