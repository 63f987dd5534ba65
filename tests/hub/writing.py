"""What changes repositories: creation, branches and tags, the upload of large files, and commits."""

import base64
import fnmatch
import hashlib
from collections.abc import Mapping

from .commits import read_commit
from .metadata import metadata, metadata_errors
from .repositories import HubError, Kind, Repository, StoredFile
from .routing import Answer, Request, address, as_json, kind_of, routes

LARGEST_REGULAR_FILE = 10 * 2**20  # bytes


@routes("POST", "/api/repos/create")
def create(request: Request) -> Answer:
    asked = request.json()
    kind, name = _asked(request)
    request.require_right_to_write(name)
    storage = request.storage
    if (kind, name) in storage.repositories:
        url = address(storage.repositories[kind, name], request.endpoint)
        return as_json({"error": f"You already created this {kind} repo", "url": url}, 409)
    private = asked.get("visibility") == "private"
    repository = storage.repositories[kind, name] = Repository(kind, name, private, asked.get("sdk"))
    return as_json({"url": address(repository, request.endpoint), "name": name, "id": name})


@routes("DELETE", "/api/repos/delete")
def delete(request: Request) -> Answer:
    kind, name = _asked(request)
    repository = request.writable(f"{kind}s", name)
    del request.storage.repositories[repository.kind, name]
    return as_json({})


def _asked(request: Request) -> tuple[Kind, str]:
    asked = request.json()
    return asked.get("type") or "model", f"{asked.get('organization') or request.storage.user}/{asked['name']}"


@routes("POST", "/api/validate-yaml")
def validate_metadata(request: Request) -> Answer:
    asked = request.json()
    if errors := metadata_errors(asked["content"], asked["repoType"]):
        return as_json({"errors": [{"message": error} for error in errors], "warnings": []}, 400)
    warnings = [] if metadata(asked["content"]) else [{"message": "empty or missing yaml metadata in repo card"}]
    return as_json({"errors": [], "warnings": warnings})


@routes("POST DELETE", "/api/{kinds}/{name}/branch/{branch}")
def change_branch(request: Request, kinds: str, name: str, branch: str) -> Answer:
    repository = request.writable(kinds, name)
    if request.method == "POST":
        start = repository.resolve(request.json().get("startingPoint") or "main")
        return _point(repository.branches, branch, start.id)
    if branch == "main":
        raise HubError(403, "The branch main cannot be deleted.")
    return _forget(repository.branches, branch)


@routes("POST DELETE", "/api/{kinds}/{name}/tag/{tag}")
def change_tag(request: Request, kinds: str, name: str, tag: str) -> Answer:
    """In the address of a new tag stands the revision that gets it."""
    repository = request.writable(kinds, name)
    if request.method == "POST":
        return _point(repository.tags, request.json()["tag"], repository.resolve(tag).id)
    return _forget(repository.tags, tag)


def _point(references: dict[str, str], name: str, commit: str) -> Answer:
    if name in references:
        raise HubError(409, f"Reference {name} already exists")
    references[name] = commit
    return as_json({})


def _forget(references: dict[str, str], name: str) -> Answer:
    if references.pop(name, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return as_json({})


@routes("POST", "/api/{kinds}/{name}/preupload/{revision}")
def preupload(request: Request, kinds: str, name: str, revision: str) -> Answer:
    """Which files go to Git LFS, and what is there already, so that the client sends only what has changed."""
    tree = request.writable(kinds, name).resolve(revision).tree
    patterns = _large_patterns(tree)
    answers = []
    for file in request.json()["files"]:
        path, sample = file["path"], base64.b64decode(file["sample"])
        large = file["size"] > LARGEST_REGULAR_FILE or _is_binary(sample) or _matches(path, patterns)
        stored = tree.get(path)
        mode = {"uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        answers.append({"path": path, **mode, "oid": stored.etag if stored else None})
    return as_json({"files": answers})


def _large_patterns(tree: Mapping[str, StoredFile]) -> list[str]:
    attributes = tree.get(".gitattributes", StoredFile(b"")).content.decode()
    return [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(path.split("/")[-1], pattern) for pattern in patterns)


def _is_binary(sample: bytes) -> bool:
    return b"\0" in sample


@routes("POST", "[/{kinds}]/{name}.git/info/lfs/objects/batch")
def large_file_batch(request: Request, name: str, kinds: str = "models") -> Answer:
    """Where to send each large file; nowhere if its content is here already."""
    request.writable(kinds, name)
    objects = []
    for asked in request.json()["objects"]:
        target = f"{request.endpoint}/lfs/{asked['oid']}"
        actions = {"upload": {"href": target}, "verify": {"href": f"{target}/verify"}}
        known = asked["oid"] in request.storage.large_files
        objects.append({"oid": asked["oid"], "size": asked["size"], **({} if known else {"actions": actions})})
    return as_json({"transfer": "basic", "objects": objects})


@routes("PUT", "/lfs/{oid}")
def put_large_file(request: Request, oid: str) -> Answer:
    """The address is secret enough: the client sends no token here, as it sends none to the real Hub's storage."""
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise HubError(400, f"The content's SHA-256 is not {oid}.")
    request.storage.large_files[oid] = request.body
    return as_json({})


@routes("POST", "/lfs/{oid}/verify")
def verify_large_file(request: Request, oid: str) -> Answer:
    request.require_token()
    content = request.storage.large_files.get(oid)
    if content is None or len(content) != request.json()["size"]:
        raise HubError(404, f"The LFS object {oid} has not been uploaded.")
    return as_json({})


@routes("POST", "/api/{kinds}/{name}/commit/{branch}")
def commit(request: Request, kinds: str, name: str, branch: str) -> Answer:
    """All changes or none: the branch moves at the end, when every line has been read."""
    repository = request.writable(kinds, name)
    if request.asks("create_pr"):
        raise HubError(403, "This Hub takes no pull requests.")
    if branch not in repository.branches:
        raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    head = repository.resolve(branch)
    header, tree = read_commit(request.body, kind_of(kinds), head, request.storage.large_files)
    added = repository.append(branch, tree, header.title, header.description)
    url = f"{address(repository, request.endpoint)}/commit/{added.id}"
    return as_json({"success": True, "commitOid": added.id, "commitUrl": url})
