"""What the Hub answers about its repositories: who asks, information, listings, history, and the files themselves."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

from .metadata import metadata
from .repositories import Commit, HubError, Repository, StoredFile
from .routing import Answer, Request, as_json, as_page, commit_entry, kind_of, routes


@routes("GET", "/api/whoami-v2")
def whoami(request: Request) -> Answer:
    request.require_token()
    organisations = [{"type": "org", "name": name, "roleInOrg": "admin"} for name in request.storage.organisations]
    token = {"accessToken": {"displayName": "tests", "role": request.role}, "type": "access_token"}
    return as_json({"type": "user", "name": request.storage.user, "orgs": organisations, "auth": token})


@routes("GET", "/api/{kinds}")
def list_repositories(request: Request, kinds: str) -> Answer:
    found = [
        _information(repository, repository.resolve("main"), blobs=False)
        for (kind, name), repository in sorted(request.storage.repositories.items())
        if kind == kind_of(kinds)
        and (request.role is not None or not repository.private)
        and request.query.get("search", "") in name
        and request.query.get("author", name.split("/")[0]) == name.split("/")[0]
    ]
    return as_page(request, found)


@routes("GET", "/api/{kinds}/{name}[/revision/{revision}]")
def information(request: Request, kinds: str, name: str, revision: str = "main") -> Answer:
    repository = request.repository(kinds, name)
    return as_json(_information(repository, repository.resolve(revision), blobs=request.asks("blobs")))


@routes("GET", "/api/{kinds}/{name}/refs")
def references(request: Request, kinds: str, name: str) -> Answer:
    repository = request.repository(kinds, name)
    branches, tags = (
        [{"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": commit} for name, commit in sorted(targets)]
        for folder, targets in (("heads", repository.branches.items()), ("tags", repository.tags.items()))
    )
    return as_json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})


@routes("GET", "/api/{kinds}/{name}/commits/{revision}")
def history(request: Request, kinds: str, name: str, revision: str) -> Answer:
    repository = request.repository(kinds, name)
    commits = repository.history(repository.resolve(revision))
    authors = [{"user": request.storage.user}]
    entries = [{**commit_entry(commit), "message": commit.description, "authors": authors} for commit in commits]
    return as_page(request, entries)


@routes("GET", "/api/{kinds}/{name}/tree/{revision}[/{path}]")
def tree(request: Request, kinds: str, name: str, revision: str, path: str = "") -> Answer:
    commit = request.repository(kinds, name).resolve(revision)
    folder = f"{path.strip('/')}/" if path.strip("/") else ""
    inside = {file: stored for file, stored in commit.tree.items() if file.startswith(folder)}
    if folder and not inside:
        raise HubError(404, f"{path} does not exist on {revision}", "EntryNotFound", commit.id)
    entries: dict[str, dict[str, Any]] = {}
    for file, stored in sorted(inside.items()):
        steps = file.removeprefix(folder).split("/")
        depth = len(steps) if request.asks("recursive") else 1
        for length in range(1, min(depth, len(steps) - 1) + 1):
            parent = folder + "/".join(steps[:length])
            entries.setdefault(parent, _folder_entry(commit, parent))
        if depth == len(steps):
            entries[file] = _file_entry(file, stored)
    return as_page(request, _expanded(request.asks("expand"), list(entries.values()), commit))


@routes("POST", "/api/{kinds}/{name}/paths-info/{revision}")
def paths_information(request: Request, kinds: str, name: str, revision: str) -> Answer:
    commit = request.repository(kinds, name).resolve(revision)
    if "json" in request.headers.get("content-type", ""):
        asked = request.json()
        paths, expand = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(request.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    entries = []
    for path in (path.strip("/") for path in paths):
        if path in commit.tree:
            entries.append(_file_entry(path, commit.tree[path]))
        elif any(file.startswith(f"{path}/") for file in commit.tree):
            entries.append(_folder_entry(commit, path))
    return as_json(_expanded(expand, entries, commit))


@routes("GET", "[/{kinds}]/{name}/resolve/{revision}/{path}")
def resolve(request: Request, name: str, revision: str, path: str, kinds: str = "models") -> Answer:
    """A file, or the part of it that the Range header names. The real Hub redirects to another host for large files."""
    repository = request.repository(kinds, name)
    commit = repository.resolve(revision)
    file = repository.file(commit, path)
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.etag}"',
        "X-Repo-Commit": commit.id,
    }
    if file.large:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if wanted is None or wanted[0] == "bytes=-":
        return Answer(200, file.content, headers)
    start, end = _span(wanted[1], wanted[2], file.size)
    if start >= end:
        return Answer(416, b"", {"Content-Range": f"bytes */{file.size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    return Answer(206, file.content[start:end], headers)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of `bytes=first-last` or, without `first`, of the `last` bytes."""
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def _information(repository: Repository, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    card = commit.tree.get("README.md")
    fields = metadata(card.content.decode()) if card else {}
    siblings = [
        {"rfilename": path, **(_blob_entry(file) if blobs else {})} for path, file in sorted(commit.tree.items())
    ]
    (*_, first) = repository.history(commit)
    answer = {
        "id": repository.name,
        "author": repository.name.split("/")[0],
        "sha": commit.id,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": fields.get("tags", []),
        # YAML has dates, JSON does not.
        "cardData": json.loads(json.dumps(fields, default=str)),
        "createdAt": first.date,
        "lastModified": commit.date,
        "siblings": siblings,
    }
    if repository.kind == "model":
        answer |= {name: fields[name] for name in ("library_name", "pipeline_tag") if name in fields}
    if repository.kind == "space":
        answer["sdk"] = repository.sdk
    return answer


def _blob_entry(file: StoredFile) -> dict[str, Any]:
    large = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return {"size": file.size, "blobId": file.blob_id, **({"lfs": large} if file.large else {})}


def _file_entry(path: str, file: StoredFile) -> dict[str, Any]:
    large = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    entry = {"type": "file", "path": path, "size": file.size, "oid": file.blob_id}
    return {**entry, **({"lfs": large} if file.large else {})}


def _folder_entry(commit: Commit, path: str) -> dict[str, Any]:
    inside = sorted((name, file.blob_id) for name, file in commit.tree.items() if name.startswith(f"{path}/"))
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(repr(inside).encode()).hexdigest()}


def _expanded(expand: bool, entries: list[dict[str, Any]], commit: Commit) -> list[dict[str, Any]]:
    """With the last commit; the real Hub names the one that changed the file."""
    return [{**entry, "lastCommit": commit_entry(commit)} for entry in entries] if expand else entries
