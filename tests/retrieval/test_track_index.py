"""The index of tracks: near the exact scores, deterministic, filtered, and found by text, by track and by clip."""

from itertools import permutations
from pathlib import Path

import pytest
import tiny
import torch
from sounds import write_folder, write_sound
from torch import Tensor

from evaluation_collap.probes.recall import retrieval_both_ways
from modeling_collap import CollapModel, CollapTextFeatures
from retrieval_collap import IndexMatch, TrackIndex, TrackLibrary
from retrieval_collap.index import IndexedTrack

TEXTS = ["a slow piano ballad", "fast drums and guitar"]
SIZE, TRACKS = 24, 40
SECONDS_PER_STEP = 0.1


def model(**options: float) -> CollapModel:
    return tiny.model(gamma_structure=0.8, seconds_per_structure_step=0.2, attention_temperature=8.0, **options)


def create(folder: Path, collap: CollapModel | None = None, *, bits: int = 8) -> TrackIndex:
    collap = collap or model()
    return TrackIndex.create(folder, collap, tiny.processor(), seconds_per_step=SECONDS_PER_STEP, bits=bits)


def song(seed: int, steps: int = 400) -> Tensor:
    """(T, D): three sections of its own, one of which returns, each drifting a little."""
    generator = torch.Generator().manual_seed(seed)
    sections = torch.randn(3, SIZE, generator=generator)[[0, 1, 2, 1]] + 0.6 * torch.randn(SIZE, generator=generator)
    drift = 0.1 * torch.randn(steps, SIZE, generator=generator).cumsum(0) / 3
    return sections.repeat_interleave(steps // 4, 0) + drift[: steps // 4 * 4]


def row(index: TrackIndex, track_id: str, features: Tensor, **details: object) -> IndexedTrack:
    defaults: dict = {
        "path": f"/music/{track_id}.mp3",
        "title": f"Song {track_id}",
        "duration": len(features) / 50,
        "content_hash": track_id,
        "size": 1,
        "modified": 0.0,
        "tags": (),
    }
    return IndexedTrack(id=track_id, **{**defaults, **details}, **index.compress(features)._asdict())


def captions(songs: list[Tensor]) -> CollapTextFeatures:
    """A text for each song: of all of it with noise, and passages of its sections at their places."""
    generator = torch.Generator().manual_seed(1)
    means = torch.stack([song.unflatten(0, (4, -1)).mean(1) for song in songs])  # (N, 4, D)
    passages = means + 2.5 * torch.randn(means.shape, generator=generator)
    embeds = means.mean(1) + 2.5 * torch.randn(len(songs), SIZE, generator=generator)
    places = torch.tensor([0.125, 0.375, 0.625, 0.875]).expand(len(songs), 4)
    return CollapTextFeatures(embeds, passages, places, torch.full((len(songs), 4), 20.0))


@pytest.fixture(scope="module", params=[8, 4], ids="{} bits".format)
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrackIndex:
    """40 synthetic songs; those with even numbers are tagged."""
    index = create(tmp_path_factory.mktemp("catalogue") / "index", bits=request.param)
    index.write([row(index, f"{i:02}", song(i), tags=("even",) * (i % 2 == 0)) for i in range(TRACKS)])
    return index


@pytest.fixture
def speaking(catalogue: TrackIndex, monkeypatch: pytest.MonkeyPatch) -> TrackIndex:
    """The catalogue with texts that mean something: "7" is the caption of song 7."""
    texts = captions([song(i) for i in range(TRACKS)])
    monkeypatch.setattr(catalogue, "embed", lambda text: texts.select(slice(int(text), int(text) + 1)))
    return catalogue


@torch.inference_mode()
def exact_scores() -> Tensor:
    """(tracks, texts) from the whole sequences."""
    songs = [song(i) for i in range(TRACKS)]
    return model().score(torch.stack(songs), torch.full((TRACKS,), 400), captions(songs)).fused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tracks"))


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> TrackIndex:
    """Three real files; two cannot be read."""
    index = create(tmp_path / "index")
    names = ("low.wav", "album one/middle.ogg", "broken.mp3", "album one/high & clear.flac", "absent.wav")
    failures = index.add((name, folder / name) for name in names)
    assert [failure.id for failure in failures] == ["broken.mp3", "absent.wav"]
    assert all(failure.reason for failure in failures)
    return index


# Quality


def test_two_stages_find_what_exact_scoring_finds(speaking: TrackIndex) -> None:
    exact = exact_scores()
    found = torch.full_like(exact, -torch.inf)
    shared = 0
    for text in range(TRACKS):
        matches = speaking.search(str(text), top=TRACKS)
        for match in matches:
            found[int(match.id), text] = match.score
        best = {f"{i:02}" for i in exact[:, text].topk(10).indices.tolist()}
        shared += len(best & {match.id for match in speaking.search(str(text), candidates=25)})
    assert shared / (10 * TRACKS) >= 0.95
    expected, actual = retrieval_both_ways(exact), retrieval_both_ways(found)
    assert 30 < expected["text_to_audio_R@1"] < 95  # neither hopeless nor easy
    for metric in ("text_to_audio_R@1", "text_to_audio_R@5"):
        assert actual[metric] == pytest.approx(expected[metric], abs=100 / TRACKS + 1e-9)


def test_sketches_tell_the_orders_of_the_same_sections_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their global vectors are the same but for rounding."""
    index = create(tmp_path / "index")
    sections = torch.randn(4, SIZE, generator=torch.Generator().manual_seed(3))
    orders = {"".join(map(str, order)): list(order) for order in permutations(range(4))}
    index.write([row(index, name, sections[order].repeat_interleave(60, 0)) for name, order in orders.items()])
    places = torch.tensor([[0.125, 0.375, 0.625, 0.875]])
    for name, order in list(orders.items())[::5]:
        passages = sections[order][None] + 0.1
        text = CollapTextFeatures(sections.mean(0)[None], passages, places, torch.full((1, 4), 50.0))
        assert index.candidates(text, 3)[0].id == name
        with monkeypatch.context() as patch:
            patch.setattr("retrieval_collap.index.track_index._SKETCHES_PER_CANDIDATE", 24)
            assert [match.id for match in index.search(text, top=1, candidates=1)] == [name]


def test_candidates_are_those_of_the_filter_and_no_more(speaking: TrackIndex) -> None:
    few = speaking.candidates("3", 5)
    assert len(few) == len({near.id for near in few}) == 5
    assert speaking.candidates("3", 5) == few
    even = speaking.candidates("3", 5, where="array_has(tags, 'even')")
    assert len(even) == 5
    assert all(int(near.id) % 2 == 0 for near in even)
    assert sorted(near.id for near in speaking.candidates("3", 100)) == [f"{i:02}" for i in range(TRACKS)]


def test_matches_say_what_the_library_says(folder: Path, tmp_path: Path) -> None:
    """Of a model without the structure term, whose every step is kept, only the quantisation is between the two."""
    names = ("low.wav", "album one/middle.ogg", "album one/high & clear.flac")
    plain = tiny.model()
    library, index = (
        TrackLibrary(plain, tiny.processor()),
        TrackIndex.create(tmp_path / "index", plain, tiny.processor(), seconds_per_step=0.02),
    )
    for tracks in (library, index):
        assert tracks.add((name, folder / name) for name in names) == []
    for text, expected in zip(TEXTS, library.search(TEXTS), strict=True):
        found = index.search(text)
        assert [match.id for match in found] == [match.track.id for match in expected]
        for match, exact in zip(found, expected, strict=True):
            assert match.score == pytest.approx(exact.score, abs=1e-3)
            assert match.duration == pytest.approx(exact.track.duration)


# Search by text


def test_results_are_ordered_and_cut(speaking: TrackIndex) -> None:
    everything = speaking.search("3", top=100)
    assert [match.rank for match in everything] == list(range(1, TRACKS + 1))
    assert [match.score for match in everything] == sorted((match.score for match in everything), reverse=True)
    assert speaking.search("3", top=4) == everything[:4]
    first = everything[0]
    assert first == IndexMatch(1, first.id, f"/music/{first.id}.mp3", f"Song {first.id}", 8.0, first.score)


def test_a_search_is_the_same_again_and_among_fewer(speaking: TrackIndex) -> None:
    scores = {match.id: match.score for match in speaking.search("3", top=TRACKS)}
    assert {match.id: match.score for match in speaking.search("3", top=TRACKS)} == scores
    for match in speaking.search("3", top=5, candidates=7):
        assert match.score == scores[match.id]
    for match in speaking.search("3", where="id = '11'"):
        assert match.score == scores["11"]


def test_equal_scores_are_ordered_by_id(tmp_path: Path) -> None:
    index = create(tmp_path / "index")
    index.write([row(index, track_id, song(0)) for track_id in "badc"])
    assert [match.id for match in index.search(TEXTS[0])] == ["a", "b", "c", "d"]
    assert [match.id for match in index.search(TEXTS[0], top=2, candidates=2)] == ["a", "b"]
    assert [match.id for match in index.similar("c")] == ["a", "b", "d"]


def test_filters(speaking: TrackIndex) -> None:
    even = speaking.search("3", top=100, where="array_has(tags, 'even')")
    assert {match.id for match in even} == {f"{i:02}" for i in range(0, TRACKS, 2)}
    assert speaking.search("3", where="duration > 100") == []
    assert all(int(match.id) % 2 == 0 for match in speaking.similar("03", where="array_has(tags, 'even')"))
    with pytest.raises(ValueError):
        speaking.search("3", where="no such column ==")


def test_the_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = create(tmp_path / "index")
    assert len(index) == 0
    assert index.search(TEXTS[0]) == []
    assert index.info().duration == 0


# Search by track


def test_a_song_rendered_again_and_a_clip_of_it_find_the_song(catalogue: TrackIndex) -> None:
    noise = torch.randn(400, SIZE, generator=torch.Generator().manual_seed(2))
    for number in range(0, TRACKS, 5):
        again = song(number) + 0.5 * noise
        for features in (again, song(number)[107:163]):
            catalogue.write([row(catalogue, "query", features)])
            try:
                assert catalogue.similar("query", top=3)[0].id == f"{number:02}"
            finally:
                catalogue.remove(["query"])


def test_a_track_is_not_similar_to_itself(catalogue: TrackIndex) -> None:
    matches = catalogue.similar("05", top=100)
    assert len(matches) == TRACKS - 1
    assert "05" not in {match.id for match in matches}
    assert len(catalogue.similar("05", top=3, candidates=3)) == 3


def test_files_and_bytes_find_themselves(index: TrackIndex, folder: Path) -> None:
    path = folder / "low.wav"
    for source in (path, str(path), path.read_bytes()):
        best = index.similar(source)[0]
        assert (best.id, best.path) == ("low.wav", str(path))
        assert best.score == pytest.approx(1.0, abs=1e-3)


# Texts of a track


def test_texts_are_ranked_by_the_scores_of_search(index: TrackIndex, folder: Path) -> None:
    texts = [*tiny.CAPTIONS, *TEXTS]
    found = {text: next(match.score for match in index.search(text) if match.id == "low.wav") for text in texts}
    described = index.describe("low.wav", texts, top=3)
    assert [(match.rank, match.text) for match in described] == list(
        enumerate(sorted(texts, key=lambda text: -found[text])[:3], start=1)
    )
    assert all(match.score == pytest.approx(found[match.text], abs=1e-6) for match in described)
    assert index.describe(folder / "low.wav", texts, top=3) == described


# Where it matches


def test_spans_lie_in_the_track(index: TrackIndex) -> None:
    for record in index.store.records():
        location = index.locate(record["id"], TEXTS[0])
        assert len(location.similarity) == len(location.attention) == record["steps"]
        assert location.steps_per_second == pytest.approx(1 / SECONDS_PER_STEP)
        for span in location.spans:
            assert 0 <= span.start < span.end <= record["duration"]


@pytest.mark.parametrize("gamma_structure", [0.0, 0.8])
def test_a_text_is_found_where_it_is(tmp_path: Path, gamma_structure: float, monkeypatch: pytest.MonkeyPatch) -> None:
    collap = tiny.model(gamma_structure=gamma_structure, attention_temperature=8.0)
    index = create(tmp_path / "index", collap)
    motif = torch.randn(SIZE, generator=torch.Generator().manual_seed(3))
    features = song(0)
    features[150:250] = motif
    index.write([row(index, "a", features)])
    text = CollapTextFeatures(motif[None])
    if gamma_structure:
        text = CollapTextFeatures(motif[None], motif[None, None], torch.tensor([[0.5]]), torch.zeros(1, 1))
    monkeypatch.setattr(index, "embed", lambda _: text)
    best = index.locate("a", "the motif").best
    assert (best.start, best.end) == pytest.approx((3.0, 5.0), abs=SECONDS_PER_STEP)


# Changing, opening, errors


def test_tracks_are_replaced_and_removed(index: TrackIndex, tmp_path: Path) -> None:
    new = write_sound(tmp_path / "new.wav", 1.5, 300.0).read_bytes()
    assert index.add([("low.wav", new), ("low.wav", new)]) == []
    assert len(index) == 3
    record = index.store.records("id = 'low.wav'")[0]
    assert (record["path"], record["title"], record["size"]) == ("", "low.wav", len(new))
    assert record["duration"] == pytest.approx(1.5)
    assert index.remove(["low.wav", "unknown"]) == 1
    assert len(index) == 2


def test_info(index: TrackIndex) -> None:
    info = index.info()
    assert (info.tracks, info.settings) == (3, index.store.settings)
    assert info.duration == pytest.approx(2.4 + 4.0 + 6.1, abs=0.05)
    index.remove(["low.wav"])
    assert index.info().version > info.version


def test_open_loads_the_model_that_made_it(tmp_path: Path, folder: Path) -> None:
    saved = tmp_path / "model"
    model().save_pretrained(saved)
    tiny.processor().save_pretrained(saved)
    made = TrackIndex.create(
        tmp_path / "index", CollapModel.from_pretrained(saved), tiny.processor(), seconds_per_step=SECONDS_PER_STEP
    )
    made.add([("low.wav", folder / "low.wav")])
    opened = TrackIndex.open(tmp_path / "index")
    assert opened.search(TEXTS[0]) == made.search(TEXTS[0])


def test_another_model_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "index")
    with pytest.raises(ValueError, match="made with"):
        TrackIndex.open(tmp_path / "index", model(seed=1), tiny.processor())
    with pytest.raises(ValueError, match="belong together"):
        TrackIndex.open(tmp_path / "index", model())


def test_clear_errors(index: TrackIndex, folder: Path) -> None:
    with pytest.raises(ValueError, match="top must be at least 1"):
        index.search(TEXTS[0], top=0)
    with pytest.raises(ValueError, match="at least the 10 results"):
        index.search(TEXTS[0], candidates=9)
    with pytest.raises(KeyError, match="no track 'absent'"):
        index.locate("absent", TEXTS[0])
    with pytest.raises(FileNotFoundError, match="absent is neither a track of the index nor a file"):
        index.similar("absent")
    with pytest.raises(ValueError, match="does not decode"):
        index.similar(folder / "broken.mp3")
    with pytest.raises(ValueError, match="no text"):
        index.describe("low.wav", [])
    with pytest.raises(ValueError, match="stride"):
        TrackIndex.create(folder / "never", model(), tiny.processor(), seconds_per_step=1.0)
    assert not (folder / "never").exists()
