"""Repositories as the Hub keeps them: commits of whole trees, branches, tags, and the large files beside them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

Kind = Literal["model", "dataset", "space"]
Role = Literal["read", "write"]

# What a new repository's .gitattributes keeps in Git LFS; the Hub's own list is longer.
LARGE = ("safetensors", "parquet", "arrow", "bin", "pt", "onnx", "npy", "npz", "zip", "gz", "lance", "flac", "opus")
GIT_ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE)
SHORTEST_ID = 7  # digits of a commit's id that name it


class HubError(Exception):
    """A refusal.

    Args:
        status: of the HTTP answer.
        message: what the client shows.
        code: `X-Error-Code`, from which the client picks its exception.
        commit: id of the commit in which something was not found.
    """

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.commit = commit


@dataclass(frozen=True)
class StoredFile:
    """A file in a commit. A large one is kept in Git LFS: the tree has a pointer in its place, with its SHA-256."""

    content: bytes
    large: bool = False

    @property
    def size(self) -> int:
        return len(self.content)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @cached_property
    def blob_id(self) -> str:
        """Git's name for what the tree holds."""
        blob = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0%b" % (len(blob), blob)).hexdigest()

    @property
    def etag(self) -> str:
        """The name under which the client keeps the content, and by which it sees that a file has not changed."""
        return self.sha256 if self.large else self.blob_id


@dataclass(frozen=True)
class Commit:
    """The whole tree after a change; `parent` is `None` in a repository's first commit."""

    id: str
    title: str
    description: str
    date: str
    parent: str | None
    tree: Mapping[str, StoredFile]


@dataclass
class Repository:
    """Starts as the Hub's do: a branch `main` with one commit that holds .gitattributes."""

    kind: Kind
    name: str
    private: bool = False
    sdk: str | None = None
    """Of a Space."""
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.append("main", {".gitattributes": StoredFile(GIT_ATTRIBUTES.encode())}, "initial commit")

    def append(self, branch: str, tree: Mapping[str, StoredFile], title: str, description: str = "") -> Commit:
        """Puts a commit on a branch."""
        parent, date = self.branches.get(branch), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        listing = sorted((path, file.blob_id) for path, file in tree.items())
        # The number of commits tells apart two with the same content in the same second.
        said = [self.kind, self.name, parent, title, description, date, len(self.commits), listing]
        commit_id = hashlib.sha1(json.dumps(said).encode()).hexdigest()
        commit = Commit(commit_id, title, description, date, parent, dict(tree))
        self.commits[commit_id] = commit
        self.branches[branch] = commit_id
        return commit

    def resolve(self, revision: str) -> Commit:
        """Commit of a branch, a tag, or an id or its first digits."""
        named = self.branches.get(revision.removeprefix("refs/heads/")) or self.tags.get(
            revision.removeprefix("refs/tags/")
        )
        if named is None and len(revision) >= SHORTEST_ID:
            named = next((commit_id for commit_id in self.commits if commit_id.startswith(revision)), None)
        if named is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[named]

    def file(self, commit: Commit, path: str) -> StoredFile:
        if path not in commit.tree:
            raise HubError(404, f"{path} does not exist in {self.name}.", "EntryNotFound", commit.id)
        return commit.tree[path]

    def history(self, commit: Commit) -> Iterator[Commit]:
        """From a commit back to the first."""
        yield commit
        while commit.parent is not None:
            commit = self.commits[commit.parent]
            yield commit


@dataclass
class Storage:
    """Everything that is kept: the repositories and the content of large files, which may come before their commit."""

    user: str
    organisations: tuple[str, ...]
    tokens: Mapping[str, Role]
    """Of the user."""
    repositories: dict[tuple[Kind, str], Repository] = field(default_factory=dict)
    large_files: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256."""

    def repository(self, kind: Kind, name: str, *, authenticated: bool = True) -> Repository:
        """Who has no token is told the same of a private repository as of one that does not exist."""
        found = self.repositories.get((kind, name))
        if found is None or (found.private and not authenticated):
            raise HubError(404 if authenticated else 401, "Repository not found", "RepoNotFound")
        return found
