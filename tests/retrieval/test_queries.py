"""The written queries and the songs of the demo: what they say is measured, and none was heard in training."""

import pytest

from dataset_scripts.songbook.arrangement import ArrangedSection, Arrangement, Part
from dataset_scripts.songbook.arranger import arrange
from dataset_scripts.songbook.composition import Composition, Note, Section
from dataset_scripts.songbook.songwriter import write_song
from retrieval_collap.queries import QUERIES, Heard
from retrieval_collap.songs import choose_songs


def part(role: str, instrument: str, pattern: str, start: float) -> Part:
    notes = tuple(Note(start + i, 0.9, 60) for i in range(10))
    return Part(role, instrument, 0, role == "drums", pattern, notes)  # type: ignore[arg-type]


@pytest.fixture
def song() -> Arrangement:
    """A verse of 10 s with clarinet and walking bass, a loud chorus of 30 s with flute, drums and synth bass."""
    verse, chorus = Section(0.0, 10.0, "verse", "A"), Section(10.0, 40.0, "chorus", "B")
    beats = tuple(float(i) for i in range(40))
    composition = Composition(
        "made", "songwriter", "CC0-1.0", "test", 40.0, 60.0, 4, 0, "minor", beats, beats[::4], (), (verse, chorus), ()
    )
    sections = (
        ArrangedSection(
            verse,
            (part("melody", "clarinet", "legato line", 1), part("bass", "acoustic bass", "walking line", 0)),
            "soft",
        ),
        ArrangedSection(
            chorus,
            (
                part("melody", "flute", "plain line", 11),
                part("bass", "synth bass", "shuffle line", 10),
                part("drums", "drum kit", "brushed swing", 10),
            ),
            "loud",
        ),
    )
    return Arrangement(composition, 0, "jazz", sections)


def test_shares_are_measured_in_seconds(song: Arrangement) -> None:
    heard = Heard(song)
    assert heard.drums == heard.loud == pytest.approx(0.75)
    assert heard.melody_by("reed") == pytest.approx(0.25)
    assert heard.melody_by("flute", "reed") == pytest.approx(1.0)
    assert heard.melody_by("bass") == 0.0
    assert heard.family("bass") == pytest.approx(1.0)
    assert heard.plays("drum kit") == pytest.approx(0.75)
    assert heard.pattern("walking line", "shuffle line") == pytest.approx(1.0)
    assert heard.pattern("swing") == 0.0  # only the drums play it
    assert heard.pattern("swing", "shuffle", drums=True) == pytest.approx(0.75)


def test_queries_are_checked_fact_by_fact(song: Arrangement) -> None:
    jazz = next(query for query in QUERIES if "jazz" in query.text)
    assert jazz.check(song) == (True, True, True)
    lullaby = next(query for query in QUERIES if "asleep" in query.text)
    assert lullaby.check(song) == (False, True, False)


def test_there_are_five_long_queries() -> None:
    assert len(QUERIES) == 5
    assert all(40 <= len(query.text.split()) <= 80 for query in QUERIES)


def test_songs_are_held_out_and_answer_every_query() -> None:
    songs = choose_songs(16, QUERIES)
    assert len({song.id for song in songs}) == 16
    assert {song.composition.split for song in songs} == {"test"}
    assert [song.id for song in songs] == sorted(song.id for song in songs)
    for query in QUERIES:
        assert 1 <= sum(all(query.check(song)) for song in songs) < 16
    assert choose_songs(16, QUERIES) == songs


def test_few_songs_and_later_seeds() -> None:
    songs = choose_songs(2, QUERIES, first_seed=1000)
    assert len(songs) == 2
    assert all(int(song.composition.id.rpartition("-")[2]) >= 1000 for song in songs)
    number = int(songs[0].composition.id.rpartition("-")[2])
    assert arrange(write_song(number), 0) == songs[0]
