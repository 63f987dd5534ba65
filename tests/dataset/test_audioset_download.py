"""Stage `download`: real yt-dlp against a host of videos on this machine."""

import json
import pickle
import subprocess
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("yt_dlp")
from loopback import VideoHost, video_host
from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from dataset_scripts.audioset import download
from dataset_scripts.audioset.download import Download
from dataset_scripts.audioset.stage import ItemError
from dataset_scripts.audioset.verdict import Kind, judge

SUFFIXES = (".mp3", ".m4a", ".webm", ".ogg")


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> dict[str, Path]:
    """Four seconds each, one of every kind; ids as YouTube gives them, one with a dash in front."""
    folder = tmp_path_factory.mktemp("songs")
    files = {}
    for number, suffix in enumerate(SUFFIXES):
        name = f"-song_{number}"
        files[name] = folder / f"{name}{suffix}"
        tone = f"sine=frequency={220 * (number + 1)}:duration=4"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", tone, files[name]], check=True)
    return files


@pytest.fixture
def host(songs):
    with video_host(dict(songs)) as host:
        yield host


def stage(host: VideoHost, work: Path, **options) -> Download:
    patient = {"pause": 0, "backoff": 0, "attempts": 3, "timeout": 5, "proxy": ""}
    made = Download(work, **{"url": host.url} | patient | options)
    made.check()
    made.start()
    return made


def rows(*ids: str) -> list[dict]:
    return [{"id": name, "youtube_id": name, "audioset_labels": ["Music"]} for name in ids]


def files(work: Path) -> set[str]:
    return {path.name for path in (work / "audio").rglob("*") if path.is_file()}


def test_audio_comes_as_it_is_served(host, songs, tmp_path):
    outcome = stage(host, tmp_path)(rows(*songs))
    assert not outcome.dropped
    assert [row["id"] for row in outcome.kept] == list(songs)
    for row, (name, song) in zip(outcome.kept, songs.items(), strict=True):
        file = tmp_path / row["path"]
        assert file.read_bytes() == song.read_bytes()
        assert file.stem == name
        assert file.suffix == song.suffix
        assert file.parent.parent == tmp_path / "audio"
        assert row["sha256"] == sha256(song.read_bytes()).hexdigest()
        assert row["licence"] is None
        assert row["audioset_labels"] == ["Music"]
    assert files(tmp_path) == {f"{name}{end}" for name, song in songs.items() for end in (song.suffix, ".json")}


def test_what_the_host_refuses_is_a_ledger_entry_with_its_reason(host, songs, tmp_path):
    host.pages |= {"private": 403, "removed": 410, "abroad": 451, "text": "<html><body>no music</body></html>"}
    names = ["vanished", "private", "-song_0", "removed", "abroad", "text", "../../etc/passwd"]
    outcome = stage(host, tmp_path)(rows(*names))
    assert [row["id"] for row in outcome.kept] == ["-song_0"]
    assert {item.id: item.reason for item in outcome.dropped} == {
        "vanished": "gone (HTTP 404)",
        "private": "private (HTTP 403)",
        "removed": "gone (HTTP 410)",
        "abroad": "geo-blocked (HTTP 451)",
        "text": "no audio",
        "../../etc/passwd": "bad id: it cannot be the name of a file",
    }
    assert {item.stage for item in outcome.dropped} == {"download"}
    assert all(host.asked_for(name) == 1 for name in names[:-1])  # a refusal is not asked for again


def test_a_killed_block_asks_only_for_what_is_missing(host, songs, tmp_path):
    whole = stage(host, tmp_path)(rows(*songs))
    first, second = (tmp_path / row["path"] for row in whole.kept[:2])
    first.with_suffix(".json").unlink()  # killed between the file and its record
    first.write_bytes(b"half")
    torn = tmp_path / "audio" / ".unfinished" / "-song_0" / "audio.mp3.part"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"half of something else")
    before = second.stat().st_mtime_ns
    host.requests.clear()
    assert stage(host, tmp_path)(rows(*songs)) == whole
    assert {path for path in host.requests if "watch" in path} == {"/watch?v=-song_0"}
    assert second.stat().st_mtime_ns == before
    assert not list((tmp_path / "audio" / ".unfinished").iterdir())


def test_a_stumbling_host_gets_time(host, tmp_path, monkeypatch):
    host.stumbles["-song_1"] = [503, 500]
    waited: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waited.append, monotonic=lambda: 0.0))
    outcome = stage(host, tmp_path, pause=7.0, backoff=2.0)(rows("-song_1"))
    assert [row["id"] for row in outcome.kept] == ["-song_1"]
    assert host.asked_for("-song_1") == 3
    # The clock stands still, so every beginning but the first waits for the whole pause.
    assert waited == [0.0, 2.0, 7.0, 4.0, 7.0]


def test_a_body_that_breaks_off_goes_on_where_it_stopped(host, songs, tmp_path):
    host.torn.add("-song_2")
    (row,) = stage(host, tmp_path)(rows("-song_2")).kept
    assert (tmp_path / row["path"]).read_bytes() == songs["-song_2"].read_bytes()


def test_one_video_that_keeps_failing_is_a_ledger_entry(host, tmp_path):
    host.pages["ill"] = 503
    outcome = stage(host, tmp_path)(rows("ill", "-song_0"))
    assert [item.reason for item in outcome.dropped] == ["failed: the host failed (HTTP 503)"]
    assert host.asked_for("ill") == 3


def test_many_failures_in_a_row_stop_the_run(host, tmp_path):
    names = [f"ill{number}" for number in range(6)]
    host.pages |= dict.fromkeys(names, 503)
    strict = stage(host, tmp_path, patience=3, workers=1, attempts=1)
    assert len(strict(rows(*names[:2], "-song_0", *names[2:4])).dropped) == 4  # a song in between
    with pytest.raises(ItemError, match=r"item ill4: 3 tracks in a row failed, this one with: the host failed"):
        strict(rows(*names[4:]))  # counted from block to block


def test_a_network_that_is_down_stops_the_run(songs, tmp_path):
    with video_host(dict(songs)) as host:
        down = stage(host, tmp_path)
    with pytest.raises(ItemError, match=r"item -song_0: 127.0.0.1 does not answer after 3 attempts \(the connection"):
        down(rows("-song_0", "-song_1"))
    assert not files(tmp_path)


def test_a_host_that_turns_us_away_stops_the_run(host, tmp_path):
    host.pages["-song_3"] = 429
    with pytest.raises(ItemError, match=r"127.0.0.1 turns us away: too many requests \(HTTP 429\)"):
        stage(host, tmp_path)(rows("-song_3"))


def test_a_full_disk_stops_the_run(host, tmp_path, monkeypatch):
    full = stage(host, tmp_path)

    def fail(ydl: YoutubeDL, *_):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            ydl.report_error(f"unable to write data: {error}")

    monkeypatch.setattr(YoutubeDL, "extract_info", fail)
    with pytest.raises(ItemError, match=r"cannot be written to .*audio: No space left on device"):
        full(rows("-song_0"))


def test_long_and_live_videos_are_not_fetched(host, songs, tmp_path):
    about = {"@context": "https://schema.org", "@type": "VideoObject", "name": "A long song", "duration": "PT3H"}
    about["contentUrl"] = f"{host.url.partition('/watch')[0]}/media/long.mp3"
    host.videos["long"] = songs["-song_0"]
    host.pages["long"] = f'<html><script type="application/ld+json">{json.dumps(about)}</script></html>'
    (item,) = stage(host, tmp_path, longest=600)(rows("long")).dropped
    assert item.reason == "too long: 10800 s, more than 600 s"
    assert not files(tmp_path)
    assert stage(host, tmp_path)(rows("long")).kept  # without a limit
    live = stage(host, tmp_path)
    assert live._needless({"live_status": "is_live"}) == "a live stream"
    assert live._needless({"live_status": "is_upcoming"}) == "not out yet"
    assert live._needless({"live_status": "was_live", "duration": 9e9}) is None


def test_cookies_are_sent_and_the_file_is_left_alone(host, tmp_path):
    cookies = tmp_path / "cookies.txt"
    written = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tconsent\tyes\n"
    cookies.write_text(written)
    assert stage(host, tmp_path, cookies=cookies)(rows("-song_0")).kept
    assert set(host.cookies) == {"consent=yes"}
    assert cookies.read_text() == written


def test_a_proxy_is_asked_instead_of_the_host(host, tmp_path):
    proxied = stage(host, tmp_path, url="http://music.invalid/watch?v={id}", proxy=f"http://127.0.0.1:{host.port}")
    assert proxied(rows("-song_0")).kept
    assert host.requests[0] == "http://music.invalid/watch?v=-song_0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "download.workers must be at least 1, not 0"),
        ({"backoff": -1}, "download.backoff must be at least 0"),
        ({"timeout": 0}, "download.timeout must be above 0"),
        ({"longest": -5}, "download.longest must be above 0"),
        ({"url": "https://example.org/watch"}, r"with \{id\} in it"),
        ({"url": "ftp://example.org/{id}"}, "must be a web address"),
        ({"proxy": "localhost"}, "download.proxy must be an address"),
        ({"format": "bestaudio["}, r"download.format: yt-dlp does not know 'bestaudio\['"),
        ({"cookies": Path("nowhere.txt")}, "there is no file nowhere.txt"),
        ({"cookies": Path(__file__)}, "is no Netscape cookie file"),
    ],
)
def test_options_are_checked_before_anything_is_fetched(tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Download(tmp_path, **options).check()


def test_the_stage_travels_to_processes_and_names_only_what_rows_depend_on(tmp_path):
    one = Download(tmp_path, cookies=Path("a"), proxy="http://b:1", pause=3)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.settings() == Download(tmp_path / "elsewhere").settings()
    assert json.loads(json.dumps(one.settings())) == one.settings()
    assert one.settings() != Download(tmp_path, format="worst").settings()
    assert one.actor


SAID = [
    ("Private video. Sign in if you've been granted access to this video", Kind.REFUSED, "private (Private video)"),
    ("Video unavailable. This video has been removed by the uploader", Kind.REFUSED, "gone (Video unavailable)"),
    ("This video is no longer available due to a copyright claim by X", Kind.REFUSED, "gone"),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", Kind.REFUSED, "age-gated"),
    ("The uploader has not made this video available in your country", Kind.REFUSED, "geo-blocked"),
    ("Join this channel to get access to members-only content like this video", Kind.REFUSED, "not free to see"),
    ("This live event will begin in 3 hours.", Kind.REFUSED, "not out yet"),
    ("Sign in to confirm you’re not a bot. Use --cookies-from-browser", Kind.BLOCKED, "too many requests"),
    ("This content isn't available, try again later. The current session has been", Kind.BLOCKED, "too many requests"),
    ("Requested format is not available. Use --list-formats", Kind.PASSING, "no fit format"),
    ("Failed to extract any player response", Kind.PASSING, "Failed to extract any player response"),
]


@pytest.mark.parametrize(("sentence", "kind", "reason"), SAID)
def test_hosts_sentences_are_understood(sentence, kind, reason):
    verdict = judge(reported(ExtractorError(sentence, expected=True, video_id="abc", ie="youtube")))
    assert verdict.kind is kind
    assert verdict.reason.startswith(reason)
    assert "abc" not in verdict.reason


def test_a_geo_block_is_known_by_its_class():
    assert judge(reported(GeoRestrictedError("Not here", countries=["DE"]))).reason == "geo-blocked"


def reported(error: Exception) -> DownloadError:
    """The error as yt-dlp hands it on."""
    try:
        try:
            raise error
        except ExtractorError as caught:
            raise DownloadError(f"ERROR: {caught}")  # noqa: B904 - yt-dlp does it so
    except DownloadError as raised:
        return raised
