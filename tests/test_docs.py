"""The code in docs/ runs as written, and no link in the repository's Markdown is dead.

A page is one test, as a reader goes through it: its Python blocks share a namespace, and the `collap` commands of its
Bash blocks marked by `<!-- run -->` run between them, all in an empty folder with `checkpoints/` and `recipes/` in it.
A block that begins with ```` ```python no-run ```` needs what a test has not, such as the files of a benchmark.
"""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval_collap.cli import app

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?P<mark><!-- run -->\n)?```(?P<language>python|bash)\n(?P<code>.*?)```", re.DOTALL)
FENCE = re.compile(r"^(```+).*?^\1\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:href|src|srcset)=\"([^\"]+)\"")
BUILT = {"build", "data", "demo_output", "dist", "node_modules", "runs"}  # folders that git ignores


def runnable(page: Path) -> list[tuple[str, str]]:
    """Language and code of the blocks that run, each below as many empty lines as there are before it on the page."""
    text = page.read_text(encoding="utf-8")
    return [
        (block["language"], "\n" * text.count("\n", 0, block.start("code")) + block["code"])
        for block in BLOCK.finditer(text)
        if block["language"] == "python" or block["mark"]
    ]


PAGES = [pytest.param(page, id=page.stem) for page in sorted((ROOT / "docs").glob("*.md")) if runnable(page)]
MARKDOWN = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not any(part in BUILT or part.startswith(".") for part in path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("checkpoints", "recipes"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / ".modules"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    namespace: dict = {"__name__": page.stem}
    for language, code in runnable(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), namespace)
        else:
            run_commands(code, page)


def run_commands(code: str, page: Path) -> None:
    """`collap` commands, in this process: a shell would import torch for each."""
    for line in code.replace("\\\n", " ").strip().splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "collap", f"{page}: only collap commands are run, not {program}"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{page}: {line}\n{result.output}\n{result.exception!r}"


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in MARKDOWN])
def test_links_are_alive(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))
    dead = []
    for match in LINK.finditer(text):
        link = match[1] or match[2].split()[0]
        if re.match(r"[a-z][a-z0-9+.-]*:", link):  # elsewhere: a test asks nothing of the network
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(link)
    assert not dead, f"{path.relative_to(ROOT)} has dead links: {', '.join(dead)}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name}" not in index]
    assert missing == ["README.md"], f"docs/README.md does not name {', '.join(missing)}"


@cache
def anchors(page: Path) -> frozenset[str]:
    """What GitHub makes of the headings of a page, and the anchors it sets itself."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", text, flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return frozenset(found)


def test_pictures_are_small() -> None:
    heavy = {
        str(file.relative_to(ROOT)): file.stat().st_size
        for file in (ROOT / "docs").rglob("*")
        if file.suffix in (".png", ".svg") and file.stat().st_size > 250_000
    }
    assert not heavy, f"pictures above 250 kB: {heavy}"
