"""Nothing private leaves: secrets, local paths and leftovers are found in every kind of file; secrets are not told."""

import json
from pathlib import Path

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from release_collap import contents
from release_collap.contents import check_contents, find
from release_collap.errors import ReleaseError
from release_collap.repositories import ROOT

# In two parts, so that no scanner takes this file for one with secrets.
SECRETS = {
    "a Hugging Face token": "hf" + "_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0" + "xyzw",
    "an AWS access key": "AKIA" + "IOSFODNN7EXAMPLE",
    "an AWS secret key": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "a GitHub token": "ghp" + "_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "a GitLab token": "glpat" + "-" + "0123456789abcdefghij",
    "an API key": "sk" + "-proj-0123456789abcdefghijABCDEFGHIJ",
    "a Google API key": "AIza" + "SyA0123456789abcdefghijABCDEFGHIJ-_",
    "a Slack token": "xoxb" + "-0123456789-abcdef",
    "a package registry token": "npm" + "_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "a signed web token": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJlLi4u",
    "a password in an address": "https://me:" + "pa55word@example.org/data",
    "a line of a netrc file": "machine example.org login me password " + "pa55",
    "a password or key": 'api_key: "' + 'a1b2c3d4e5f6a7b8c9d0"',
}
PATHS = [
    "/home/someone/music/song.mp3",
    "/Users/someone/Music",
    "/tmp/rendered/song.flac",
    "/root",
    "/var/folders/ab/cd",
    "file:///home/someone/song.mp3",
    r"C:\Users\someone\Music",
    r'{"path": "C:\\Users\\someone"}',
    f"{ROOT}/runs/final",
    str(ROOT),
]
HARMLESS = [
    "see https://example.org/home/page and https://huggingface.co/tmp/model",
    "hf_hub_download, hf_token = None, AKIA, task-classification-of-music-recordings-2024",
    'password = getpass("password: "), api_key=os.environ["OPENAI_API_KEY"], token="<|endoftext|>"',
    "http://localhost:8000/v1, user@example.org, a 3/4 metre, ~/Music, ./runs/final, /usr/share/sounds",
    '"rows_sha256": "ddf305615b7c48f63a07d9072e7db024cdb1b7148c51475ab12097ca85eb8850"',
    "s3://bucket/home/index.lance, {prefix}/tmp/x, /tmpfs, /rootless, and/or/tmp",
]


def findings(folder: Path) -> list[str]:
    return [str(finding) for finding in find(folder)]


@pytest.mark.parametrize("what", SECRETS)
def test_secrets_are_found_and_not_told(what: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(f"first\nsecond\n{SECRETS[what]} and on\n")
    with pytest.raises(ReleaseError, match=r"notes\.md, line 3: looks like") as refused:
        check_contents(tmp_path)
    assert what in str(refused.value)
    secret = SECRETS[what].split()[-1]
    assert secret not in str(refused.value)


@pytest.mark.parametrize("path", PATHS)
def test_local_paths_are_found(path: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text(f"seed: 0\noutput_dir: '{path}'\n")
    assert findings(tmp_path) == ["metrics.yaml, line 2: looks like a path on a local machine"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_alike_is_let_through(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    check_contents(tmp_path)


def test_a_secret_between_two_reads_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_CHUNK", 64)
    monkeypatch.setattr(contents, "_OVERLAP", 48)
    for before in range(40, 90):
        (tmp_path / "log.txt").write_text("\n" * before + SECRETS["a Hugging Face token"] + "\n" * 100)
        assert findings(tmp_path) == [f"log.txt, line {before + 1}: looks like a Hugging Face token"]


def test_bytes_that_are_no_text_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "song.opus").write_bytes(bytes(1000) + b"/home/someone/song.wav")
    assert findings(tmp_path) == ["song.opus, byte 1000: looks like a path on a local machine"]


def test_headers_of_weights(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", {"source": "/home/someone/run"})
    assert findings(tmp_path) == ["model.safetensors, metadata: looks like a path on a local machine"]


def test_tables_are_read_to_the_last_row(tmp_path: Path) -> None:
    """Compressed columns, and paths within structs, which no search over the bytes would find."""
    audio = [{"bytes": b"x", "path": "song.flac"}] * 8 + [{"bytes": b"x", "path": "/tmp/song.flac"}]
    structure = [[{"label": "verse", "caption": "quiet"}]] * 9
    structure[4] = [{"label": "verse", "caption": SECRETS["a Hugging Face token"]}]
    table = pa.table({"id": list("abcdefghi"), "audio": audio, "structure": structure})
    pq.write_table(
        table.replace_schema_metadata({"made_by": "/Users/someone/build"}),
        tmp_path / "train.parquet",
        compression="zstd",
    )
    assert sorted(findings(tmp_path)) == [
        "train.parquet, metadata: looks like a path on a local machine",
        "train.parquet, row 4, column structure.list.element.caption: looks like a Hugging Face token",
        "train.parquet, row 8, column audio.path: looks like a path on a local machine",
    ]


def test_an_index_is_read_too(tmp_path: Path) -> None:
    rows = pa.table({"id": ["a", "b"], "path": ["a.opus", "/home/someone/b.opus"]})
    lance.write_dataset(rows, tmp_path / "index")
    assert "index, row 1, column path: looks like a path on a local machine" in findings(tmp_path)


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    assert [finding.split(":")[1].split(" (")[0] for finding in findings(tmp_path)] == [" cannot be read"] * 2


@pytest.mark.parametrize("name", [".env", ".env.local", ".netrc", "id_rsa", "key.pem", "credentials.json", "token"])
def test_files_that_hold_secrets_by_their_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text("harmless")
    assert findings(tmp_path) == [f"deep/{name}: a file in which programs keep secrets"]


def test_leftovers_links_and_pickles(tmp_path: Path) -> None:
    for name in ("__pycache__", ".git", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    for name in (".DS_Store", "module.pyc", "model.bin", "optimizer.pt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").symlink_to(ROOT)
    found = {finding.split(":")[0] for finding in findings(tmp_path)}
    assert found == {path.name for path in tmp_path.iterdir()}


def test_files_beyond_the_hubs_limit(tmp_path: Path) -> None:
    with (tmp_path / "model.gguf").open("wb") as file:
        file.truncate(50 * 10**9 + 1)  # a hole, which takes no room
    assert findings(tmp_path) == ["model.gguf: 50.0 GB, and the Hub takes files up to 50 GB"]


@pytest.mark.parametrize("name", ["openai/whisper-base", "gpt2", ""])
@pytest.mark.parametrize("depth", [0, 1])
def test_where_parts_were_loaded_from(name: str, depth: int, tmp_path: Path) -> None:
    values: dict = {"_name_or_path": name}
    for _ in range(depth):
        values = {"text_config": [values]}
    (tmp_path / "config.json").write_text(json.dumps(values))
    check_contents(tmp_path)


@pytest.mark.parametrize("name", ["../gpt2", "./gpt2", "runs/gpt2/final", "tests/release"])
def test_relative_folders_where_parts_were_loaded_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"_name_or_path": name}}))
    assert findings(tmp_path) == [f"config.json, _name_or_path {name!r}: looks like a path on a local machine"]


def test_many_findings_are_told_in_short(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("/tmp/x\n" * 100)
    with pytest.raises(ReleaseError, match=r"line 5: .*; and more") as refused:
        check_contents(tmp_path)
    assert "line 6" not in str(refused.value)


def test_the_embedded_model_is_clean() -> None:
    check_contents(ROOT / "checkpoints" / "collap-mini")
