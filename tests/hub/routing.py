"""Requests, answers, and the table that leads from an address to what answers it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from .repositories import Commit, HubError, Kind, Repository, Role, Storage

# What stands for a name in the pattern of an address. The client quotes a revision's slashes.
PIECES = {"kinds": "models|datasets|spaces", "name": "[^/]+/[^/]+", "path": ".+"}
TRUE = ("1", "true", "True")


@dataclass(frozen=True)
class Request:
    """`target` is the path and query as sent; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    storage: Storage
    endpoint: str
    page_size: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def asks(self, name: str) -> bool:
        """Whether a switch of the query is on."""
        return self.query.get(name) in TRUE

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def role(self) -> Role | None:
        """What the token may do; `None` without a token.

        Raises:
            HubError: if the token is none of the user's.
        """
        sent = self.headers.get("authorization")
        if sent is None:
            return None
        token = sent.removeprefix("Bearer ")
        if token not in self.storage.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.storage.tokens[token]

    def require_token(self) -> None:
        if self.role is None:
            raise HubError(401, "Invalid username or password.")

    def repository(self, kinds: str, name: str) -> Repository:
        return self.storage.repository(kind_of(kinds), name, authenticated=self.role is not None)

    def writable(self, kinds: str, name: str) -> Repository:
        """Like `repository`, for who may change it."""
        self.require_right_to_write(name)
        return self.repository(kinds, name)

    def require_right_to_write(self, name: str) -> None:
        self.require_token()
        if self.role == "read":
            raise HubError(403, "This token may only read.")
        namespace = name.split("/")[0]
        if namespace not in (self.storage.user, *self.storage.organisations):
            raise HubError(403, f"You don't have the rights to write under the namespace {namespace!r}.")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})


def as_page(request: Request, items: list[Any]) -> Answer:
    """The items from the query's cursor on, with a link to the next page if there are more than a page takes."""
    start = int(request.query.get("cursor", 0))
    end = start + request.page_size
    if end >= len(items):
        return as_json(items[start:])
    query = urlencode({**request.query, "cursor": end})
    return as_json(items[start:end], Link=f'<{request.endpoint}{request.path}?{query}>; rel="next"')


def refusal(error: HubError) -> Answer:
    """An error as the Hub words it. The client takes its exception from the code and its message from the header."""
    said = " ".join(str(error).split()).encode("ascii", "replace").decode()  # headers are ASCII
    headers = {"X-Error-Message": said}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    if error.commit is not None:
        headers["X-Repo-Commit"] = error.commit
    return as_json({"error": str(error)}, error.status, **headers)


def kind_of(kinds: str | None) -> Kind:
    """The kind of repository that `datasets` or nothing stands for in an address."""
    match kinds:
        case "datasets":
            return "dataset"
        case "spaces":
            return "space"
        case _:
            return "model"


def address(repository: Repository, endpoint: str) -> str:
    """Where a repository is seen in a browser."""
    prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
    return f"{endpoint}/{prefix}{repository.name}"


class Routes:
    """Functions by method and pattern. `{kinds}` and the like in a pattern are arguments; `[...]` may be left out."""

    def __init__(self) -> None:
        self.table: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []

    def __call__(self, methods: str, pattern: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
        optional = re.escape(pattern).replace(r"\[", "(?:").replace(r"\]", ")?")
        named = re.sub(r"\\\{(\w+)\\\}", lambda match: f"(?P<{match[1]}>{PIECES.get(match[1], '[^/]+')})", optional)

        def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
            self.table.extend((method, re.compile(named), function) for method in methods.split())
            return function

        return register

    def answer(self, request: Request) -> Answer:
        """What the first function that fits answers. HEAD is answered as GET; its body stays here."""
        method = "GET" if request.method == "HEAD" else request.method
        try:
            for candidate, pattern, function in self.table:
                if candidate == method and (match := pattern.fullmatch(request.path)):
                    return function(request, **dict(_given(match)))
            raise HubError(404, f"This Hub has no {request.method} {request.path}.")
        except HubError as error:
            return refusal(error)
        except Exception as error:  # a crash would look like a lost connection, and the client would try again
            return refusal(HubError(500, f"This Hub cannot answer {request.method} {request.path}: {error!r}"))


def _given(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    for name, value in match.groupdict().items():
        if value is not None:
            yield name, unquote(value)


def commit_entry(commit: Commit) -> dict[str, str]:
    return {"id": commit.id, "title": commit.title, "date": commit.date}


routes = Routes()
