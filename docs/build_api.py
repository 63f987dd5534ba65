"""Writes docs/api.md: the public names of every room, with their signatures and docstrings.

    python docs/build_api.py

Public is what the `__init__.py` of a package exports. The sources are parsed and never run, so that names that load
lazily are found and nothing heavy is imported.
"""

import logging
import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
COMMAND = "python docs/build_api.py"
# From left to right, as data flows; those of the Space lie in its folder.
ROOMS = (
    "modeling_collap",
    "processing_collap",
    "dataset_scripts",
    "training_collap",
    "evaluation_collap",
    "metrics",
    "retrieval_collap",
    "release_collap",
    "space_collap",
)
SEARCH_PATHS = (ROOT, ROOT / "space")
WIDTH = 100  # columns of a signature
INTRODUCTION = f"""\
# API

What the rooms export, from left to right as data flows. A heading leads to the source. This page is written by
`{COMMAND}` from the docstrings: change those. Shapes are in the letters of [concepts](concepts.md#names).
"""


def build_api() -> str:
    """The page as Markdown."""
    logging.getLogger("griffe").setLevel(logging.ERROR)  # "a, b: ..." in a docstring is one entry for two parameters
    packages = [package for room in ROOMS if _exists(room) for package in _packages(_load(room))]
    parts = [part for package in packages for part in _package(package)]
    return "\n\n".join([INTRODUCTION + "\n" + _contents(parts), *parts]) + "\n"


def _exists(room: str) -> bool:
    return any((path / room / "__init__.py").is_file() for path in SEARCH_PATHS)


def _load(room: str) -> griffe.Module:
    loaded = griffe.load(room, search_paths=list(SEARCH_PATHS), resolve_aliases=True)
    assert isinstance(loaded, griffe.Module)
    return loaded


def _packages(room: griffe.Module) -> list[griffe.Module]:
    """A room, or the packages in it where it exports nothing itself."""
    if room.exports:
        return [room]
    children = sorted(room.modules.values(), key=lambda child: child.name)
    return [child for child in children if child.is_init_module and child.exports]


def _contents(parts: list[str]) -> str:
    """Links to the headings of rooms and names, with the anchors that GitHub makes."""
    lines: list[str] = []
    used: Counter[str] = Counter()
    for level, name in re.findall(r"^(#{2,4}) \[?`([^`]+)`", "\n".join(parts), flags=re.MULTILINE):
        anchor = re.sub(r"[^\w-]", "", name.lower())
        used[anchor] += 1
        link = f"[`{name}`](#{anchor}{f'-{used[anchor] - 1}' if used[anchor] > 1 else ''})"
        if level == "##":
            lines.append(f"- {link}:")
        elif level == "###":
            lines[-1] += f" {link}"
    return "\n".join(lines)


def _package(package: griffe.Module) -> list[str]:
    about = _prose(package.docstring.value) if package.docstring else ""
    names = [str(name) for name in package.exports or ()]
    return [f"## `{package.path}`", about, *(_entry(_exported(package, name)) for name in names)]


def _exported(package: griffe.Module, name: str) -> griffe.Object:
    item = package[name]
    item = item.final_target if isinstance(item, griffe.Alias) else item
    # A function that is called as its module is found as the module first.
    return item[name] if isinstance(item, griffe.Module) else item


def _entry(item: griffe.Object) -> str:
    """One exported name: a function, a class with its public methods, or a constant."""
    parts = [f"### [`{item.name}`]({_source(item)})", _code(_signature(item)), *_docstring(item)]
    if isinstance(item, griffe.Class):
        for member in item.members.values():
            hidden = member.name.startswith("_") and member.name != "__call__"
            if member.is_alias or hidden or not member.docstring:
                continue
            if isinstance(member, griffe.Function):
                name = f"[`{item.name}.{member.name}`]({_source(member)})"
                parts += [f"#### {name}", _code(_signature(member)), *_docstring(member)]
            elif member.has_labels("property"):
                parts.append(f"`{member.name}`: {_prose(member.docstring.value)}")
    return "\n\n".join(part for part in parts if part)


def _source(item: griffe.Object) -> str:
    path = Path(str(item.filepath)).resolve().relative_to(ROOT)
    return f"../{path}"  # without the line, which every edit above it would move


def _signature(item: griffe.Object) -> str:
    if isinstance(item, griffe.Attribute):
        return f"{item.name} = {item.value}"
    if isinstance(item, griffe.Class) and "__init__" not in item.members:
        return _fields(item)
    function: griffe.Function = item["__init__"] if isinstance(item, griffe.Class) else item  # type: ignore[assignment]
    parameters = [_parameter(p) for p in function.parameters if p.name not in ("self", "cls")]
    star = next((i for i, p in enumerate(function.parameters) if p.kind is griffe.ParameterKind.keyword_only), None)
    if star is not None and not any(p.kind is griffe.ParameterKind.var_positional for p in function.parameters):
        parameters.insert(star - len(function.parameters) + len(parameters), "*")
    returns = f" -> {item.returns}" if isinstance(item, griffe.Function) and item.returns is not None else ""
    return _call(item.name, parameters, returns)


def _fields(item: griffe.Class) -> str:
    """A class by its annotated fields, a line each with what its comment says, or by its name if it has none."""
    bases = [str(base) for base in item.bases]
    made_of_fields = item.has_labels("dataclass") or any(base.endswith(("NamedTuple", "Config")) for base in bases)
    fields = [
        attribute
        for attribute in item.attributes.values()
        if made_of_fields
        and not attribute.name.startswith("_")
        and attribute.annotation is not None
        and "ClassVar" not in str(attribute.annotation)
        and not attribute.has_labels("property")
    ]
    if not fields:
        return f"class {item.name}"
    lines = []
    for field in fields:
        comment = re.search(r"  # (?!noqa|type:)(.*)$", field.lines[-1]) if field.lines else None
        default = f" = {field.value}" if field.value is not None else ""
        lines.append(f"{field.name}: {field.annotation}{default}" + (f"  # {comment[1]}" if comment else ""))
    if not any("  # " in line for line in lines):
        return _call(item.name, lines)
    listed = [re.sub(r"(  #|$)", r",\1", line, count=1) for line in lines]
    return f"{item.name}(\n" + "\n".join(f"    {line}" for line in listed) + "\n)"


def _parameter(parameter: griffe.Parameter) -> str:
    stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(parameter.kind, "")  # type: ignore[arg-type]
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not None:
        text += f": {str(parameter.annotation).strip(chr(34))}"
    if parameter.default is not None and not stars:
        text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
    return text


def _call(name: str, parameters: list[str], returns: str = "") -> str:
    line = f"{name}({', '.join(parameters)}){returns}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + f"){returns}"


def _code(text: str) -> str:
    return f"```python no-run\n{text}\n```"


def _docstring(item: griffe.Object) -> list[str]:
    """The parts of a docstring in the house's (Google's) style."""
    if item.docstring is None:
        return []
    parts = []
    for section in item.docstring.parse("google", returns_multiple_items=False, returns_named_value=False):
        kind = section.kind.value
        if kind == "text":
            parts.append(_prose(section.value))
        elif kind == "admonition":
            parts.append(_example(section.value.contents))
        elif kind == "examples":
            parts += [_example(text) for _, text in section.value]
        elif kind in ("returns", "yields"):
            parts += [f"**{kind.capitalize()}**\n\n{_prose(entry.description)}" for entry in section.value]
        else:
            title = {"parameters": "Args"}.get(kind, kind.capitalize())
            parts.append("\n".join([f"**{title}**", "", *map(_described, section.value)]))
    return parts


def _described(entry: Any) -> str:
    """An argument, an attribute or an error and what is said of it; "a, b: ..." speaks of two."""
    names = getattr(entry, "name", None) or str(entry.annotation)
    return f"- {', '.join(f'`{name.strip()}`' for name in names.split(','))}: {_one_line(entry.description)}"


def _one_line(text: str) -> str:
    return _escape(" ".join(text.split()))


def _prose(text: str) -> str:
    """Paragraphs as they are; what is indented, such as equations, stays code."""
    return "\n\n".join(
        part if part.startswith("    ") else _escape(textwrap.dedent(part)) for part in re.split(r"\n\s*\n", text)
    )


def _example(text: str) -> str:
    return text.strip().replace("```python\n", "```python no-run\n")


def _escape(text: str) -> str:
    """Stars and angle brackets outside of code are what they are."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"(?<!^)([*<])", r"\\\1", p) for p in pieces)


if __name__ == "__main__":
    PAGE.write_text(build_api(), encoding="utf-8")
