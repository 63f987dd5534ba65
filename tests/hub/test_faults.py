"""What is left when something goes wrong: with a commit, with an upload, with a download."""

import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)

from .client import LARGE, REPO, SMALL, download
from .loopback import LoopbackHub


def test_a_commit_is_whole_or_nothing(hub: LoopbackHub, api: HfApi) -> None:
    api.upload_file(path_or_fileobj=SMALL, path_in_repo="config.json", repo_id=REPO)
    before, commits = hub.files("model", REPO), hub.commits("model", REPO)
    good = {"path_in_repo": "new.txt", "path_or_fileobj": b"new"}

    def refused(error: type[Exception], *others: object, match: str | None = None, **options: object) -> None:
        with pytest.raises(error, match=match):
            api.create_commit(REPO, [CommitOperationAdd(**good), *others], commit_message="No", **options)
        assert hub.files("model", REPO) == before
        assert hub.commits("model", REPO) == commits

    refused(EntryNotFoundError, CommitOperationDelete("absent.txt"), match="A file with this name doesn't exist")
    refused(EntryNotFoundError, CommitOperationDelete("absent/"), match="A folder with this name doesn't exist")
    refused(BadRequestError, CommitOperationAdd("new.txt/inner.txt", b"x"), match="a file and a folder")
    refused(HfHubHTTPError, parent_commit=commits[-1].id, match="A commit has happened since")
    refused(RevisionNotFoundError, revision="absent")
    hub.fail("POST .*/commit/main", status=500)
    refused(HfHubHTTPError, match="told to fail")
    hub.drop_connection("POST .*/commit/main")
    refused(Exception, match=r"disconnected|closed|reset|peer|pipe")
    api.create_commit(REPO, [CommitOperationAdd(**good)], commit_message="Yes", parent_commit=commits[0].id[:7])
    assert hub.files("model", REPO) == {**before, "new.txt": b"new"}


def test_half_a_commit_is_none(hub: LoopbackHub, api: HfApi) -> None:
    """A client that is killed while it sends leaves whole lines behind, which alone would be a commit."""
    lines = [
        {"key": "header", "value": {"summary": "Half", "description": ""}},
        {"key": "file", "value": {"path": "a.txt", "content": "YQ=="}},
    ]
    half = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    head = f"POST /api/models/{REPO}/commit/main HTTP/1.1\r\nAuthorization: Bearer {hub.token}\r\nContent-Length: "
    for promised, expected in ((2 * len(half), b""), (len(half), b"HTTP/1.1 200")):
        assert "a.txt" not in hub.files("model", REPO)
        with socket.create_connection(("127.0.0.1", int(hub.endpoint.rpartition(":")[2]))) as connection:
            connection.sendall(f"{head}{promised}\r\n\r\n".encode() + half)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(12) == expected
    assert hub.files("model", REPO)["a.txt"] == b"a"


def test_a_large_file_must_be_there_before_its_commit(hub: LoopbackHub, api: HfApi) -> None:
    operation = CommitOperationAdd("song.bin", LARGE)
    operation._upload_mode, operation._is_uploaded = "lfs", True  # as if the upload had been forgotten
    with pytest.raises(BadRequestError, match="has not been uploaded"):
        api.create_commit(REPO, [CommitOperationAdd("a.txt", b"a"), operation], commit_message="Too early")
    assert set(hub.files("model", REPO)) == {".gitattributes"}


def test_an_upload_goes_on_after_a_failure(hub: LoopbackHub, api: HfApi, folder: Path, patient: list[float]) -> None:
    hub.drop_connection("PUT /lfs/")
    hub.fail("PUT /lfs/", times=2)
    hub.lose_answer("POST /lfs/.*/verify")
    api.upload_folder(repo_id=REPO, folder_path=folder)
    assert hub.files("model", REPO)["audio/song.bin"] == LARGE
    puts = [request.status for request in hub.requests if request.method == "PUT"]
    assert sorted(puts, key=str) == [200, 200, 503, 503, None]
    assert len(patient) == 4


def test_an_upload_that_stays_broken_changes_nothing(
    hub: LoopbackHub, api: HfApi, folder: Path, patient: list[float]
) -> None:
    hub.drop_connection("PUT /lfs/", times=100)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        api.upload_folder(repo_id=REPO, folder_path=folder)
    assert set(hub.files("model", REPO)) == {".gitattributes"}


def test_a_lost_answer_leaves_the_commit(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    hub.lose_answer("POST .*/commit/main")
    with pytest.raises(Exception, match="disconnected"):
        api.upload_folder(repo_id=REPO, folder_path=folder)
    assert hub.files("model", REPO)["audio/song.bin"] == LARGE
    assert api.upload_folder(repo_id=REPO, folder_path=folder).oid == hub.commits("model", REPO)[0].id
    assert len(hub.commits("model", REPO)) == 2


def test_a_download_goes_on_where_it_was_cut(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, patient: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)  # what is kept of a cut download are whole chunks
    api.upload_folder(repo_id=REPO, folder_path=folder)
    hub.drop_connection("GET .*/resolve/")
    assert download(hub, tmp_path / "cache", "audio/song.bin") == LARGE
    asked = [request.headers.get("range") for request in hub.requests if str(request).startswith(f"GET /{REPO}/res")]
    assert asked == [None, f"bytes={len(LARGE) // 2}-"]


def test_a_hub_that_is_down_is_the_clients_own_error(
    hub: LoopbackHub, api: HfApi, tmp_path: Path, patient: list[float]
) -> None:
    api.upload_file(path_or_fileobj=SMALL, path_in_repo="config.json", repo_id=REPO)
    hub.fail("HEAD .*/resolve/", times=100)
    with pytest.raises(LocalEntryNotFoundError):
        download(hub, tmp_path, "config.json")
    hub.heal()
    assert download(hub, tmp_path, "config.json") == SMALL
