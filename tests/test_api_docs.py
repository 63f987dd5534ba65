"""docs/api.md says what the sources say."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_page_is_up_to_date(page: str) -> None:
    spec = importlib.util.spec_from_file_location("build_api", ROOT / "docs" / "build_api.py")
    assert spec is not None
    assert spec.loader is not None
    build_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_api)
    assert page == build_api.build_api(), f"docs/api.md is stale; run: {build_api.COMMAND}"


def test_headings_lead_to_definitions(page: str) -> None:
    links = re.findall(r"^#{3,4} \[`([\w.]+)`\]\(\.\./([\w/.]+)\)", page, flags=re.MULTILINE)
    assert len(links) > 100
    for name, path in links:
        source, last = (ROOT / path).read_text(encoding="utf-8"), name.rpartition(".")[2]
        assert re.search(rf"^\s*(def |class )?{last}\b", source, flags=re.MULTILINE), f"{name} is not in {path}"


def test_contents_lead_to_headings(page: str) -> None:
    for name, anchor in re.findall(r"\[`([\w.]+)`\]\(#([\w-]+)\)", page.partition("\n## ")[0]):
        assert anchor.startswith(name.lower().replace(".", "")), name
