"""The API of the running app, as `gradio_client` meets it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from visits import ROOT, SECONDS, SONGS, RunningApp, write_song

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(running_app: RunningApp) -> Client:
    return Client(running_app.url, verbose=False, analytics_enabled=False)


def check_location(located: dict[str, Any], seconds: float = SECONDS) -> None:
    assert 1 <= len(located["spans"]) <= 3
    for span in located["spans"]:
        assert 0 <= span["start"] < span["end"] <= seconds
    attention = located["attention"]
    assert len(attention["values"]) * attention["seconds_per_value"] == pytest.approx(seconds, abs=1)


def test_named_endpoints_and_nothing_else_are_offered(client: Client) -> None:
    offered = client.view_api(return_format="dict", print_info=False)
    assert isinstance(offered, dict)
    assert set(offered["named_endpoints"]) == {"/find_music", "/describe_track", "/compare"}
    assert offered["unnamed_endpoints"] == {}
    names = {
        endpoint: [parameter["parameter_name"] for parameter in about["parameters"]]
        for endpoint, about in offered["named_endpoints"].items()
    }
    assert names == {
        "/find_music": ["text", "top"],
        "/describe_track": ["track", "audio", "labels"],
        "/compare": ["first", "second", "track", "audio"],
    }


def test_find_music(client: Client, running_app: RunningApp) -> None:
    answer = client.predict("a calm verse", 2, api_name="/find_music")
    results = answer["results"]
    assert [result["rank"] for result in results] == [1, 2]
    assert results[0]["score"] >= results[1]["score"]
    for result in results:
        track = result["track"]
        assert track["title"] in SONGS
        assert track["licence"] == "CC0-1.0"
        assert [section["label"] for section in track["sections"]] == ["verse", "chorus"]
        check_location(result)
    url = running_app.url + results[0]["track"]["audio"]
    whole = httpx.get(url, trust_env=False)
    part = httpx.get(url, headers={"Range": "bytes=100-199"}, trust_env=False)
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert whole.headers["content-type"] == "audio/mpeg"


def test_describe_a_file(client: Client, tmp_path: Path) -> None:
    write_song(tmp_path / "mine.mp3", number=2, seconds=3.0)
    answer = client.predict(audio=handle_file(tmp_path / "mine.mp3"), labels="calm, loud", api_name="/describe_track")
    assert answer["track"]["title"] == "mine"
    assert answer["track"]["duration"] == pytest.approx(3.0, abs=0.2)
    assert sum(tag["share"] for tag in answer["tags"]) == pytest.approx(1, abs=1e-3)
    assert {text["id"] for text in answer["texts"]} == {"song-0", "song-1", "song-2"}
    check_location(answer["texts"][0], 3.0)


def test_the_documentation_s_code_runs(
    running_app: RunningApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "space.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python no-run\n(.*?)```", page, flags=re.DOTALL)
    assert "http://127.0.0.1:7860" in code
    write_song(tmp_path / "my song.mp3", number=0, seconds=2.0)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:7860", running_app.url), {})
    printed = capsys.readouterr().out
    assert all(title in printed for title in SONGS)
    assert "'label': 'calm'" in printed


def test_compare(client: Client) -> None:
    answer = client.predict("a calm verse", "a loud chorus", track="song-1", api_name="/compare")
    assert answer["track"]["title"] == SONGS[1]
    assert answer["first"]["text"] == "a calm verse"
    assert answer["first"]["score"] != answer["second"]["score"]
    check_location(answer["second"])


@pytest.mark.parametrize(
    ("arguments", "endpoint", "message"),
    [
        ({"text": "  "}, "/find_music", "The description is empty"),
        ({"text": "a" * 10_001}, "/find_music", "10,001 characters"),
        ({"text": "drums", "top": 0}, "/find_music", "top|0|1"),
        ({"first": "a", "second": "b", "track": "no such song"}, "/compare", "no such song"),
        ({"track": None, "audio": None}, "/describe_track", "No track is chosen"),
    ],
)
def test_errors_are_sentences(client: Client, arguments: dict[str, Any], endpoint: str, message: str) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(**arguments, api_name=endpoint)


def test_files_of_the_machine_are_not_read(running_app: RunningApp) -> None:
    """Neither by the address of the audio, nor as a track to describe."""
    for path in ("/etc/passwd", str(Path(__file__)), str(running_app.log)):
        assert httpx.get(f"{running_app.url}gradio_api/file={path}", trust_env=False).status_code == 403
    outside = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    call = f"{running_app.url}gradio_api/call/describe_track"
    asked = httpx.post(call, json={"data": [None, outside, ""]}, trust_env=False)
    answer = httpx.get(f"{call}/{asked.json()['event_id']}", trust_env=False, timeout=60)
    assert "event: error" in answer.text
    assert "cannot be read as audio" not in answer.text


def test_the_guard_of_these_tests_refuses_other_machines(tmp_path: Path) -> None:
    script = tmp_path / "telephone.py"
    script.write_text("import socket\nsocket.create_connection(('192.0.2.1', 80))\n")
    guard, notes = Path(__file__).with_name("guarded_app.py"), tmp_path / "notes.txt"
    done = subprocess.run([sys.executable, str(guard), str(notes), str(script)], capture_output=True, text=True)
    assert "the tests allow no connection to 192.0.2.1" in done.stderr
    assert "192.0.2.1" in notes.read_text()
