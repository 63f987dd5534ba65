"""The songbook from composition to parquet: arrangements are truthful and repeatable, sound follows the dynamics."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from dataset_scripts.songbook import build, orchestration
from dataset_scripts.songbook.arrangement import Arrangement
from dataset_scripts.songbook.arranger import VELOCITIES, arrange
from dataset_scripts.songbook.build import Job, SongbookSettings, build_songbook, make_row
from dataset_scripts.songbook.composition import Chord, Composition, Note, Section
from dataset_scripts.songbook.render import default_soundfont, encode, render

RATE = 16_000
FORM = (
    ("intro", "i"),
    ("verse", "A"),
    ("chorus", "B"),
    ("verse", "A"),
    ("bridge", "C"),
    ("chorus", "B"),
    ("outro", "o"),
)


def short_song(name: str = "song", *, beats_per_bar: int = 4, genre: str | None = "pop", split="train") -> Composition:
    """Seven sections of four bars at 150 bpm: I-vi-IV-V under a scale, with no melody in the intro."""
    beat, bar = 0.4, 0.4 * beats_per_bar
    length = 4 * bar
    sections = tuple(Section(i * length, (i + 1) * length, label, phrase) for i, (label, phrase) in enumerate(FORM))
    duration = len(FORM) * length
    triads = ((0, "maj", (0, 4, 7)), (9, "min", (9, 0, 4)), (5, "maj", (5, 9, 0)), (7, "maj", (7, 11, 2)))
    chords = tuple(Chord(i * bar, (i + 1) * bar, *triads[i % 4]) for i in range(4 * len(FORM)))
    count = round(duration / beat)
    beats = tuple(i * beat for i in range(count))
    scale = (60, 62, 64, 65, 67, 69, 71, 72)
    melody = tuple(Note(t, 0.3, scale[i % 8], 60 + 5 * (i % 8)) for i, t in enumerate(beats) if t >= length)
    return Composition(
        id=name, source="songwriter", licence="CC0-1.0", split=split, duration=duration, tempo_bpm=150.0,
        beats_per_bar=beats_per_bar, tonic=0, mode="major", beats=beats, downbeats=beats[::beats_per_bar],
        chords=chords, sections=sections, melody=melody, genre=genre,
    )  # fmt: skip


def everything() -> list[Arrangement]:
    genres = [*orchestration.GENRES, None, "a genre nobody knows"]
    songs = [
        short_song(f"{genre}-{metre}", beats_per_bar=metre, genre=genre) for genre in genres for metre in (3, 4, 6)
    ]
    return [arrange(song, seed) for song in songs for seed in range(2)]


def test_same_seed_same_arrangement_and_sound():
    song = short_song()
    assert arrange(song, 3) == arrange(song, 3)
    assert arrange(song, 3) != arrange(song, 4)
    first, second = render(arrange(song, 3)), render(arrange(song, 3))
    assert np.corrcoef(first, second)[0, 1] > 0.999
    assert first.dtype == np.float32
    assert first.shape == (round(song.duration * RATE),)


def test_parts_are_true_to_what_they_say():
    for arrangement in everything():
        for arranged in arrangement.sections:
            section = arranged.section
            low, high = VELOCITIES[arranged.dynamics]
            assert any(not part.is_drum for part in arranged.parts)
            assert len({(part.role, part.instrument) for part in arranged.parts}) == len(arranged.parts)
            for part in arranged.parts:
                assert part.notes, f"{part.instrument} is empty in {section}"
                assert all(section.start <= note.start < section.end for note in part.notes)
                assert all(note.end <= section.end + 0.21 for note in part.notes)
                assert all(low <= note.velocity <= high for note in part.notes)
                if not part.is_drum:
                    player = orchestration.BY_NAME[part.instrument]
                    assert part.program == player.program
                    assert all(player.low <= note.pitch <= player.high for note in part.notes)


def test_orchestration_changes_within_and_between_songs():
    arrangements = [arrange(short_song(f"song-{i}", genre=None), 0) for i in range(40)]
    sets = {frozenset(p.instrument for s in a.sections for p in s.parts) for a in arrangements}
    assert len(sets) == 40
    leads = [{p.instrument for s in a.sections for p in s.parts if p.role == "melody"} for a in arrangements]
    assert np.mean([len(names) for names in leads]) > 1.8
    assert len(set.union(*leads)) > 25
    assert len({a.genre for a in arrangements}) > 8


def test_a_section_without_notes_gets_a_drone():
    song = replace(short_song(), chords=(), melody=())
    parts = [part for arranged in arrange(song, 0).sections for part in arranged.parts if not part.is_drum]
    assert {part.pattern for part in parts} == {"drone"}


def test_melody_from_outside_the_range_keeps_its_pitch_classes():
    song = short_song()
    low = replace(song, melody=tuple(replace(note, pitch=note.pitch - 36) for note in song.melody))
    for arranged in arrange(low, 1).sections:
        for part in arranged.parts:
            if part.role == "melody":
                composed = [
                    n.pitch % 12 for n in low.melody if arranged.section.start <= n.start < arranged.section.end
                ]
                assert [note.pitch % 12 for note in part.notes] == composed


def test_loud_sections_sound_louder():
    gaps: dict[tuple[str, str], list[float]] = {
        ("soft", "moderate"): [],
        ("moderate", "loud"): [],
        ("soft", "loud"): [],
    }
    for index in range(12):
        arrangement = arrange(short_song(f"level-{index}"), index)
        audio = render(arrangement)
        assert 0.3 < np.abs(audio).max() < 1.0
        levels: dict[str, list[float]] = {"soft": [], "moderate": [], "loud": []}
        for arranged in arrangement.sections:
            span = slice(round(arranged.section.start * RATE), round(arranged.section.end * RATE))
            levels[arranged.dynamics].append(20 * np.log10(np.sqrt(np.mean(audio[span] ** 2))))
        for (quiet, strong), differences in gaps.items():  # within a song: each is normalised for itself
            differences += [b - a for a in levels[quiet] for b in levels[strong]]
    assert np.mean(gaps["soft", "moderate"]) > 3
    assert np.mean(gaps["moderate", "loud"]) > 2
    assert np.mean(gaps["soft", "loud"]) > 6
    assert np.mean(np.array(gaps["soft", "loud"]) > 0) > 0.95


def test_augmentation_is_seeded_and_optional():
    arrangement = arrange(short_song(), 0)
    plain, augmented = render(arrangement), render(arrangement, augment=True)
    assert augmented.shape == plain.shape
    assert not np.allclose(plain, augmented, atol=1e-3)
    assert np.corrcoef(augmented, render(arrangement, augment=True))[0, 1] > 0.999


def test_every_note_of_every_instrument_can_be_rendered():
    """The synthesiser never returns from some notes beyond the ranges: in a process of its own, with a time limit."""
    script = """
from dataset_scripts.songbook import orchestration
from dataset_scripts.songbook.composition import Note
from dataset_scripts.songbook.render import _play, default_soundfont
path = str(default_soundfont())
for player in orchestration.INSTRUMENTS:
    notes = [Note(0.2 * i, 0.3, pitch) for i, pitch in enumerate(range(player.low, player.high + 1))]
    sound = _play(path, 16000, player.program, False, notes)
    assert abs(sound).max() > 1e-3, player.name
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_soundfont_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.sf2"):
        render(arrange(short_song(), 0), "nowhere.sf2")


@pytest.mark.parametrize("audio_format", ["flac", "ogg"])
def test_encoded_audio_decodes_to_the_same_length(audio_format):
    from torchcodec.decoders import AudioDecoder

    audio = render(arrange(short_song(), 0))
    decoded = AudioDecoder(encode(audio, RATE, audio_format)).get_all_samples()
    assert decoded.sample_rate == RATE
    assert decoded.data.shape == (1, len(audio))
    if audio_format == "flac":
        np.testing.assert_allclose(decoded.data[0].numpy(), audio, atol=1e-4)


@pytest.fixture
def four_songs(monkeypatch):
    """Builds take these songs, two of them for training, and their shards are written in this process."""
    songs = [short_song(f"s{i}", split=split) for i, split in enumerate(("train", "train", "validation", "test"))]
    monkeypatch.setattr(build, "_songs", lambda settings: [(song, song.split) for song in songs])
    return songs


def test_parquet_round_trip_and_resume(tmp_path, four_songs, caplog):
    settings = SongbookSettings(songwriter=4, renderings=2, rows_per_shard=2, rows_per_group=1)
    assert build_songbook(tmp_path, settings, workers=1) == []
    data = load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 4, "validation": 1, "test": 1}
    row = data["train"][0]
    audio = row["audio"].get_all_samples()
    assert audio.sample_rate == RATE
    assert audio.data.shape[1] == round(row["duration"] * RATE)
    assert row["caption"]
    assert [section["label"] for section in row["structure"]]
    songs = {split: set(rows["song_id"]) for split, rows in data.items()}
    assert not songs["train"] & (songs["validation"] | songs["test"])

    shards = sorted((tmp_path / "data").glob("*.parquet"))
    times = {shard.name: shard.stat().st_mtime_ns for shard in shards}
    shards[0].unlink()
    build_songbook(tmp_path, settings, workers=1)
    again = {shard.name: shard.stat().st_mtime_ns for shard in shards}
    assert [name for name in times if again[name] != times[name]] == [shards[0].name]
    with pytest.raises(ValueError, match=r"other settings.*renderings"):
        build_songbook(tmp_path, replace(settings, renderings=3), workers=1)

    noted = tmp_path / "settings.json"
    kept = json.loads(noted.read_text())
    del kept["first_rendering"]  # as versions noted them that did not know it
    noted.write_text(json.dumps(kept))
    build_songbook(tmp_path, settings, workers=1)
    with pytest.raises(ValueError, match=r"first_rendering: 0 there, 2 here"):
        build_songbook(tmp_path, replace(settings, first_rendering=2), workers=1)


def test_a_bad_song_is_skipped_and_reported(tmp_path):
    good, bad = short_song("good"), replace(short_song("bad"), duration=float("nan"))
    path = tmp_path / "shard.parquet"
    failures = build._write_shard(path, [Job(bad, 0), Job(good, 0)], SongbookSettings(songwriter=1))
    assert [failure.song for failure in failures] == ["bad, arrangement 0"]
    assert load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "c"))["train"]["id"] == ["good-0000"]


def test_an_interrupted_shard_leaves_no_file(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "make_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build._write_shard(tmp_path / "shard.parquet", [Job(short_song(), 0)], SongbookSettings(songwriter=1))
    assert list(tmp_path.iterdir()) == []


def test_row_says_where_the_song_comes_from():
    song = short_song("origin")
    row = make_row(song, 7, default_soundfont())
    assert (row["id"], row["song_id"], row["licence"], row["split"]) == ("origin-0007", "origin", "CC0-1.0", "train")


def test_settings_without_songs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no songs to render"):
        SongbookSettings()
    with pytest.raises(FileNotFoundError, match="missing"):
        SongbookSettings(pop909=str(tmp_path / "missing"))
