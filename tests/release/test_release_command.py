"""`collap release`: what is refused before any work, what is shown, what is pushed in which order."""

import re
from pathlib import Path
from typing import Any

import pytest
import tiny
from hub.loopback import LoopbackHub
from huggingface_hub import HfApi
from made import OWNER, app, packed_dataset, trained_model
from rich.console import Console
from typer.testing import CliRunner

import release_collap.release
from release_collap import gate, probes
from release_collap.errors import ReleaseError
from release_collap.release import release
from release_collap.repositories import ROOT
from release_collap.settings import ReleaseSettings
from retrieval_collap.cli import app as collap

ALL = [
    ("dataset", "org/collap-audioset"),
    ("model", "org/collap-gpt2"),
    ("model", "org/collap-mini"),
    ("model", "org/collap-roberta"),
    ("space", "org/collap"),
]


pytestmark = pytest.mark.usefixtures("online", "short_sounds")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a rehearsal of everything."""
    root = tmp_path_factory.mktemp("sources")
    weights = {
        f"collap-{backbone}": trained_model(root / backbone, backbone, text_pooling="mean")
        for backbone in tiny.TEXT_BACKBONES
    }
    dataset, space = packed_dataset(root / "packed"), app(root / "space")
    return {"weights": weights, "dataset": dataset, "space": space, "rehearsal": True}


def run(hub: LoopbackHub, **options: Any) -> list[str]:
    """Runs a release with the Hub's token; returns what it says, line by line."""
    console = Console(record=True, width=200, quiet=True)
    options = {"org": OWNER, **options}
    try:
        release(ReleaseSettings(**options), HfApi(endpoint=hub.endpoint, token=hub.token), console)
    finally:
        said = console.export_text().splitlines()
    return said


@pytest.mark.slow
def test_a_rehearsal_pushes_all_and_the_space_last(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    run(hub, output=tmp_path / "out", **sources)
    assert hub.repositories() == ALL
    commits = [each.path for each in hub.requests if "/commit/" in each.path]
    assert [path.split("/org/")[1].split("/")[0] for path in commits] == [
        "collap-mini",
        "collap-gpt2",
        "collap-roberta",
        "collap-audioset",
        "collap",
    ]
    for kind, repo in ALL:
        assert len(hub.commits(kind, repo)) == 2
    assert b"a rehearsal.**" in hub.files("model", "org/collap-gpt2")["README.md"]
    assert b"rehearsal" not in hub.files("model", "org/collap-mini")["README.md"]  # that one exists
    assert hub.files("space", "org/collap")["space.json"] == b'{\n  "model": "org/collap-mini"\n}\n'

    run(hub, output=tmp_path / "elsewhere", **sources)  # assembled anew, and the same
    for kind, repo in ALL:
        assert len(hub.commits(kind, repo)) == 2


def test_a_failure_says_what_was_pushed_and_what_not(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    hub.fail("POST /api/datasets/org/collap-audioset/commit", times=1, status=403)
    what = ("collap", "collap-audioset", "collap-gpt2")
    wanted = {**sources, "what": what, "space_model": "collap-gpt2", "output": tmp_path}
    with pytest.raises(ReleaseError) as failed:
        run(hub, **wanted)
    message = str(failed.value)
    assert message.startswith("the push of dataset org/collap-audioset failed: 403, This Hub was told to fail.")
    assert message.endswith(
        "Pushed before: org/collap-gpt2. Not tried: org/collap. The same command goes on from there"
    )
    run(hub, **wanted)
    for kind, name in (("model", "collap-gpt2"), ("dataset", "collap-audioset"), ("space", "collap")):
        assert len(hub.commits(kind, f"org/{name}")) == 2


def test_a_dry_run_compares_and_pushes_nothing(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    wanted = {**sources, "what": ("collap-audioset",), "output": tmp_path}
    (plan,) = release(
        ReleaseSettings(org=OWNER, dry_run=True, **wanted),
        HfApi(endpoint=hub.endpoint, token=False),
        Console(quiet=True),
    )
    assert {file.change for file in plan.files} == {"new"}
    assert hub.repositories() == []
    run(hub, **wanted)
    api = HfApi(endpoint=hub.endpoint, token=False)
    (plan,) = release(ReleaseSettings(org=OWNER, dry_run=True, **wanted), api, Console(quiet=True))
    assert {file.change for file in plan.files} == {"same"}


def test_nothing_is_pushed_where_one_of_several_is_refused(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    """The first one is whole, and waits for the second."""
    broken = trained_model(tmp_path / "run", "roberta", text_pooling="mean")
    (broken / "metrics.json").write_text('{\n"output_dir": "/home/someone/run"\n}\n')
    weights = {**sources["weights"], "collap-roberta": broken}
    with pytest.raises(ReleaseError, match=r"metrics\.json, line 2: looks like a path on a local machine"):
        run(hub, **{**sources, "weights": weights, "what": ("collap-gpt2", "collap-roberta"), "output": tmp_path})
    assert hub.repositories() == []


def test_cards_that_are_not_filled_are_refused(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    wanted = {**sources, "what": ("collap-gpt2",), "output": tmp_path, "rehearsal": False}
    with pytest.raises(ReleaseError, match=r"collap-gpt2 is not fit to be published: its card has .* unfilled"):
        run(hub, **wanted)
    assert hub.repositories() == []


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str, code: int = 2) -> str:
    """What the command line says, which must be one sentence; assembling would be a bug."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(ReleaseSettings, "assemble", never)
    result = CliRunner().invoke(collap, ["release", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collap-large"], "collap-large is not released here; these are: collap-mini, collap-gpt2"),
        (
            ["collap-gpt2"],
            "collap-gpt2 has no trained weights here: `accelerate launch train.py recipes/collap-gpt2.yaml` on two 40 "
            "GB GPUs makes them; then give --weights collap-gpt2=FOLDER",
        ),
        (["collap-audioset"], "collap-audioset has no rows here: give --dataset the folder that `collap dataset build"),
        (["--weights", "collap-gpt2"], "--weights collap-gpt2 is not of the form NAME=FOLDER"),
        (["--weights", "collap-xl=runs"], "collap-xl is no model that is released here"),
        (["collap-gpt2", "--weights", "collap-gpt2=nowhere"], "collap-gpt2: there is no folder nowhere of weights"),
        (["collap-audioset", "--dataset", "nowhere"], "collap-audioset: there is no folder nowhere"),
        (["collap", "--space", "nowhere"], "collap: nowhere holds no app.py"),
        (["collap-mini", "--rehearsal"], "--rehearsal pushes stand-ins, which have no place on https://huggingface.co"),
        (["collap-mini", "--org", "a/b"], "--org 'a/b' is no name of a user or organisation"),
    ],
)
def test_sentences_before_any_work(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint="https://huggingface.co", token="hf_none"))
    owner = [] if "--org" in arguments else ["--org", "org"]
    assert f"Error: {message}" in refused(monkeypatch, *arguments, *owner)


def account(role: str, name: str = "someone", orgs: tuple[str, ...] = ("org",), **more: Any) -> dict[str, Any]:
    """What the Hub says of a token."""
    token = {"displayName": "laptop", "role": role, **more}
    return {"name": name, "orgs": [{"name": each} for each in orgs], "auth": {"accessToken": token}}


def scoped(permission: str, entity: str) -> dict[str, Any]:
    return {"fineGrained": {"scoped": [{"entity": {"name": entity}, "permissions": [permission]}]}}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (account("read"), "the token of someone may not write to repositories of org: run `hf auth login`"),
        (account("fineGrained", **scoped("repo.content.read", "org")), "the token of someone may not write"),
        (account("fineGrained", **scoped("repo.write", "else")), "the token of someone may not write"),
        (
            account("write", orgs=("else",)),
            "the token is of someone, who does not belong to org (but to someone,",
        ),
    ],
)
def test_tokens_that_may_not_write(answer: dict, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "whoami", lambda self: answer)
    assert f"Error: {message}" in refused(monkeypatch, "collap-mini", "--org", "org")


@pytest.mark.parametrize(
    "answer",
    [
        account("write"),
        account("write", name="org", orgs=()),
        account("fineGrained", **scoped("repo.write", "org")),
        account("fineGrained", **scoped("repo.write", "org/collap-mini")),
    ],
)
def test_tokens_that_may_write(answer: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "whoami", lambda self: answer)
    assert release_collap.release.check_account(HfApi(), "org") == answer["name"]


def test_no_token_a_wrong_token_and_no_hub(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def say(token: str | None, endpoint: str = hub.endpoint) -> str:
        monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: token)
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=endpoint))
        return refused(monkeypatch, "collap-mini", "--org", "org")

    assert f"Error: there is no token for {hub.endpoint}: run `hf auth login`, or set HF_TOKEN" in say(None)
    assert f"Error: {hub.endpoint} does not know this token" in say("hf_wrong")
    assert "Error: http://127.0.0.1:9 cannot be reached: ConnectError" in say("hf_wrong", "http://127.0.0.1:9")


def test_a_space_needs_its_model(hub: LoopbackHub, sources: dict, tmp_path: Path) -> None:
    wanted = {**sources, "what": ("collap",), "space_model": "collap-gpt2", "output": tmp_path}
    with pytest.raises(ReleaseError, match=r"the Space loads org/collap-gpt2, which is not on http.*: release"):
        run(hub, **wanted)
    run(hub, **{**wanted, "what": ("collap-gpt2",)})
    run(hub, **wanted)
    assert hub.repositories() == [("model", "org/collap-gpt2"), ("space", "org/collap")]


def test_a_dry_run_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model by the command line: every file with its size, and that nothing could be compared."""
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint="http://127.0.0.1:9"))
    monkeypatch.setattr(gate, "sounds", probes.sounds)
    arguments = ["release", "collap-mini", "--org", "org", "--dry-run", "--output", str(tmp_path)]
    result = CliRunner().invoke(collap, arguments)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert re.search(r"collap-mini passed the gate: mean cosines texts 0\.\d+, sounds 0\.\d+", said)
    assert "Note: the files could not be compared with those on http://127.0.0.1:9: ConnectError" in said
    size = (ROOT / "checkpoints" / "collap-mini" / "model.safetensors").stat().st_size
    assert f"model.safetensors {size:,} not compared" in said
    assert "Nothing was pushed" in said
