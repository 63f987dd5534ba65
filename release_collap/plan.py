"""What a push would do to a repository, file by file."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from .repositories import Repository, RepoType

Change = Literal["new", "changed", "same", "gone", "not compared"]

# The Hub puts it there and keeps in it which files are large.
_HUBS_OWN = ".gitattributes"


@dataclass(frozen=True)
class PlannedFile:
    """A file by its path in the repository; `size` is in bytes."""

    path: str
    size: int
    change: Change = "not compared"


@dataclass(frozen=True)
class ReleasePlan:
    """The files of a staging folder, and what becomes of them.

    Args:
        folder: holds exactly what is pushed.
        files: those of the folder and, once compared, those that are in the repository only, which go.
        compared: whether the repository was looked at.
        head: the commit that the files were compared with; None where there is no repository yet.
    """

    repo_id: str
    repo_type: RepoType
    folder: Path
    files: list[PlannedFile] = field(default_factory=list)
    compared: bool = False
    head: str | None = None

    @classmethod
    def of(cls, folder: Path, repository: Repository, owner: str) -> "ReleasePlan":
        """All files of the folder, not compared with anything yet."""
        return cls(repository.id(owner), repository.type, folder, list(_files(folder)))

    def compare(self, api: HfApi) -> "ReleasePlan":
        """The plan beside what is in the repository now; contents are compared by their digests, not downloaded.

        Raises:
            HTTPError, OfflineModeIsEnabled: the Hub refuses or does not answer.
        """
        try:
            head = api.repo_info(self.repo_id, repo_type=self.repo_type).sha
        except RepositoryNotFoundError:
            files = [replace(file, change="new") for file in _files(self.folder)]
            return replace(self, files=files, compared=True, head=None)
        listing = api.list_repo_tree(self.repo_id, recursive=True, revision=head, repo_type=self.repo_type)
        there = {each.path: each for each in listing if isinstance(each, RepoFile)}
        files = [replace(file, change=self._change(file, there.get(file.path))) for file in _files(self.folder)]
        kept = {file.path for file in files} | {_HUBS_OWN}
        files += [PlannedFile(path, there[path].size, "gone") for path in sorted(there.keys() - kept)]
        return replace(self, files=files, compared=True, head=head)

    @property
    def bytes(self) -> int:
        """Of all files that are in the repository after the push."""
        return sum(file.size for file in self.files if file.change != "gone")

    def having(self, *changes: Change) -> list[PlannedFile]:
        """The files to which one of these happens."""
        return [file for file in self.files if file.change in changes]

    def _change(self, file: PlannedFile, there: RepoFile | None) -> Change:
        if there is None:
            return "new"
        return "same" if there.size == file.size and self._is(file.path, there) else "changed"

    def _is(self, path: str, there: RepoFile) -> bool:
        """Whether the file of the folder has the content that the repository has."""
        if there.lfs is None:
            return git_hash((self.folder / path).read_bytes()) == there.blob_id
        with (self.folder / path).open("rb") as content:
            return sha_fileobj(content).hex() == there.lfs.sha256


def _files(folder: Path) -> Iterator[PlannedFile]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield PlannedFile(path.relative_to(folder).as_posix(), path.stat().st_size)
