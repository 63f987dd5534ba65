"""What the tests of the Hub upload, and how they get it back."""

from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from .loopback import LoopbackHub

REPO = "org/songs"
CARD = b"---\nlicense: cc-by-4.0\ntags: [music]\n---\n# Songs\n"
SMALL = b"{}\n"
LARGE = bytes(range(256)) * 4096  # 1 MiB, binary


def download(hub: LoopbackHub, cache: Path, name: str, **options: Any) -> bytes:
    options = {"token": hub.token, **options}
    return Path(hf_hub_download(REPO, name, endpoint=hub.endpoint, cache_dir=cache, **options)).read_bytes()


def posted(hub: LoopbackHub, part: str) -> int:
    """How many requests went to addresses with this part."""
    return sum(part in request.path for request in hub.requests)


def large_files_sent(hub: LoopbackHub) -> list[str]:
    return sorted(request.path for request in hub.requests if request.method == "PUT")
