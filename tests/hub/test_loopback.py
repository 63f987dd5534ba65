"""The real client against the Hub on loopback."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationCopy, HfApi, get_session, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from .client import CARD, LARGE, REPO, SMALL, download, large_files_sent, posted
from .loopback import LoopbackHub
from .repositories import HubError, Kind


def test_a_folder_is_uploaded_and_comes_back(hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path) -> None:
    commit = api.upload_folder(repo_id=REPO, folder_path=folder, commit_message="First", commit_description="All of it")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub.files("model", REPO) == {**files, ".gitattributes": hub.files("model", REPO)[".gitattributes"]}
    assert [entry.title for entry in hub.commits("model", REPO)] == ["First", "initial commit"]
    assert hub.commits("model", REPO)[0].id == commit.oid
    assert large_files_sent(hub) == sorted(
        f"/lfs/{hashlib.sha256(files[name]).hexdigest()}" for name in ("model.safetensors", "audio/song.bin")
    )
    snapshot = Path(snapshot_download(REPO, endpoint=hub.endpoint, token=hub.token, cache_dir=tmp_path / "cache"))
    assert snapshot.name == commit.oid
    assert {name: (snapshot / name).read_bytes() for name in files} == files


def test_what_has_not_changed_is_not_sent_again(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    first = api.upload_folder(repo_id=REPO, folder_path=folder)
    commits, sent = posted(hub, "/commit/"), large_files_sent(hub)
    second = api.upload_folder(repo_id=REPO, folder_path=folder)
    assert second.oid == first.oid
    assert posted(hub, "/commit/") == commits
    assert large_files_sent(hub) == sent
    (folder / "config.json").write_text('{"a": 1}')
    third = api.upload_folder(repo_id=REPO, folder_path=folder)
    assert [commit.id for commit in hub.commits("model", REPO)][:2] == [third.oid, first.oid]
    assert hub.files("model", REPO)["config.json"] == b'{"a": 1}'
    assert hub.files("model", REPO, first.oid)["config.json"] == SMALL


def test_creation(hub: LoopbackHub, api: HfApi) -> None:
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(REPO)
    assert error.value.response.status_code == 409
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    assert api.create_repo("songs", repo_type="dataset").repo_id == "someone/songs"
    space = api.create_repo("org/space", repo_type="space", space_sdk="gradio")
    assert (space.repo_id, space.repo_type) == ("org/space", "space")
    assert api.space_info("org/space").sdk == "gradio"
    assert hub.repositories() == [("dataset", "someone/songs"), ("model", REPO), ("space", "org/space")]
    with pytest.raises(HfHubHTTPError, match="rights to write under the namespace 'google'"):
        api.create_repo("google/songs")
    api.delete_repo(REPO)
    assert not api.repo_exists(REPO)
    assert [model.id for model in api.list_models(author="org")] == []


def test_tokens(hub: LoopbackHub, api: HfApi, tmp_path: Path) -> None:
    assert api.whoami()["name"] == "someone"
    assert [entry["name"] for entry in api.whoami()["orgs"]] == ["org"]
    api.upload_file(path_or_fileobj=SMALL, path_in_repo="config.json", repo_id=REPO)
    anyone, thief = HfApi(endpoint=hub.endpoint, token=False), HfApi(endpoint=hub.endpoint, token="hf_wrong")
    assert anyone.file_exists(REPO, "config.json")
    assert download(hub, tmp_path, "config.json", token=False) == SMALL
    for call in (
        lambda: anyone.upload_file(path_or_fileobj=SMALL, path_in_repo="mine.json", repo_id=REPO),
        lambda: thief.model_info(REPO),
        lambda: thief.create_repo("org/mine"),
        thief.whoami,
    ):
        with pytest.raises(HfHubHTTPError) as error:
            call()
        assert error.value.response.status_code == 401
    reader = HfApi(endpoint=hub.endpoint, token=hub.read_token)
    assert [user.whoami()["auth"]["accessToken"]["role"] for user in (api, reader)] == ["write", "read"]
    for call in (lambda: reader.create_repo("org/mine"), lambda: reader.delete_file("config.json", REPO)):
        with pytest.raises(HfHubHTTPError, match="may only read"):
            call()
    api.create_repo("org/secret", private=True)
    assert reader.model_info("org/secret").private
    assert api.model_info("org/secret").private
    assert [model.id for model in api.list_models()] == ["org/secret", REPO]
    assert [model.id for model in anyone.list_models()] == [REPO]
    with pytest.raises(RepositoryNotFoundError):
        anyone.model_info("org/secret")
    assert set(hub.files("model", REPO)) == {".gitattributes", "config.json"}


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_kinds_of_repositories(hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, kind: Kind) -> None:
    """The same name is another repository in each kind."""
    (folder / "config.json").write_text(kind)
    sdk = {"space_sdk": "gradio"} if kind == "space" else {}
    api.create_repo(REPO, repo_type=kind, exist_ok=True, **sdk)
    commit = api.upload_folder(repo_id=REPO, folder_path=folder, repo_type=kind, ignore_patterns="README.md")
    assert download(hub, tmp_path / "cache", "config.json", repo_type=kind).decode() == kind
    assert download(hub, tmp_path / "cache", "audio/song.bin", repo_type=kind) == LARGE
    assert api.repo_info(REPO, repo_type=kind).sha == commit.oid == hub.commits(kind, REPO)[0].id
    assert hub.files(kind, REPO)["config.json"].decode() == kind
    assert ("config.json" in hub.files("model", REPO)) == (kind == "model")


def test_metadata_is_checked_before_anything_is_sent(hub: LoopbackHub, api: HfApi) -> None:
    for card, message in (
        (b"---\nlicense: [\n---\n", "Invalid YAML"),
        (b"---\ntags: music\n---\n", '"tags" must be an array'),
    ):
        with pytest.raises(ValueError, match=message):
            api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=REPO)
    api.create_repo("org/space", repo_type="space", space_sdk="gradio")
    card = b"---\nsdk: gradio\ncolorFrom: orange\n---\n"
    with pytest.raises(ValueError, match='"colorFrom" must be one of'):
        api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="org/space", repo_type="space")
    assert posted(hub, "/preupload/") == posted(hub, "/commit/") == 0
    api.upload_file(path_or_fileobj=CARD, path_in_repo="README.md", repo_id=REPO)
    assert api.model_info(REPO).card_data.license == "cc-by-4.0"
    assert api.model_info(REPO).tags == ["music"]


def test_parts_of_a_file(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    api.upload_folder(repo_id=REPO, folder_path=folder)

    def part(span: str) -> tuple[int, bytes, str | None]:
        url = f"{hub.endpoint}/{REPO}/resolve/main/audio/song.bin"
        answer = get_session().get(url, headers={"Range": span})
        return answer.status_code, answer.content, answer.headers.get("Content-Range")

    size = len(LARGE)
    assert part("bytes=0-3") == (206, LARGE[:4], f"bytes 0-3/{size}")
    assert part("bytes=-2") == (206, LARGE[-2:], f"bytes {size - 2}-{size - 1}/{size}")
    assert part(f"bytes={size - 1}-{size + 9}") == (206, LARGE[-1:], f"bytes {size - 1}-{size - 1}/{size}")
    assert part(f"bytes={size}-") == (416, b"", f"bytes */{size}")
    assert part("pages=1-2")[:2] == (200, LARGE)


def test_what_is_not_there(hub: LoopbackHub, api: HfApi, tmp_path: Path) -> None:
    api.upload_file(path_or_fileobj=SMALL, path_in_repo="config.json", repo_id=REPO)
    with pytest.raises(EntryNotFoundError) as gone:
        download(hub, tmp_path, "absent.json")
    assert gone.value.response.headers["X-Repo-Commit"] == hub.commits("model", REPO)[0].id
    with pytest.raises(RevisionNotFoundError):
        download(hub, tmp_path, "config.json", revision="absent")
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("org/absent", "config.json", endpoint=hub.endpoint, cache_dir=tmp_path, token=hub.token)
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info(REPO)
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "absent"))
    with pytest.raises(HubError):
        hub.files("model", "org/absent")
    assert download(hub, tmp_path, "config.json") == SMALL
    assert not list(tmp_path.rglob("*absent.json*/*"))


def test_deletion_and_copies(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    api.upload_folder(repo_id=REPO, folder_path=folder)
    api.create_commit(
        REPO,
        [CommitOperationCopy("audio/song.bin", "song.bin"), CommitOperationCopy("config.json", "other/config.json")],
        commit_message="Copies",
    )
    api.delete_file("config.json", REPO)
    api.delete_folder("audio", REPO)
    files = hub.files("model", REPO)
    assert set(files) == {".gitattributes", "README.md", "model.safetensors", "song.bin", "other/config.json"}
    assert files["song.bin"] == LARGE
    api.upload_folder(repo_id=REPO, folder_path=folder, allow_patterns="*.json", delete_patterns="*")
    assert set(hub.files("model", REPO)) == {".gitattributes", "config.json"}


def test_listings_come_in_pages(tmp_path: Path, folder: Path) -> None:
    with LoopbackHub(page_size=2) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(REPO)
        api.upload_folder(repo_id=REPO, folder_path=folder)
        everything = {entry.path: entry for entry in api.list_repo_tree(REPO, recursive=True, expand=True)}
        assert sorted(everything) == [
            ".gitattributes",
            "README.md",
            "audio",
            "audio/song.bin",
            "config.json",
            "model.safetensors",
        ]
        assert everything["audio/song.bin"].lfs.size == everything["audio/song.bin"].size == len(LARGE)
        assert everything["config.json"].lfs is None
        assert everything["config.json"].last_commit.oid == hub.commits("model", REPO)[0].id
        top = [entry.path for entry in api.list_repo_tree(REPO)]
        assert top == [".gitattributes", "README.md", "audio", "config.json", "model.safetensors"]
        assert [entry.path for entry in api.list_repo_tree(REPO, "audio")] == ["audio/song.bin"]
        assert [entry.path for entry in api.get_paths_info(REPO, ["audio", "config.json", "no"])] == [
            "audio",
            "config.json",
        ]
        for number in range(3):
            api.upload_file(path_or_fileobj=b"%d" % number, path_in_repo="n", repo_id=REPO, commit_message=f"{number}")
        assert [commit.title for commit in api.list_repo_commits(REPO)] == [
            commit.title for commit in hub.commits("model", REPO)
        ]
        siblings = api.model_info(REPO, files_metadata=True).siblings
        assert {file.rfilename: file.size for file in siblings} == {
            name: len(content) for name, content in hub.files("model", REPO).items()
        }
    with pytest.raises(Exception, match=r"refused|disconnected|closed"):
        api.model_info(REPO)


def test_branches_and_tags(hub: LoopbackHub, api: HfApi, tmp_path: Path) -> None:
    first = api.upload_file(path_or_fileobj=b"1", path_in_repo="n.txt", repo_id=REPO)
    api.create_tag(REPO, tag="v1.0", revision=first.oid[:8])
    api.create_branch(REPO, branch="try/out", revision="v1.0")
    api.upload_file(path_or_fileobj=b"2", path_in_repo="n.txt", repo_id=REPO, revision="try/out")
    assert download(hub, tmp_path, "n.txt", revision="try/out") == b"2"
    assert download(hub, tmp_path, "n.txt", revision="v1.0") == download(hub, tmp_path, "n.txt") == b"1"
    references = api.list_repo_refs(REPO)
    assert [branch.name for branch in references.branches] == ["main", "try/out"]
    assert [(tag.name, tag.target_commit) for tag in references.tags] == [("v1.0", first.oid)]
    for again in (lambda: api.create_tag(REPO, tag="v1.0"), lambda: api.create_branch(REPO, branch="main")):
        with pytest.raises(HfHubHTTPError) as error:
            again()
        assert error.value.response.status_code == 409
    api.delete_tag(REPO, tag="v1.0")
    api.delete_branch(REPO, branch="try/out")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(REPO, tag="v1.0")
    with pytest.raises(HfHubHTTPError, match="cannot be deleted"):
        api.delete_branch(REPO, branch="main")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="v1.0")
