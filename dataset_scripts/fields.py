"""Mappings held against what reads them: misspelt keys and values of the wrong type, found before anything starts."""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "fields of its own",
    types.NoneType: "null",
}
_LISTED = 12  # more known names than this are not listed


def known_fields(kind: Callable[..., Any]) -> dict[str, Any]:
    """Type hints by name of all that a class or function takes by keyword, with configurations' aliases and type."""
    # A class with an `__init__` of its own tells its options there; what its dataclass bases take comes beside them.
    taker: Any = kind.__init__ if isinstance(kind, type) else kind  # type: ignore[misc]
    named = {
        parameter.name
        for parameter in inspect.signature(taker).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    } - {"self", "cls"}
    hints = _hints(taker)
    if is_dataclass(kind):
        named |= {field.name for field in fields(kind) if field.init}
        hints = {field.name: field.type for field in fields(kind)} | _hints(kind) | hints
    known = {name: hints.get(name, Any) for name in sorted(named)}
    aliases: Mapping[str, str] = getattr(kind, "attribute_map", {})
    known |= {alias: known.get(name, Any) for alias, name in aliases.items()}
    return known | ({"model_type": str} if hasattr(kind, "model_type") else {})


def read_fields(values: Any, known: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """The values that fit, whole numbers made floats where only floats are taken; the others become `problems`.

    Args:
        values: what was read; a section without content (`None`) is an empty one.
        known: type hints by name, as `known_fields` returns them.
        where: path to the values, as in "model.config"; part of every problem.
        problems: one clause for each unknown key or unfit value is added here.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        problems.append(f"{where} must hold fields, not {values!r}")
        return {}
    fitting = {}
    for name, value in values.items():
        if value is None and get_origin(known.get(name)) is dict:
            continue  # a heading with nothing under it
        if name not in known:
            problems.append(f"{where}.{name} is unknown{suggestion(str(name), known)}")
        elif not _fits(value, known[name]):
            problems.append(f"{where}.{name} must be {_plain(known[name])}, not {value!r}")
        else:
            whole = isinstance(value, int) and not isinstance(value, bool)
            fitting[name] = float(value) if whole and not _fits_exactly(value, known[name]) else value
    return fitting


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest known name as the end of a sentence; all of them where none is near and they are few."""
    names = sorted(known)
    if near := get_close_matches(name, names, n=1) or [other for other in names if other.startswith(name)]:
        return f" (did you mean {near[0]!r}?)"
    return f" (known are {', '.join(names)})" if len(names) <= _LISTED else ""


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except NameError:  # names that exist for type checkers only: then any value may be right
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value read from YAML is what the hint asks for; floats may be whole, and enum members are names."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if origin is dict:
        return isinstance(value, Mapping)
    if origin in (list, tuple, set):
        return isinstance(value, list) and all(_fits(item, args[0]) for item in value)
    if not isinstance(hint, type) or hint is Any:
        return True
    if isinstance(value, bool):
        return hint in (bool, object)
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, str if issubclass(hint, Enum) else hint)


def _fits_exactly(value: int, hint: Any) -> bool:
    """Whether a whole number may stay one."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return any(option is not float and _fits(value, option) for option in options)


def _plain(hint: Any) -> str:
    """The hint in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # Types that YAML cannot write are no advice.
        words = dict.fromkeys(_plain(arg) for arg in args if get_origin(arg) or arg in _PLAIN_NAMES)
        return " or ".join(words) or str(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (list, tuple, set) and args and args[0] in _PLAIN_NAMES:
        return f"a list ({_PLAIN_NAMES[args[0]].removeprefix('a ')} each)"
    return _PLAIN_NAMES.get(origin or hint, getattr(hint, "__name__", str(hint)))
