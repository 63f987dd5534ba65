"""One repository and its commit, with the real client: whatever interrupts a push, the repository is whole."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub.loopback import LoopbackHub
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from release_collap.connection import PUSH_ERRORS
from release_collap.plan import ReleasePlan
from release_collap.push import push
from release_collap.repositories import MINI, ROOT, SPACE

WEIGHTS = bytes(range(256)) * 512
CARD = "---\nlicense: apache-2.0\n---\n# A model\n"
REPO = "org/collap-mini"

pytestmark = pytest.mark.usefixtures("online")


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "collap-mini"
    (folder / "deep").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "config.json").write_text("{}\n")
    (folder / "deep" / "notes.txt").write_text("notes\n")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def plan(folder: Path, owner: str = "org") -> ReleasePlan:
    return ReleasePlan.of(folder, MINI, owner)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(hub: LoopbackHub, repo: str = REPO) -> dict[str, bytes]:
    """Files in the repository but the Hub's own."""
    return {path: data for path, data in hub.files("model", repo).items() if path != ".gitattributes"}


def test_a_push_is_one_commit_and_a_second_one_none(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    commit = push(plan(folder), api, message="First")
    assert stored(hub) == content(folder)
    assert hub.commits("model", REPO)[0].id == commit
    assert len(hub.commits("model", REPO)) == 2  # with the Hub's own
    sent = len(hub.requests)
    assert push(plan(folder), api) is None
    assert len(hub.commits("model", REPO)) == 2
    assert not [each for each in hub.requests[sent:] if "/commit/" in each.path or "/lfs" in each.path]


def test_what_changed_is_sent_and_what_is_gone_is_deleted(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    push(plan(folder), api)
    (folder / "config.json").write_text('{"a": 1}\n')
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])  # of the same size
    (folder / "deep" / "notes.txt").unlink()
    (folder / "new.py").write_text("x = 1\n")
    compared = plan(folder).compare(api)
    assert {file.path: file.change for file in compared.files} == {
        "README.md": "same",
        "config.json": "changed",
        "model.safetensors": "changed",
        "new.py": "new",
        "deep/notes.txt": "gone",
    }
    assert compared.bytes == sum(map(len, content(folder).values()))
    push(plan(folder), api)
    assert stored(hub) == content(folder)
    assert len(hub.commits("model", REPO)) == 3
    assert ".gitattributes" in hub.files("model", REPO)


def test_two_owners_have_repositories_of_their_own(folder: Path) -> None:
    with LoopbackHub(organisations=("org", "other")) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        push(plan(folder), api)
        (folder / "config.json").write_text("changed\n")
        push(plan(folder, "other"), api)
        assert stored(hub)["config.json"] == b"{}\n"
        assert stored(hub, "other/collap-mini")["config.json"] == b"changed\n"


@pytest.mark.parametrize("trouble", ["drop_connection", "fail", "lose_answer"])
@pytest.mark.parametrize(
    "step", ["PUT /lfs/", "POST /lfs/.*/verify", "objects/batch", "preupload", "POST .*/commit/main", "GET .*/tree/"]
)
def test_a_push_that_breaks_off_is_whole_and_can_be_repeated(
    step: str, trouble: str, hub: LoopbackHub, api: HfApi, folder: Path
) -> None:
    push(plan(folder), api)
    before = stored(hub)
    (folder / "model.safetensors").write_bytes(WEIGHTS[1:])
    (folder / "deep" / "notes.txt").unlink()
    getattr(hub, trouble)(step, times=50)
    with pytest.raises(PUSH_ERRORS):
        push(plan(folder), api)
    applied = step.endswith("/commit/main") and trouble == "lose_answer"
    assert stored(hub) == (content(folder) if applied else before)
    hub.heal()
    assert (push(plan(folder), api) is None) == applied
    assert stored(hub) == content(folder)
    assert len(hub.commits("model", REPO)) == 3


def test_a_first_push_that_breaks_off(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    hub.drop_connection("PUT /lfs/", times=50)
    with pytest.raises(PUSH_ERRORS):
        push(plan(folder), api)
    assert stored(hub) == {}
    hub.heal()
    push(plan(folder), api)
    assert stored(hub) == content(folder)


def test_who_commits_meanwhile_is_not_overwritten(
    hub: LoopbackHub, api: HfApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(plan(folder), api)
    (folder / "config.json").write_text("ours\n")
    compare = ReleasePlan.compare

    def slow(self: ReleasePlan, api: HfApi) -> ReleasePlan:
        compared = compare(self, api)
        api.upload_file(path_or_fileobj=b"theirs\n", path_in_repo="config.json", repo_id=REPO)
        return compared

    monkeypatch.setattr(ReleasePlan, "compare", slow)
    with pytest.raises(HfHubHTTPError, match="412"):
        push(plan(folder), api)
    assert stored(hub)["config.json"] == b"theirs\n"


@pytest.mark.slow
def test_a_killed_push_is_repeated(hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path) -> None:
    """`kill -9` while a large file is on its way."""
    hub.fail("PUT /lfs/", times=3)  # the client waits a second before it tries again
    program = (
        "import sys; from pathlib import Path; from huggingface_hub import HfApi\n"
        "from release_collap.plan import ReleasePlan; from release_collap.push import push\n"
        "from release_collap.repositories import MINI\n"
        "push(ReleasePlan.of(Path(sys.argv[1]), MINI, 'org'), HfApi())\n"
    )
    environment = {**os.environ, **hub.environment(tmp_path / "home")}
    child = subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT, env=environment)
    for _ in range(6000):
        if any(each.method == "PUT" for each in hub.requests) or child.poll() is not None:
            break
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -9
    assert stored(hub) == {}
    assert len(hub.commits("model", REPO)) == 1
    push(plan(folder), api)
    assert stored(hub) == content(folder)
    assert len(hub.commits("model", REPO)) == 2


def test_new_spaces_run_gradio_and_may_be_private(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    (folder / "README.md").write_text("---\nsdk: gradio\n---\n")
    push(ReleasePlan.of(folder, SPACE, "org"), api, private=True)
    assert ("space", "org/collap") in hub.repositories()
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=hub.endpoint, token=False).repo_info("org/collap", repo_type="space")


def test_comparing_needs_a_hub(folder: Path) -> None:
    with pytest.raises(HTTPError):
        plan(folder).compare(HfApi(endpoint="http://127.0.0.1:9", token="hf_none"))
    assert {file.change for file in plan(folder).files} == {"not compared"}
