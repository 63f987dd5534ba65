"""The truncation probe: recall appears where the captions say what tells their tracks apart."""

import json
from pathlib import Path

import pytest
from datasets import Dataset

from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.probes import truncation
from evaluation_collap.probes.truncation import CutCaptions, first_sentence, first_words, saturation
from tests.evaluation.fakes import FakeScorer
from tests.evaluation.pitched import songs

# The pitches that tell a track from the others, behind 15 words that say nothing.
FILLER = "This is a song. " + "And it goes on. " * 2 + "So it does. " + "\n"
MIXES = (("low",), ("middle",), ("high",), ("low", "shrill"), ("middle", "shrill"), ("high", "middle"))


def told_late() -> Dataset:
    rows = songs(MIXES)
    captions = [FILLER + " ".join(mix) for mix in MIXES]
    return rows.remove_columns("caption").add_column("caption", captions)


def test_recall_comes_with_the_words_that_tell_tracks_apart(tmp_path: Path) -> None:
    cached = EmbeddingCache(tmp_path, FakeScorer(), progress=False)
    result = truncation.run(cached, told_late(), words=(5, 10, 40))
    by_kept = {cut.kept: cut for cut in result.cuts}
    assert list(by_kept) == ["first sentence", "5 words", "10 words", "40 words", "all"]
    for kept in ("first sentence", "5 words", "10 words"):  # all captions are the same: all ties, against the model
        assert by_kept[kept].metrics["text_to_audio_R@1"] == by_kept[kept].metrics["audio_to_text_R@1"] == 0
    for kept in ("40 words", "all"):
        assert by_kept[kept].metrics["text_to_audio_R@1"] == by_kept[kept].metrics["audio_to_text_R@1"] == 100
    assert result.saturation_words["text_to_audio_R@1"] == 40
    assert by_kept["first sentence"].mean_words == 4
    assert by_kept["all"].beyond_limit is None  # the fake does not know its limit
    assert cached.scorer.tracks_encoded == len(MIXES)
    assert "| 40 words |" in result.table()
    assert json.loads(result.to_json())["probe"] == "truncation"


def test_the_probe_says_how_many_texts_the_model_cuts_itself() -> None:
    class ShortSighted(FakeScorer):
        def is_cut(self, text: str) -> bool:
            return len(text.split()) > 12

    result = truncation.run(ShortSighted(), told_late(), words=(10,))
    assert [cut.beyond_limit for cut in result.cuts] == [0, 0, 100]


def test_a_part_of_the_tracks_is_drawn_by_the_seed() -> None:
    scorer = FakeScorer()
    assert truncation.run(scorer, told_late(), tracks=4, words=(5,)).tracks == 4
    assert scorer.tracks_encoded == 4
    with pytest.raises(ValueError, match="at least one track"):
        truncation.run(scorer, told_late().select([]))


def test_saturation_is_where_recall_stays_high() -> None:
    def cuts(recall: dict[int | None, float]) -> list[CutCaptions]:
        return [
            CutCaptions("all" if words is None else f"{words} words", words, 1.0, None, {"R@1": value})
            for words, value in recall.items()
        ]

    assert saturation(cuts({5: 20.0, 10: 96.0, 20: 80.0, 40: 95.0, 80: 99.0, None: 100.0}), "R@1") == 40
    assert saturation(cuts({5: 20.0, 250: 90.0, None: 100.0}), "R@1") is None


def test_words_and_sentences_are_cut_and_nothing_else_is_touched() -> None:
    text = "A slow song at 88.5 BPM.\n**0:00-0:17:** Intro. Piano!  Then strings"
    assert first_words(text, 7) == "A slow song at 88.5 BPM.\n**0:00-0:17:**"
    assert first_words(text, 1) == "A"
    assert first_words(text, 99) == text
    assert first_sentence(text) == "A slow song at 88.5 BPM."
    assert first_sentence("no end") == "no end"
