"""The engine: searches, descriptions and comparisons over a tiny library, for one user and for several at once."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import tiny
import torch
from space_collap.engine import Engine, SpaceError, TextResult
from space_collap.limits import MAX_RESULTS
from torchcodec.encoders import AudioEncoder

from evaluation_collap.prompts import TAG_PROMPTS
from evaluation_collap.scorers.collap import CollapScorer
from retrieval_collap import Location, TrackIndex

TEXTS = ("A calm song of low tones.", "loud and high", "Verse: quiet.\nChorus: not quiet at all.")


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path, tiny_library: Path) -> Engine:
    return Engine.open(str(tiny_checkpoint), tiny_library)


@pytest.fixture
def index(tiny_library: Path) -> TrackIndex:
    return TrackIndex.open(tiny_library / "index", tiny.model(), tiny.processor())


def spans(location: Location) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in location.spans]


def test_tracks_come_by_title_with_what_is_known_of_them(engine: Engine) -> None:
    assert [track.title for track in engine.tracks] == ["High tones", "Low tones", "Middle tones"]
    track = engine.track("song-0")
    assert track.title == "Low tones"
    assert track.path.is_file()
    assert [section.label for section in track.sections] == ["verse", "chorus"]
    assert track.licence == "CC0-1.0"
    with pytest.raises(SpaceError, match="no track “song-9”"):
        engine.track("song-9")


@pytest.mark.parametrize("text", TEXTS)
def test_a_search_is_that_of_the_index(engine: Engine, index: TrackIndex, text: str) -> None:
    found = engine.find(f"  {text}\n", top=2)
    expected = index.search(text, 2)
    assert [result.track.id for result in found] == [match.id for match in expected]
    assert [result.score for result in found] == pytest.approx([match.score for match in expected], abs=1e-6)
    for result in found:
        location = index.locate(result.track.id, text)
        assert spans(result.location) == spans(location)
        assert torch.allclose(result.location.attention, location.attention, atol=1e-5)
        assert 0 <= result.location.best.start < result.location.best.end <= result.track.duration


@pytest.mark.parametrize("top", [0, MAX_RESULTS + 1])
def test_no_other_numbers_of_results(engine: Engine, top: int) -> None:
    with pytest.raises(SpaceError, match=f"1 and {MAX_RESULTS} results"):
        engine.find("a text", top)


def test_a_track_is_described_by_the_librarys_captions(engine: Engine, index: TrackIndex) -> None:
    track = engine.track("song-1")
    captions = {other.id: other.caption for other in engine.tracks}
    description = engine.describe("song-1", top=2)
    assert description.track == track
    assert description.tags == ()
    expected = index.describe("song-1", list(captions.values()), 2)
    assert [text.text for text in description.texts] == [match.text for match in expected]
    assert [text.score for text in description.texts] == pytest.approx([match.score for match in expected], abs=1e-6)
    for text in description.texts:
        assert text.id is not None
        assert text.text == captions[text.id]
        assert spans(text.location) == spans(index.locate("song-1", text.text))


def test_an_upload_is_heard_as_the_library_is(engine: Engine, tmp_path: Path) -> None:
    """The same file scores alike as a track of the library and as an upload: encoded window by window, or in one."""
    upload = Path(shutil.copy(engine.track("song-2").path, tmp_path / "My song.mp3"))
    of_library, of_upload = (
        engine.describe("song-2", labels=["low", "high"]),
        engine.describe(upload, labels=["low", "high"]),
    )
    assert of_upload.track.title == "My song"
    assert of_upload.track.path == upload
    assert of_upload.track.duration == pytest.approx(of_library.track.duration)
    assert [text.id for text in of_upload.texts] == [text.id for text in of_library.texts]
    for upload_text, library_text in zip(of_upload.texts, of_library.texts, strict=True):
        assert upload_text.score == pytest.approx(library_text.score, abs=1e-4)
        assert torch.allclose(upload_text.location.attention, library_text.location.attention, atol=1e-3)
    assert [tag.share for tag in of_upload.tags] == pytest.approx([tag.share for tag in of_library.tags], abs=1e-3)


def test_tags_are_the_softmax_of_the_prompts_mean_scores(engine: Engine, index: TrackIndex) -> None:
    labels = [" jazz", "slow piano", "", "jazz"]
    tags = {tag.label: tag for tag in engine.describe("song-0", labels=labels).tags}
    assert set(tags) == {"jazz", "slow piano"}
    assert sum(tag.share for tag in tags.values()) == pytest.approx(1)
    scorer = CollapScorer(index.model, index.processor)
    expected = []
    for label in ("jazz", "slow piano"):
        sentences = [prompt.replace("{}", label) for prompt in TAG_PROMPTS]
        scores = {match.text: match.score for match in index.describe("song-0", sentences)}
        expected.append(sum(scores.values()) / len(TAG_PROMPTS))
        assert tags[label].score == pytest.approx(expected[-1], abs=1e-5)
    logits = torch.tensor(expected) * scorer.model.logit_factor
    assert [tags["jazz"].share, tags["slow piano"].share] == pytest.approx(logits.softmax(0).tolist(), abs=1e-4)
    best, other = engine.describe("song-0", labels=labels).tags
    assert best.score >= other.score


def test_two_descriptions_of_one_track(engine: Engine, index: TrackIndex) -> None:
    comparison = engine.compare("song-0", TEXTS[2], TEXTS[0])
    scores = {match.text: match.score for match in index.describe("song-0", TEXTS)}
    assert comparison.track == engine.track("song-0")
    assert [comparison.first.text, comparison.second.text] == [TEXTS[2], TEXTS[0]]
    for result in (comparison.first, comparison.second):
        assert result.id is None
        assert result.score == pytest.approx(scores[result.text], abs=1e-6)
        assert spans(result.location) == spans(index.locate("song-0", result.text))


def test_a_string_is_an_id_and_never_a_file(engine: Engine) -> None:
    """What an API client sends as the name of a song must not open files of the machine."""
    path = str(engine.track("song-0").path)
    with pytest.raises(SpaceError, match="no track"):
        engine.compare(path, "a", "b")
    with pytest.raises(SpaceError, match="no track"):
        engine.describe(path)


def test_many_users_at_once_get_what_each_would_get_alone(engine: Engine, tmp_path: Path) -> None:
    uploads = [Path(shutil.copy(track.path, tmp_path / f"{track.id}.mp3")) for track in engine.tracks]

    def ask(number: int) -> list[tuple[str | None, float]]:
        text, upload = TEXTS[number % 3], uploads[number % 3]
        found = [(result.track.id, result.score) for result in engine.find(text)]
        described = engine.describe(upload, labels=["low", "high"])
        compared = engine.compare(upload, text, "something else")
        texts: list[TextResult] = [*described.texts, compared.first, compared.second]
        return [*found, *((text.id, text.score) for text in texts), *((tag.label, tag.share) for tag in described.tags)]

    alone = [ask(number) for number in range(3)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, range(9)))
    assert together == alone * 3


def test_a_search_does_not_wait_for_an_upload(engine: Engine, tmp_path: Path) -> None:
    upload = tmp_path / "long.wav"
    AudioEncoder(torch.from_numpy(tiny.tone(5.0, 333.0))[None], sample_rate=tiny.RATE).to_file(upload)
    encoding, searched = Event(), Event()

    def progress(share: float, doing: str) -> None:
        if doing == "Encoding the track":
            encoding.set()
            assert searched.wait(60)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(engine.describe, upload, progress=progress)
        assert encoding.wait(60)
        assert engine.find("anything")  # while the upload is half encoded
        assert not job.done()
        searched.set()
        assert job.result().track.title == "long"


def test_a_text_that_the_model_cannot_read_whole_is_known(engine: Engine) -> None:
    assert engine.is_cut("word " * 500)
    assert not engine.is_cut("a word")


def test_what_cannot_be_opened_is_named(tiny_checkpoint: Path, tiny_library: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"no model in .*nowhere"):
        Engine.open(str(tmp_path / "nowhere"), tiny_library)
    with pytest.raises(SpaceError, match=r"no library in .*nothing"):
        Engine.open(str(tiny_checkpoint), tmp_path / "nothing")
