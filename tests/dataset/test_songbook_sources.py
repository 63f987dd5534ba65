"""The songs that the songbook is made of: the songwriter's own, and POP909's."""

import json
import logging
import statistics
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from symusic import Note as MidiNote
from symusic import Score, Tempo, Track

from dataset_scripts.songbook.composition import Composition, Note
from dataset_scripts.songbook.form import Phrase, functional_sections, phrase_functions
from dataset_scripts.songbook.harmony import QUALITIES, pitch_class, roman_chord, scale_over
from dataset_scripts.songbook.pop909 import load_pop909
from dataset_scripts.songbook.songwriter import split_of, write_song
from dataset_scripts.songbook.styles import STYLES

LABELS = {"intro", "verse", "pre-chorus", "chorus", "bridge", "instrumental", "outro"}


def assert_well_formed(song: Composition) -> None:
    """What the arranger, the renderer and the captions rely on."""
    assert song.sections[0].start == 0.0
    assert song.sections[-1].end == pytest.approx(song.duration)
    assert all(a.end == b.start for a, b in pairwise(song.sections))
    assert {section.label for section in song.sections} <= LABELS
    for notes in (song.melody, song.counter_melody, song.accompaniment):
        assert all(0.0 <= note.start < note.end <= song.duration + 1e-6 for note in notes)
        assert all(a.start <= b.start for a, b in pairwise(notes))
        assert all(0 < note.pitch < 128 and 0 < note.velocity < 128 for note in notes)
    assert all(0.0 <= chord.start < chord.end <= song.duration + 1e-6 for chord in song.chords)
    assert all(a.end <= b.start + 0.02 for a, b in pairwise(song.chords))
    assert all(chord.root in chord.pitch_classes for chord in song.chords)
    assert all(a < b for a, b in pairwise(song.beats))
    assert set(song.downbeats) <= set(song.beats)
    assert song.tempo_bpm == pytest.approx(60 / statistics.median(b - a for a, b in pairwise(song.beats)), rel=0.01)


# --- harmony and form ---------------------------------------------------------------------------------------------


def test_roman_numerals_and_note_names() -> None:
    assert pitch_class("Bb") == pitch_class("A#") == 10
    assert roman_chord("V7", tonic=2) == (9, "7")  # A7 in D
    assert roman_chord("bVImaj7", tonic=0) == (8, "maj7")
    assert roman_chord("ii7", tonic=0) == (2, "min7")
    assert roman_chord("viihdim7", tonic=0) == (11, "hdim7")
    with pytest.raises(ValueError, match="'H' is no note name"):
        pitch_class("H")
    with pytest.raises(ValueError, match="unknown quality"):
        roman_chord("Vhuge", tonic=0)


def test_every_progression_can_be_read() -> None:
    for style in STYLES:
        for harmony in style.harmony:
            for text in (*harmony.verse, *harmony.chorus, *harmony.bridge, harmony.half, harmony.full, harmony.home):
                for numeral in text.replace("-", " ").split():
                    assert roman_chord(numeral, 0)[1] in QUALITIES
            assert len(harmony.full.split()) == 2
            assert all(len(text.split()) in (4, 12) for text in harmony.verse + harmony.chorus + harmony.bridge)


def test_the_scale_bends_to_the_chord() -> None:
    assert scale_over(0, "major", 0, (0, 4, 7)) == {0, 2, 4, 5, 7, 9, 11}
    assert scale_over(9, "minor", 4, (4, 8, 11)) == {9, 11, 0, 2, 4, 5, 8}  # E major in A minor: G# for G
    assert scale_over(0, "major", 5, (0, 5, 8)) == {0, 2, 4, 5, 7, 8, 11}  # F minor in C major: Ab for A
    assert scale_over(0, "major", 9, (1, 4, 7, 9)) == {1, 2, 4, 5, 7, 9, 11}  # A7 in C major: C# for C


def lettered(form: str, seconds: float = 20.0) -> list[Phrase]:
    return [Phrase(letter, i * seconds, (i + 1) * seconds) for i, letter in enumerate(form)]


def test_letters_get_the_functions_a_listener_would_name() -> None:
    phrases = lettered("iABCbABCDCo")
    high = [Note(p.start + k, 0.9, 72 if p.letter == "C" else 64) for p in phrases for k in range(20) if p.is_vocal]
    assert phrase_functions(phrases, high) == [
        "intro", "verse", "pre-chorus", "chorus", "instrumental",
        "verse", "pre-chorus", "chorus", "bridge", "chorus", "outro",
    ]  # fmt: skip
    assert phrase_functions(lettered("AbA"), ()) == ["verse", "instrumental", "verse"]


def test_sections_are_joined_split_and_cover_the_song() -> None:
    phrases = [Phrase("i", 0, 3), Phrase("A", 3, 19), Phrase("A", 19, 35), Phrase("b", 35, 135), Phrase("o", 135, 150)]
    sections = functional_sections(phrases, (), downbeats=[2.0 * i for i in range(80)], end=150.0)
    assert (sections[0].start, sections[-1].end) == (0, 150)
    assert all(a.end == b.start for a, b in pairwise(sections))
    assert sections[0].end == 35  # two equal phrases and the breath before them
    assert all(7 <= section.end - section.start <= 46 for section in sections)
    assert functional_sections(phrases, (), [2.0 * i for i in range(80)], end=35.0)[-1].end == 35


# --- songwriter ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written() -> list[Composition]:
    return [write_song(seed) for seed in range(60)]


def test_the_same_seed_is_the_same_song(written: list[Composition]) -> None:
    assert write_song(7) == written[7]
    assert len({song.melody for song in written}) == len(written)
    with pytest.raises(ValueError, match="negative"):
        write_song(-1)


def test_written_songs_are_well_formed_and_last_two_to_five_minutes(written: list[Composition]) -> None:
    for song in written:
        assert_well_formed(song)
        assert 120 <= song.duration <= 300
        assert 6 <= len(song.sections) <= 12
        assert song.licence == "CC0-1.0"
        assert {"verse", "outro"} <= {section.label for section in song.sections}
    assert 180 <= statistics.mean(song.duration for song in written) <= 220
    assert {song.beats_per_bar for song in written} == {3, 4, 6}
    assert len({song.genre for song in written}) > 12
    assert len({(song.tonic, song.mode) for song in written}) > 15


def test_melodies_are_sung_in_the_harmony(written: list[Composition]) -> None:
    on_downbeat, hits, leaps, moves = 0, 0, 0, 0
    for song in written:
        downbeats = {round(beat, 4) for beat in song.downbeats}
        for note in song.melody:
            if round(note.start, 4) in downbeats:
                chord = next(chord for chord in song.chords if chord.start - 1e-6 <= note.start < chord.end - 1e-6)
                on_downbeat += 1
                hits += note.pitch % 12 in chord.pitch_classes
        assert all(a.end <= b.start + 1e-6 for a, b in pairwise(song.melody))  # one voice
        assert max(n.pitch for n in song.melody) - min(n.pitch for n in song.melody) <= 28
        moves += len(song.melody) - 1
        leaps += sum(abs(a.pitch - b.pitch) > 5 for a, b in pairwise(song.melody))
    assert hits / on_downbeat > 0.97
    assert leaps / moves < 0.08


def test_choruses_lie_higher_and_phrases_return(written: list[Composition]) -> None:
    def mean_pitch(song: Composition, label: str) -> float:
        spans = [(section.start, section.end) for section in song.sections if section.label == label]
        return statistics.mean(n.pitch for n in song.melody if any(a <= n.start < b for a, b in spans))

    songs = [song for song in written if {"verse", "chorus"} <= {section.label for section in song.sections}]
    assert statistics.mean(mean_pitch(song, "chorus") > mean_pitch(song, "verse") for song in songs) > 0.95
    for song in songs:
        first, second = [section for section in song.sections if section.phrase == "A"][:2]
        heard = [
            {(round(n.start - s.start, 3), n.pitch) for n in song.melody if s.start <= n.start < s.end - 1e-6}
            for s in (first, second)
        ]
        assert len(heard[0] & heard[1]) / len(heard[0] | heard[1]) > 0.6


def test_songs_end_at_home(written: list[Composition]) -> None:
    for song in written:
        lifted = (song.chords[-1].root - song.tonic) % 12  # the last chorus may have gone up one or two semitones
        assert lifted in (0, 1, 2)
        assert song.sections[-1].label == "outro"


def test_seeds_are_split_once_and_about_90_5_5() -> None:
    counts = Counter(split_of(seed) for seed in range(4000))
    assert counts["train"] / 4000 == pytest.approx(0.90, abs=0.02)
    assert counts["validation"] / 4000 == pytest.approx(0.05, abs=0.015)
    assert counts["test"] / 4000 == pytest.approx(0.05, abs=0.015)
    assert write_song(3).split == split_of(3)


# --- POP909 -------------------------------------------------------------------------------------------------------


def write_pop909_song(root: Path, song_id: str, bars: int, fit: float, split: str, midi: bytes | None = None) -> None:
    """One song at 120 beats per minute whose first note comes 2 s in, in POP909's layout: i, A and B by turns, o."""
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    for name, pitch in (("MELODY", 72), ("BRIDGE", 64), ("PIANO", 48)):
        track = Track(name)
        for beat in range(4, 4 + 4 * bars):
            track.notes.append(MidiNote(480 * beat, 240, pitch, 90))
        score.tracks.append(track)
    (root / "midi" / f"{song_id}.mid").write_bytes(score.dumps_midi() if midi is None else midi)
    beats = [f"{beat / 2} {float(beat % 2 == 0)} {float(beat % 4 == 0)}" for beat in range(4 + 4 * bars)]
    (root / "annotations" / f"{song_id}_beat_midi.txt").write_text("\n".join(beats))
    chords = [f"{2.0 * bar}\t{2.0 * bar + 2}\t{'N' if bar == 0 else 'Bb:min7/b7'}" for bar in range(bars + 1)]
    (root / "annotations" / f"{song_id}_chord_midi.txt").write_text("\n".join(chords))
    (root / "annotations" / f"{song_id}_key_audio.txt").write_text("0.0 99.0 Gb:maj\n")
    letters = ["i", *("AB"[i % 2] for i in range(bars // 8 - 2)), "o"]
    row = {
        "song_id": song_id,
        "analyzed_key": "Gb:maj\nAb:maj",
        "align": {"share_of_melody_onsets_within_120ms": fit},
        "segments1_sec": [[letter, 8, 2 + 16 * i, 18 + 16 * i] for i, letter in enumerate(letters)],
    }
    with (root / "structure.jsonl").open("a") as rows:
        rows.write(json.dumps(row) + "\n")
    with (root / "split.csv").open("a") as rows:
        rows.write(f"{song_id},{split}\n")


@pytest.fixture
def small_pop909(tmp_path: Path) -> Path:
    root = tmp_path / "pop909"
    (root / "midi").mkdir(parents=True)
    (root / "annotations").mkdir()
    (root / "split.csv").write_text("song_id,split\n")
    write_pop909_song(root, "003", bars=200, fit=0.9, split="validation")
    write_pop909_song(root, "001", bars=72, fit=1.0, split="train")
    write_pop909_song(root, "002", bars=80, fit=0.89, split="train")
    write_pop909_song(root, "004", bars=80, fit=1.0, split="train", midi=b"no MIDI at all")
    return root


def test_pop909_reads_aligned_songs_and_says_what_it_skips(
    small_pop909: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        songs = load_pop909(small_pop909)
    assert [(song.id, song.split) for song in songs] == [("pop909-001", "train"), ("pop909-003", "validation")]
    assert "song 004 is skipped" in caplog.text
    assert "2 songs read, 1 skipped" in caplog.text
    song, long_song = songs
    for each in songs:
        assert_well_formed(each)
    assert (song.tonic, song.mode, song.beats_per_bar, song.licence) == (6, "major", 4, "MIT")
    assert song.tempo_bpm == pytest.approx(120)
    assert song.melody[0] == Note(0.0, 0.25, 72, 90)  # time 0 is the first note's beat
    assert song.downbeats[:3] == pytest.approx((0.0, 2.0, 4.0))
    assert (song.counter_melody[0].pitch, song.accompaniment[0].pitch) == (64, 48)
    assert [(c.root, c.quality, c.pitch_classes) for c in song.chords] == [(10, "min7", (1, 5, 8, 10))]
    assert [section.label for section in song.sections][:2] == ["intro", "verse"]
    assert song.sections[-1].label == "outro"
    assert long_song.duration == pytest.approx(288.0)  # 400 s, cut where a phrase ends


def test_pop909_reads_the_archive_as_it_reads_the_folder(small_pop909: Path, tmp_path: Path) -> None:
    archive = tmp_path / "pop909.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(small_pop909, arcname="pop909")
    assert load_pop909(archive) == load_pop909(small_pop909)
    with pytest.raises(FileNotFoundError, match="no POP909 folder or archive"):
        load_pop909(tmp_path / "absent.tar.xz")
    with pytest.raises(FileNotFoundError, match=r"holds no structure\.jsonl"):
        load_pop909(tmp_path / "pop909" / "midi")


@pytest.mark.slow
def test_all_of_pop909(shared_data: Path) -> None:
    songs = load_pop909(shared_data / "pop909.tar.xz")
    assert Counter(song.split for song in songs) == {"train": 517, "validation": 100}
    assert len({song.id for song in songs}) == 617
    for song in songs:
        assert_well_formed(song)
        assert song.melody
        assert song.accompaniment
        assert 120 <= song.duration <= 300
        assert all(section.end - section.start <= 50 for section in song.sections)
    sizes = [len(song.sections) for song in songs]
    assert statistics.mean(4 <= size <= 9 for size in sizes) > 0.85
    assert max(sizes) <= 12
    assert statistics.mean(song.duration >= 120 for song in songs) > 0.98
    assert statistics.mean(any(s.label == "chorus" for s in song.sections) for song in songs) > 0.9
