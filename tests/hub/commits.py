"""What a commit's request changes, line by line (NDJSON): read as a whole before anything is kept."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .metadata import metadata_errors
from .repositories import Commit, HubError, Kind, StoredFile


@dataclass(frozen=True)
class CommitHeader:
    title: str
    description: str
    parent: str | None
    """Id, or its first digits, of the commit that must be the branch's last."""


def read_commit(
    body: bytes, kind: Kind, head: Commit, large_files: Mapping[str, bytes]
) -> tuple[CommitHeader, dict[str, StoredFile]]:
    """Header and tree of a commit that would follow `head`, which stays as it is.

    Raises:
        HubError: if the commit was made to follow another one, a line cannot be read, a large file was not uploaded
            before, a deleted path is not there, a path is not one of a repository's, or the README's metadata would be
            refused.
    """
    try:
        lines = [json.loads(line) for line in body.splitlines() if line]
        (first, *changes) = [(line["key"], line["value"]) for line in lines]
        if first[0] != "header":
            raise HubError(400, "The first line of a commit is its header.")
        header = CommitHeader(first[1]["summary"], first[1].get("description", ""), first[1].get("parentCommit"))
        if header.parent is not None and not head.id.startswith(header.parent):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        changed = dict(head.tree)
        for key, value in changes:
            _apply(key, value, changed, large_files)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise HubError(400, f"The commit cannot be read: {error!r}.") from error
    _check_paths(changed)
    card = changed.get("README.md")
    if card and (errors := metadata_errors(card.content.decode(errors="replace"), kind)):
        raise HubError(400, "\n".join(errors))
    return header, changed


def _apply(key: str, value: dict[str, Any], tree: dict[str, StoredFile], large_files: Mapping[str, bytes]) -> None:
    path = value["path"]
    if key == "file":
        tree[path] = StoredFile(base64.b64decode(value["content"], validate=True))
    elif key == "lfsFile":
        content = large_files.get(value["oid"])
        if content is None or len(content) != value.get("size", len(content)):
            raise HubError(400, f"The LFS object {value['oid']} of {path} has not been uploaded.")
        tree[path] = StoredFile(content, large=True)
    elif key == "deletedFile":
        if path not in tree:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        del tree[path]
    elif key == "deletedFolder":
        inside = [file for file in tree if file.startswith(path.rstrip("/") + "/")]
        if not inside:
            raise HubError(404, f"A folder with this name doesn't exist: {path}", "EntryNotFound")
        for file in inside:
            del tree[file]
    else:
        raise ValueError(f"{key} is no change")


def _check_paths(tree: Mapping[str, StoredFile]) -> None:
    for path in tree:
        parts = path.split("/")
        if any(part in ("", ".", "..", ".git") for part in parts):
            raise HubError(400, f"{path!r} is not a path in a repository.")
        for folder in PurePosixPath(path).parents:
            if str(folder) in tree:
                raise HubError(400, f"{folder} would be a file and a folder.")
