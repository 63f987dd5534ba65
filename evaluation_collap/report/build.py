"""From results to a document: the benchmarks' sections, and how all of it was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .collect import Chapter
from .document import Block, Document, Examples, Listing, Part, Section, Table
from .sections import sections

# What makes peers' numbers hard to reproduce, and what is done here instead.
TRAPS = (
    ("Random crops", "a track is heard from its first second to its last; nothing is cropped at random."),
    ("The first 30 s for the whole", "a model that hears short windows hears all of them, and they are averaged."),
    ("Ties broken for the model", "an item that scores the same as the right one stands before it."),
    ("Unseeded subsets", "all rows are ranked, and where a probe draws tracks, the seed is in the table of runs."),
    ("Texts cut in silence", "the limit of the text encoder is in the protocol, and cut texts are counted."),
)


def build_report(title: str, chapters: Sequence[Chapter], examples: Mapping[str, Examples] | None = None) -> Document:
    """The report on some benchmarks.

    Args:
        chapters: see `collect`.
        examples: hits and misses by the title of their benchmark, see `draw_examples`.
    """
    parts = []
    for chapter in chapters:
        found = list(sections(chapter))
        if shown := (examples or {}).get(chapter.title):
            found.append(Section("Hits and misses", (shown,)))
        found.append(Section("Protocol", tuple(_protocol(chapter))))
        parts.append(Part(chapter.title, tuple(found)))
    lead = (f"{_models(chapters)} on {_listed(chapter.title for chapter in chapters)}.",)
    return Document(title, lead, tuple(parts), tuple(_notes(chapters)))


def _models(chapters: Sequence[Chapter]) -> str:
    return _listed(dict.fromkeys(model for chapter in chapters for model in chapter.models))


def _listed(words: Any) -> str:
    *some, last = (f"“{word}”" for word in words)
    return f"{', '.join(some)} and {last}" if some else last


def _protocol(chapter: Chapter) -> Iterator[Block]:
    """How tracks and texts were read: what holds for all models first, then what each does in its own way."""
    first = chapter.retrieval[0].result if chapter.retrieval else None
    about = first.benchmark if first else chapter.records[0].about.benchmark
    items = [("data", _data(about))]
    protocols: dict[str, dict[str, str]] = {}
    for retrieval in chapter.retrieval:
        protocols[retrieval.model] = retrieval.result.protocol
    for record in chapter.records:
        protocols[record.model] = {**record.about.protocol, **protocols.get(record.model, {})}
    common = set.intersection(*(set(protocol.items()) for protocol in protocols.values()))
    topics = dict.fromkeys(topic for protocol in protocols.values() for topic in protocol)
    items += [(topic, words) for topic in topics for shared, words in common if shared == topic]
    for model, protocol in protocols.items():
        items += [(f"{topic}, {model}", words) for topic, words in protocol.items() if (topic, words) not in common]
    for retrieval in chapter.retrieval:
        result = retrieval.result
        if cut := result.benchmark["texts_cut"]:
            items.append((f"texts cut, {retrieval.model}", f"{cut} of {result.benchmark['texts']}"))
        if result.broken:
            items.append((f"left out, {retrieval.model}", "; ".join(f"{k} ({v})" for k, v in result.broken.items())))
    yield Listing(tuple(items))


def _data(about: Mapping[str, Any]) -> str:
    limit = f"the first {about['rows']} rows" if about["limit"] else f"all {about['rows']} rows"
    return f"{limit} of {about['name']}, SHA-256 {about['rows_sha256'][:16]}"


def _notes(chapters: Sequence[Chapter]) -> Iterator[Section]:
    yield Section("Known traps, and what is done instead", (Listing(TRAPS),))
    rows: list[list[Any]] = []
    commands: dict[str, None] = {}
    places: dict[str, None] = {}
    for chapter in chapters:
        for retrieval in chapter.retrieval:
            run, model = retrieval.result.run, retrieval.result.model
            rows.append(_run(chapter, "retrieval", model, run["seed"], run))
            _remember(run, commands, places)
        for record in chapter.records:
            about = record.about
            rows.append(_run(chapter, about.probe, about.model, about.options.get("seed"), record.run))
            _remember(record.run, commands, places)
    header = ["What", "Benchmark", "Model", "Encodings", "Seed", "Seconds", "Date"]
    details = [*(("Measured on", place) for place in places), *(("Command", f"`{command}`") for command in commands)]
    table = Table.of(header, rows, "Runs. Seconds are small where encodings were on disk already.")
    yield Section("How this was made", (table, Listing(tuple(details))))


def _run(chapter: Chapter, what: str, model: Mapping[str, Any], seed: Any, run: Mapping[str, Any]) -> list[Any]:
    encodings, seconds = model["fingerprint"][:12], f"{run['seconds']:.0f}"
    return [what, chapter.title, model["name"], encodings, seed, seconds, run.get("date")]


def _remember(run: Mapping[str, Any], commands: dict[str, None], places: dict[str, None]) -> None:
    """The machine with its versions, and the command, as far as they were written down."""
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items() if value)
    places[", ".join(filter(None, (run.get("machine"), f"device {run['device']}", versions)))] = None
    if command := run.get("command"):
        commands[command] = None
