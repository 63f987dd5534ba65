"""What must never be in a file that is published: patterns of secrets and of places on somebody's machine."""

import re
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from .repositories import ROOT

LOCAL_PATH = "a path on a local machine"


def _after(start: str, rest: str, *, not_after: str = r"[\w-]") -> str:
    """A pattern that begins with a fixed text, which Python's `re` finds fast: megabytes of audio are searched too."""
    start = re.escape(start)
    return f"{start}(?<!{not_after}{start}){rest}"


_SECRETS = {
    "a Hugging Face token": [_after("hf_", "[A-Za-z0-9]{30,}"), _after("api_org_", "[A-Za-z0-9]{30,}")],
    "an AWS access key": [_after(start, r"[0-9A-Z]{16}(?!\w)") for start in ("AKIA", "ASIA")],
    "an AWS secret key": [r"(?i:aws_secret_access_key)\W{1,5}[A-Za-z0-9/+]{40}"],
    "a private key": [r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"],
    "a GitHub token": [
        *(_after(f"gh{kind}_", "[A-Za-z0-9]{36}") for kind in "opusr"),
        _after("github_pat_", r"\w{22,}"),
    ],
    "a GitLab token": [_after("glpat-", r"[\w-]{20,}")],
    "an API key": [_after("sk-", r"(?=[\w-]*\d)[\w-]{32,}")],
    "a Google API key": [_after("AIza", r"[\w-]{35}")],
    "a Slack token": [_after("xox", r"[abeoprs]-[\w-]{10,}")],
    "a package registry token": [_after("npm_", "[A-Za-z0-9]{36}"), _after("pypi-AgEIcHlwaS5vcmc", r"[\w-]{20,}")],
    "a signed web token": [_after("eyJ", r"[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")],
    "a password in an address": [r"://[^\s/:@'\"{}<>]+:[^\s/@'\"{}<>]+@"],
    "a line of a netrc file": [r"machine[ \t]+\S+\s+login[ \t]+\S+\s+password[ \t]+\S"],
    "a password or key": [
        r"(?i:api[_-]?key|secret(?:[_-]?key)?|(?:access|auth|hub|bearer)[_-]?token|passw(?:or)?d)[\"']?\s*[:=]\s*[\"']?"
        r"(?=[\w+/.=-]{0,64}\d)(?=[\w+/.=-]{0,64}[A-Za-z])[\w+/.=-]{16,}"
    ],
}
# Folders in which people and programs keep things. Within an address (`example.org/home/x`) they are none.
_ADDRESS = r"[\w.:/~}-]"
_PLACES = [
    *(_after(f"/{name}/", r"[\w.-]+", not_after=_ADDRESS) for name in ("home", "Users", "mnt", "media", "scratch")),
    *(_after(f"/{name}", r"(?![\w.-])", not_after=_ADDRESS) for name in ("root", "tmp", "var/tmp", "var/folders")),
    *(_after(f"/private/{name}/", r"\w", not_after=_ADDRESS) for name in ("tmp", "var")),
    r"file:///\w",
    r":\\{1,2}Users\\{1,2}\w",
]
# Slow to look for, and written by people only: not in audio and the like.
_IN_TEXT_ONLY = ("an AWS secret key", "a password or key")

# Files whose name alone says that they hold secrets.
SECRET_FILES = (
    *(".env", ".env.*", ".netrc", "_netrc", "netrc", ".git-credentials", ".pypirc", ".npmrc", ".htpasswd"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx"),
    *("credentials", "credentials.json", "stored_tokens", "token"),
)


def is_secret_file(name: str) -> bool:
    """Whether files of this name are where programs keep secrets."""
    return any(fnmatch(name, pattern) for pattern in SECRET_FILES)


def find_secrets(content: bytes) -> Iterator[tuple[int, str]]:
    """Where in the content a secret or a local path begins, and what it looks like; the secret itself is not told."""
    is_text = b"\0" not in content
    for what, patterns in _patterns().items():
        if is_text or what not in _IN_TEXT_ONLY:
            for pattern in patterns:
                yield from ((match.start(), what) for match in pattern.finditer(content))


@cache
def _patterns() -> dict[str, list[re.Pattern[bytes]]]:
    own = {ROOT, Path.home(), Path(tempfile.gettempdir()), Path.cwd()}
    here = [_after(str(path), r"(?![\w-])", not_after=r"[\w.]") for path in own if len(path.parts) > 2]
    patterns = {**_SECRETS, LOCAL_PATH: _PLACES + here}
    return {what: [re.compile(each.encode()) for each in some] for what, some in patterns.items()}
