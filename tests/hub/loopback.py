"""The Hub, served on 127.0.0.1: what tests start, ask, and break."""

import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote

from . import reading, writing  # noqa: F401  # they register what they answer
from .repositories import Commit, HubError, Kind, Storage
from .routing import Answer, Request, refusal, routes

Trouble = Literal["refuse", "drop", "lose"]


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path fit."""

    pattern: re.Pattern[str]
    times: int
    trouble: Trouble
    status: int = 503


@dataclass(frozen=True)
class Received:
    """A request in the log; `status` is that of its answer, `None` where none was sent whole."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class LoopbackHub:
    """A Hub in memory at a free port of 127.0.0.1, there for as long as the context.

        with LoopbackHub() as hub:
            api = HfApi(endpoint=hub.endpoint, token=hub.token)

    Constants of huggingface_hub are read when it is imported: what uses them (`from_pretrained`, `load_dataset`) needs
    a fresh process with `hub.environment(home)`.

    Args:
        user: whose `token` and `read_token` are; with the latter nothing can be changed.
        organisations: in which the user may write.
        page_size: entries of a listing that come at once.
    """

    def __init__(self, user: str = "someone", organisations: tuple[str, ...] = ("org",), page_size: int = 1000):
        self.token, self.read_token = "hf_loopback", "hf_loopback_read"
        self.requests: list[Received] = []
        self.page_size = page_size
        self._storage = Storage(user, organisations, {self.token: "write", self.read_token: "read"})
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()

    def environment(self, home: Path) -> dict[str, str]:
        """Variables, to be laid over others, with which a new process talks to this Hub and keeps everything in `home`.

        They hold the token; who plays a stranger leaves `HF_TOKEN` out.
        """
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": self.token,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_MODULES_CACHE": str(home / "modules"),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def files(self, kind: Kind, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Content of every file by path, `.gitattributes` included, which the Hub puts there itself.

        Raises:
            HubError: if there is no such repository or revision.
        """
        with self._lock:
            tree = self._storage.repository(kind, repo).resolve(revision).tree
            return {path: file.content for path, file in sorted(tree.items())}

    def commits(self, kind: Kind, repo: str, revision: str = "main") -> list[Commit]:
        """The newest first; the last one is the Hub's own."""
        with self._lock:
            repository = self._storage.repository(kind, repo)
            return list(repository.history(repository.resolve(revision)))

    def repositories(self) -> list[tuple[Kind, str]]:
        """Kind and name of all."""
        with self._lock:
            return sorted(self._storage.repositories)

    def fail(self, pattern: str, times: int = 1, status: int = 503) -> None:
        """Refuses the next `times` requests in whose "METHOD /path" the regular expression is found.

        The client tries again after 503 where a second time does no harm, with waits of 1, 2, 4, 8 and 8 s; it does not
        after other errors, nor when it creates a repository or commits.
        """
        self._break(pattern, times, "refuse", status)

    def drop_connection(self, pattern: str, times: int = 1) -> None:
        """Hangs up in the middle: after half of what is uploaded has come, or half of what is downloaded was sent."""
        self._break(pattern, times, "drop")

    def lose_answer(self, pattern: str, times: int = 1) -> None:
        """Does what is asked and hangs up without saying so."""
        self._break(pattern, times, "lose")

    def _break(self, pattern: str, times: int, trouble: Trouble, status: int = 503) -> None:
        with self._lock:
            self._faults.append(Fault(re.compile(pattern), times, trouble, status))

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()

    def _next_fault(self, name: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times and fault.pattern.search(name):
                    fault.times -= 1
                    return fault
        return None

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request at a time, so that what changes a repository is seen whole or not at all."""
        request = Request(method, target, headers, body, self._storage, self.endpoint, self.page_size)
        with self._lock:
            return routes.answer(request)


class _Handler(BaseHTTPRequestHandler):
    """One connection, which stays open for many requests."""

    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *_: Any) -> None: ...

    def do_any(self) -> None:
        path = unquote(self.path)
        fault = self.hub._next_fault(f"{self.command} {path}")
        trouble = fault.trouble if fault else None
        if trouble == "drop" and self.command in ("POST", "PUT"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self._log(path, None)
            self.close_connection = True
            return
        body = self._body()
        if fault and trouble == "refuse":
            answer = refusal(HubError(fault.status, "This Hub was told to fail."))
        else:
            answer = self.hub._answer(self.command, self.path, self._headers(), body)
        self.close_connection |= trouble in ("drop", "lose")
        # Before the answer, so that who has it finds the request in the log.
        self._log(path, None if trouble in ("drop", "lose") else answer.status)
        if trouble != "lose":
            self._send(answer, len(answer.body) // 2 if trouble == "drop" else len(answer.body))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_any  # noqa: N815  # the server's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # half a commit may look like a whole one
                raise ConnectionAbortedError(f"{len(body)} of {length} bytes came")
            return body
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer, length: int) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:length])

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _log(self, path: str, status: int | None) -> None:
        self.hub.requests.append(Received(self.command, path, self._headers(), status))


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that no answer comes once the Hub is gone."""

    daemon_threads = True

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are no matter."""
