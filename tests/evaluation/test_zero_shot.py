"""Zero-shot labels: scores, metrics and broken tracks with a scorer without a network, and the songbook's labels."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from fakes import RATE, FakeScorer, sound
from torchcodec.encoders import AudioEncoder

from dataset_scripts.schema import dataset_features
from dataset_scripts.songbook import arrange, write_caption, write_song
from dataset_scripts.songbook.caption_sentences import MOST_NAMED
from dataset_scripts.songbook.labels import songbook_labelled, songbook_labels
from dataset_scripts.songbook.measures import measure_sections, playing_time
from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.zero_shot import zero_shot

NAMES = ["low", "middle", "high", "shrill"]
SONGS = 40


def rows_of(tracks: dict[str, list[str]], *, classes: bool = True) -> Dataset:
    """A track for every name: the pitches it is labelled with, one after another; without pitches, broken audio."""
    items = []
    for name, pitches in tracks.items():
        content = b"no audio"
        if pitches:
            encoded = AudioEncoder(torch.from_numpy(sound(*pitches, seconds=0.5))[None], sample_rate=RATE)
            content = encoded.to_tensor("flac").numpy().tobytes()
        items.append({"id": name, "audio": {"bytes": content, "path": None}, "labels": pitches or ["low"]})
    kind: Any = ClassLabel(names=NAMES) if classes else Value("string")
    schema = dataset_features(decode=False)
    features = Features({"id": schema["id"], "audio": schema["audio"], "labels": List(kind)})
    return Dataset.from_list(items, features=features)


class Biased(FakeScorer):
    """Takes every sentence with "music" for one about low pitches: a prompt that misleads."""

    def encode_text(self, text: str) -> dict[str, torch.Tensor]:
        return super().encode_text("low" if "music" in text else text)


@pytest.mark.parametrize("cached", [False, True])
def test_classification_finds_the_labels_and_leaves_broken_tracks_out(tmp_path: Path, cached: bool) -> None:
    rows = rows_of({"a": ["low"], "b": ["high"], "c": [], "d": ["shrill"], "e": ["low"]})
    scorer = EmbeddingCache(tmp_path, FakeScorer(), progress=False) if cached else FakeScorer()
    result = zero_shot(scorer, rows, prompts=("{}", "a {} sound"))
    assert result.tracks == 4
    assert list(result.broken) == ["c"]
    assert "does not decode" in result.broken["c"]
    assert result.metrics == {"accuracy": 100.0, "ROC-AUC": 100.0, "PR-AUC": 100.0, "tags": 3}
    assert result.unheard == {"accuracy": 50.0, "ROC-AUC": 50.0, "PR-AUC": pytest.approx(100 / 3)}
    assert {label: figures.tracks for label, figures in result.labels.items()} == {
        "low": 2, "middle": 0, "high": 1, "shrill": 1,
    }  # fmt: skip
    assert result.labels["middle"].roc_auc is None


def test_tagging_ranks_tracks_for_every_label() -> None:
    rows = rows_of({"a": ["low", "high"], "b": ["high"], "c": ["shrill", "low"], "d": ["shrill"]})
    result = zero_shot(FakeScorer(), rows, ["low", "high", "shrill"], ("{}",), multi_label=True)
    assert "accuracy" not in result.metrics
    assert result.metrics["ROC-AUC"] == 100.0
    assert result.unheard["PR-AUC"] == pytest.approx(50.0)
    others = [["shrill"], ["shrill"], ["low", "high"], ["high"]]
    mislabelled = rows.remove_columns("labels").add_column("labels", others, feature=List(Value("string")))
    worst = zero_shot(FakeScorer(), mislabelled, ["low", "high", "shrill"], ("{}",), multi_label=True)
    assert worst.labels["high"].roc_auc == 0.0
    assert worst.metrics["ROC-AUC"] < 50.0


def test_a_label_scores_as_the_mean_of_its_prompts() -> None:
    rows = rows_of({"a": ["low"], "b": ["high"], "c": ["shrill"]})
    misled = zero_shot(Biased(), rows, prompts=("{} music",))
    assert misled.metrics["accuracy"] == 0.0  # all labels tie, which counts against the scorer
    ensemble = zero_shot(Biased(), rows, prompts=("{} music", "a {} sound"))
    assert ensemble.metrics["accuracy"] == 100.0
    scorer = FakeScorer()
    zero_shot(scorer, rows, prompts=("{}", "a {} sound", "the {} pitch"))
    assert (scorer.tracks_encoded, scorer.texts_encoded) == (3, 4 * 3)


def test_labels_may_be_plain_strings() -> None:
    rows = rows_of({"a": ["low"], "b": ["high"]}, classes=False)
    result = zero_shot(FakeScorer(), rows)
    assert list(result.labels) == ["high", "low"]
    assert result.metrics["accuracy"] == 100.0


def test_the_result_is_json_and_a_table() -> None:
    result = zero_shot(FakeScorer(), rows_of({"a": ["low"], "b": ["high"]}))
    content = json.loads(result.to_json())
    assert content["probe"] == "zero-shot"
    assert content["labels"]["middle"] == {"tracks": 0, "roc_auc": None, "pr_auc": None}
    assert content["protocol"]["tracks"] == "whole"
    assert result.table().splitlines()[2] == "| fake | 100.0 | 100.0 | 100.0 |"


def test_unusable_tasks_are_refused() -> None:
    rows = rows_of({"a": ["low"], "b": ["high", "low"]})
    with pytest.raises(ValueError, match=r"classification needs one of the 4 labels, b has \['high', 'low'\]"):
        zero_shot(FakeScorer(), rows)
    with pytest.raises(ValueError, match=r"needs one of the 1 labels, a has \['low'\]"):
        zero_shot(FakeScorer(), rows.select([0]), ["high"])
    with pytest.raises(ValueError, match=r'needs a place "\{\}"'):
        zero_shot(FakeScorer(), rows, prompts=("music",))
    with pytest.raises(ValueError, match="no column labels; they have id, audio"):
        zero_shot(FakeScorer(), rows.remove_columns("labels"))
    with pytest.raises(ValueError, match=r"none of the 1 tracks can be heard; the first: .*does not decode"):
        zero_shot(FakeScorer(), rows_of({"c": []}))


# --- labels of the songbook -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def songs() -> list[tuple[dict[str, Any], Any]]:
    """Captions of the songwriter's songs as rows, with the arrangements that they are of."""
    found = []
    for seed in range(SONGS):
        arrangement = arrange(write_song(seed), seed)
        caption = write_caption(arrangement)
        sections = [{"start": p.start, "end": p.end, "label": p.label, "caption": p.caption} for p in caption.passages]
        row = {"id": arrangement.id, "global_caption": caption.global_caption, "structure": sections}
        found.append((row, arrangement))
    return found


def test_the_genre_is_read_off_the_caption(songs: list[tuple[dict[str, Any], Any]]) -> None:
    read = [songbook_labels(row).genre for row, _ in songs]
    assert read == [arrangement.genre for _, arrangement in songs]
    assert len(set(read)) > 10


def test_instruments_are_those_that_play(songs: list[tuple[dict[str, Any], Any]]) -> None:
    for row, arrangement in songs:
        facts = measure_sections(arrangement, 0.0, arrangement.composition.duration)
        seconds = playing_time(facts)
        longest = sorted(seconds, key=lambda name: -seconds[name])[:MOST_NAMED]
        assert songbook_labels({**row, "structure": None}).instruments == tuple(sorted(longest)), row["global_caption"]
        assert set(longest) <= set(songbook_labels(row).instruments) <= set(seconds), row


@pytest.mark.parametrize(
    ("text", "instruments"),
    [
        ("An electric guitar with distortion and a fretless bass guitar.", ("distorted guitar", "fretless bass")),
        ("Double bass, upright bass, bass guitar.", ("acoustic bass", "electric bass")),
        ("The trumpet with a mute plays over the Rhodes-like electric piano.", ("electric piano", "muted trumpet")),
        ("Drums with brushes; a big-sounding drum kit; a jazz drum kit.", ("brushed drums", "jazz drum kit",
                                                                         "power drum kit")),
        ("There are no drums. The pianola and the harpist rest.", ()),
    ],
)  # fmt: skip
def test_every_wording_of_an_instrument_has_one_name(text: str, instruments: tuple[str, ...]) -> None:
    assert songbook_labels({"global_caption": text, "structure": []}).instruments == instruments


def test_a_style_is_read_only_where_the_caption_names_it() -> None:
    for text, genre in (
        ("This piece in a video-game chiptune style runs at a fast 150 BPM in C major.", "chiptune"),
        ("The key is C major, the tempo a slow 60 BPM; the style is film-score.", "film score"),
        ("With an electronic dance feel, the track moves at a brisk 120 BPM in A minor.", "electronic"),
        ("A march beat and a waltz pattern, full of soul.", None),
    ):
        assert songbook_labels({"global_caption": text, "structure": []}).genre == genre


def test_labelled_rows_are_ready_for_zero_shot(songs: list[tuple[dict[str, Any], Any]]) -> None:
    schema = dataset_features(decode=False)
    features = Features({name: schema[name] for name in ("id", "global_caption", "structure")})
    rows = Dataset.from_list([row for row, _ in songs], features=features)
    genres = songbook_labelled(rows)
    kind = genres.features["labels"].feature
    assert [[kind.int2str(label) for label in labels] for labels in genres["labels"]] == [
        [arrangement.genre] for _, arrangement in songs
    ]
    instruments = songbook_labelled(rows, "instruments", min_tracks=8)
    names = instruments.features["labels"].feature.names
    counts = [sum(label in labels for labels in instruments["labels"]) for label in range(len(names))]
    assert 10 < len(names) < 40
    assert min(counts) >= 8
    with pytest.raises(ValueError, match="no row names a label of genre that 99 tracks have"):
        songbook_labelled(rows, min_tracks=99)
