"""Servers on this machine: a host of videos, and one that speaks OpenAI's chat completions."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MEDIA = {".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".webm": "audio/webm", ".ogg": "audio/ogg", ".wav": "audio/wav"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def answer(self, status: int, body: bytes = b"", kind: str = "text/html", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are no matter."""


@contextmanager
def _serving(handler: type[_Handler], host: Any) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"host": host}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class VideoHost:
    """Pages at `/watch?v=ID` with a player for `/media/FILE`, as sites are that yt-dlp has no extractor for."""

    videos: dict[str, Path] = field(default_factory=dict)
    pages: dict[str, int | str] = field(default_factory=dict)
    """Pages without a player: a status, or HTML."""
    stumbles: dict[str, list[int]] = field(default_factory=dict)
    """Statuses with which a page answers first."""
    torn: set[str] = field(default_factory=set)
    """Videos whose body ends in the middle, until a part of it is asked for."""
    requests: list[str] = field(default_factory=list)
    cookies: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/watch?v={{id}}"

    def asked_for(self, video: str) -> int:
        """How often its page was asked for."""
        return sum(path.endswith(f"/watch?v={video}") for path in self.requests)


class _VideoHandler(_Handler):
    host: VideoHost

    def do_GET(self) -> None:
        self.host.requests.append(self.path)
        self.host.cookies.append(self.headers.get("Cookie"))
        address = urlsplit(self.path)  # a proxy is asked for whole addresses
        if address.path == "/watch":
            self._page(parse_qs(address.query)["v"][0])
        elif address.path.startswith("/media/"):
            self._media(address.path.removeprefix("/media/"))
        else:
            self.answer(404)

    def _page(self, video: str) -> None:
        if self.host.stumbles.get(video):
            return self.answer(self.host.stumbles[video].pop(0))
        page = self.host.pages.get(video)
        if isinstance(page, int):
            return self.answer(page)
        if page is None and video not in self.host.videos:
            return self.answer(404)
        if page is None:
            page = f'<html><body><audio src="/media/{video}{self.host.videos[video].suffix}"></audio></body></html>'
        return self.answer(200, page.encode())

    def _media(self, name: str) -> None:
        video = name.rpartition(".")[0]
        file = self.host.videos[video]
        body, kind = file.read_bytes(), MEDIA[file.suffix]
        if part := self.headers.get("Range"):
            start = int(part.removeprefix("bytes=").partition("-")[0])
            return self.answer(206, body[start:], kind, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        if video in self.host.torn:
            self.close_connection = True
            return self.answer(200, body[: len(body) // 2], kind, length=str(len(body)))
        return self.answer(200, body, kind)


@contextmanager
def video_host(videos: dict[str, Path]) -> Iterator[VideoHost]:
    """The host, serving; it is down when the context ends."""
    host = VideoHost(videos)
    with _serving(_VideoHandler, host) as host.port:
        yield host


@dataclass
class ChatServer:
    """An OpenAI-compatible server with one model that hears; `requests` holds what it was sent."""

    write: Callable[[bytes, str], str]
    """The answer to audio and prompt."""
    model: str = "music-lm"
    stumbles: list[int] = field(default_factory=list)
    """Statuses with which the next completions are answered."""
    refused: set[bytes] = field(default_factory=set)
    """Audio that it answers with 400."""
    finish_reason: str = "stop"
    deaf: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


class _ChatHandler(_Handler):
    host: ChatServer

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._json(404, {"error": {"message": "no such page"}})
        return self._json(200, {"object": "list", "data": [{"id": self.host.model, "object": "model"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.host.keys.append(self.headers.get("Authorization"))
        if self.path != "/v1/chat/completions":
            return self._json(404, {"error": {"message": "no such page"}})
        if self.host.stumbles:
            return self._json(self.host.stumbles.pop(0), {"error": {"message": "in a moment"}}, retry_after_ms="1")
        if self.host.deaf:
            return self._json(400, {"error": {"message": f"{self.host.model} is not multimodal"}})
        self.host.requests.append(request)
        audio, prompt = heard(request)
        if audio in self.host.refused:
            return self._json(400, {"error": {"message": "the audio is too long"}})
        message = {"role": "assistant", "content": self.host.write(audio, prompt)}
        choice = {"index": 0, "message": message, "finish_reason": self.host.finish_reason}
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
        return self._json(200, completion | {"choices": [choice]})

    def _json(self, status: int, value: Any, **headers: str) -> None:
        self.answer(status, json.dumps(value).encode(), "application/json", **headers)


def heard(request: dict[str, Any]) -> tuple[bytes, str]:
    """Audio file and prompt of a request, which holds just those two."""
    (message,) = request["messages"]
    assert message["role"] == "user"
    sound, text = message["content"]
    assert text["type"] == "text"
    if sound["type"] == "input_audio":
        assert sound["input_audio"].keys() == {"data", "format"}
        encoded = sound["input_audio"]["data"]
    else:
        assert sound["type"] == "audio_url"
        kind, _, encoded = sound["audio_url"]["url"].partition(";base64,")
        assert kind.startswith("data:audio/")
    return base64.b64decode(encoded, validate=True), text["text"]


@contextmanager
def chat_server(write: Callable[[bytes, str], str]) -> Iterator[ChatServer]:
    """The server, serving; it is down when the context ends."""
    host = ChatServer(write)
    with _serving(_ChatHandler, host) as host.port:
        yield host
