"""A section of the report for each kind of result; what was not measured has none."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..probes.truncation import SATURATED
from ..records import Record
from ..results import DIRECTIONS, Figure
from . import plots
from .collect import Chapter
from .document import Block, Plot, Section, Table

_METRICS = ("R@1", "R@5", "R@20", "R@100", "mAP@10", "MRR", "median_rank")
_PAIR = ("R@1", "R@5")
CHANCE = "by chance"
# First cells of the rows that say what is earned without a model.
_BASELINES = ("chance", CHANCE, "without listening")


def sections(chapter: Chapter) -> Iterator[Section]:
    """All sections of a benchmark, in the order of the report."""
    for make in (retrieval, truncation, order, localisation, length, robustness, ablations, zero_shot):
        blocks = tuple(make(chapter))
        if blocks:
            yield Section(_TITLES[make.__name__], blocks)


_TITLES = {
    "retrieval": "Retrieval",
    "truncation": "How many words of a caption are used",
    "order": "Whether the order of sections is noticed",
    "localisation": "Where in the track a section is found",
    "length": "Whether the score depends on length",
    "robustness": "Altered tracks",
    "ablations": "What each part of the score contributes",
    "zero_shot": "Zero-shot labels",
}


def retrieval(chapter: Chapter) -> Iterator[Block]:
    if not (found := chapter.retrieval):
        return
    about = found[0].result.benchmark
    yield (
        f"Every one of {about['texts']} texts is ranked among all {about['tracks']} tracks, and the reverse. "
        "Percent, with 95% bootstrap intervals over the queries; the median rank counts from 1, lower is better."
    )
    for way, words in DIRECTIONS.items():
        of_way = {each.model: each.result.metrics[way] for each in found}
        names = [name for name in _METRICS if any(name in metrics for metrics in of_way.values())]
        rows = [[model, *(_interval(metrics.get(name)) for name in names)] for model, metrics in of_way.items()]
        first = found[0].result.metrics[way]
        rows.append([CHANCE, *(f"{first[name].chance:.1f}" if name in first else None for name in names)])
        yield Table.of([words, *(name.replace("_", " ") for name in names)], rows, baselines=1)
        for model, metrics in of_way.items():
            lost = [name for name in names if name in metrics and not _above_chance(name, metrics[name])]
            if lost:
                yield f"{model} is not above chance in {_and(name.replace('_', ' ') for name in lost)}, {words}."
    ranks = {each.model: each.best_ranks for each in found if each.best_ranks is not None}
    if ranks:
        pools = {"text_to_audio": about["tracks"], "audio_to_text": about["texts"]}
        alt = "Share of queries whose right item is among the first k, by k, on a logarithmic axis"
        yield Plot("recall", alt, plots.recall_curves(ranks, pools))


def truncation(chapter: Chapter) -> Iterator[Block]:
    if not (records := chapter.of("truncation")):
        return
    yield (
        f"The same {_tracks(records)} tracks are searched with captions that are cut behind some words. "
        "Where the curve is flat, the words beyond are not used."
    )
    curves = {record.model: _curves(record.result["cuts"]) for record in records}
    alt = "Recall over the number of caption words that are kept"
    yield Plot("truncation", alt, plots.truncation_curves(curves, _tracks(records)))
    yield _beside(records, "cuts", "kept", "Caption cut to", extra=("mean words", "mean_words"))
    for record in records:
        yield _saturation(record)
        beyond = _whole(record)["beyond_limit"]
        if beyond:
            yield f"{record.model} does not read {beyond:.0f}% of the whole captions to their end."


def _saturation(record: Record) -> str:
    """From how many words on more of them make little difference to R@5."""
    chance = 100 * 5 / record.result["tracks"]
    words = []
    for way, name in DIRECTIONS.items():
        metric = f"{way}_R@5"
        needed = record.result["saturation_words"][metric]
        if _whole(record)["metrics"][metric] <= chance:
            words.append(f"is no better than chance even for whole captions ({name})")
        elif needed is None:
            words.append(f"falls short of its value for whole captions at every cut that was tried ({name})")
        else:
            close = f"{100 - 100 * SATURATED:.0f}% of its value for whole captions"
            words.append(f"is within {close} from {needed} words on ({name})")
    return f"{record.model}: R@5 {_and(words)}."


def _whole(record: Record) -> dict[str, Any]:
    """The entry of captions that are not cut."""
    return next(cut for cut in record.result["cuts"] if cut["kept"] == "all")


def order(chapter: Chapter) -> Iterator[Block]:
    if not (records := chapter.of("order")):
        return
    yield (
        "A true caption, or track, against the same with its sections in another order. Percent of pairs in which the "
        "truth scores higher, ties counted half. “First of ten”: the truth ranks first among ten orders, ties counted "
        "against it. “Blind”: the same captions against other tracks (or tracks against other captions), where nothing "
        "can be heard of the order; what lies above 50 there comes from the words or the seams alone. “Matched”: a "
        "permuted track and its own permuted caption belong together, and everything that a text or a track scores by "
        "itself cancels. It is the number to look at."
    )
    yield _stacked(records, named=True)
    for record in records:
        written, audio = record.result["captions"]["as written"], record.result["audio"]
        true, blind, tracks = written["against_random"], written["blind_random"], written["tracks"]
        if true is not None and blind is not None:
            heard = (
                "no more than chance"
                if _near(true, 50, tracks)
                else f"{true - blind:+.1f} points against the blind control"
            )
            yield (
                f"{record.model} prefers the true caption to a random order in {true:.1f}% of pairs "
                f"(against other tracks: {blind:.1f}%): {heard}."
            )
        if audio and (matched := audio["matched_random"]) is not None:
            near = _near(matched, 50, audio["tracks"])
            verdict = "does not tell the order of sections" if near or matched < 50 else "tells the order of sections"
            yield f"Matched, {record.model} {verdict}: {matched:.1f}% over {audio['tracks']} tracks, chance is 50%."


def localisation(chapter: Chapter) -> Iterator[Block]:
    if not (records := chapter.of("localisation")):
        return
    yield (
        f"The caption of every section is looked for in its whole track ({_tracks(records)} tracks). Pointing: the "
        "profile peaks inside the section. IoU: overlap of the section with the span that stands out most, at least "
        f"{records[0].result['min_span_seconds']:g} s long. Percent, means over tracks; chance is a peak anywhere, and "
        "the whole track as the span."
    )
    yield _stacked(records)
    for record in records:
        metrics, chance = record.result["metrics"], record.result["chance"]
        pointing, even = metrics["pointing"], chance["pointing"]
        if pointing <= even or _near(pointing, even, record.result["tracks"]):
            yield f"{record.model} points no better than chance."
        if metrics["mean_IoU"] <= chance["mean_IoU"]:
            yield f"The spans of {record.model} overlap the sections less than the whole track does."


def length(chapter: Chapter) -> Iterator[Block]:
    if not (records := chapter.of("length")):
        return
    yield (
        f"The first {records[0].result['seconds'][0]:g} s of {_tracks(records)} tracks, once and repeated, against "
        "what is said of them: the content stays, so a score that is even over length stays too. r is the correlation "
        "of score and length."
    )
    curves = {each["scorer"]: each for record in records for each in record.result["curves"]}
    if len({tuple(record.result["seconds"]) for record in records}) == 1:
        scores = {name: curve["scores"] for name, curve in curves.items()}
        alt = "Mean score over the length of the track"
        yield Plot("length", alt, plots.length_curves(records[0].result["seconds"], scores))
    yield _stacked(records)
    for name, curve in curves.items():
        if abs(curve["ratio"] - 1) > 0.1:
            yield f"{name} depends on length: the longest track scores {curve['ratio']:.2f} times the shortest."


def robustness(chapter: Chapter) -> Iterator[Block]:
    if not (records := chapter.of("robustness")):
        return
    yield f"Retrieval among {_tracks(records)} tracks, all altered in the same way; captions stay whole."
    yield _beside(records, "alterations", "alteration", "Tracks")


def ablations(chapter: Chapter) -> Iterator[Block]:
    for record in chapter.of("ablations"):
        trained = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in record.result["as_trained"].items()
            if name != "weights_sha256"
        )
        yield (
            f"{record.model} with one thing changed, {record.result['tracks']} tracks, nothing trained anew. "
            f"The checkpoint has {trained}. A silenced branch says what this checkpoint takes from it, not what a "
            "model that was trained without it would earn."
        )
        yield Table.from_markdown(record.table)


def zero_shot(chapter: Chapter) -> Iterator[Block]:
    names = sorted({record.about.probe for record in chapter.records if record.about.probe.startswith("zero-shot")})
    for name in names:
        records = chapter.of(name)
        result = records[0].result
        task = name.removeprefix("zero-shot").removeprefix("-") or ("tags" if result["multi_label"] else "classes")
        kind = "each track may have several labels" if result["multi_label"] else "each track has one label"
        prompts = ", ".join(f"“{prompt}”" for prompt in result["prompts"])
        yield f"{task.capitalize()}: {kind}. A label scores as the mean over its prompts: {prompts}. Percent."
        yield _stacked(records)
        areas = [record.result["labels"] for record in records]
        rows = [
            [label, figures["tracks"], *(of_model.get(label, {}).get("roc_auc") for of_model in areas)]
            for label, figures in areas[0].items()
        ]
        header = ["Label", "Tracks", *(record.model for record in records)]
        yield Table.of(header, rows, f"ROC-AUC by label, {task}", folded=True)


def _stacked(records: Sequence[Record], *, named: bool = False) -> Table:
    """The tables of the records in one, and what is earned without a model once, at its end.

    Args:
        named: put the model before the first cell of each row.
    """
    rows: list[tuple[str, ...]] = []
    baselines: dict[tuple[str, ...], None] = {}
    for record in records:
        table = Table.from_markdown(record.table)
        for first, *others in table.rows:
            if first in _BASELINES:
                baselines[first, *others] = None
            else:
                rows.append((f"{record.model}: {first}" if named else first, *others))
    return Table(table.header, (*rows, *baselines), baselines=len(baselines))


def _beside(
    records: Sequence[Record], field: str, name: str, heading: str, *, extra: tuple[str, str] | None = None
) -> Table:
    """A row for each entry of a field, and for each model two columns of R@1 / R@5, one a direction."""
    lines: dict[str, dict[str, Any]] = {}  # the models' entries by their name
    for record in records:
        for entry in record.result[field]:
            lines.setdefault(entry[name], {})[record.model] = entry
    header = [heading, *([extra[0]] if extra else [])]
    header += [f"{record.model}, {words}" for record in records for words in DIRECTIONS.values()]
    rows = []
    for key, entries in lines.items():
        row = [key, *([next(iter(entries.values()))[extra[1]]] if extra else [])]
        row += [_pair(entries.get(record.model), way) for record in records for way in DIRECTIONS]
        rows.append(row)
    return Table.of(header, rows, "R@1 / R@5, percent")


def _pair(entry: dict[str, Any] | None, way: str) -> str | None:
    return None if entry is None else " / ".join(f"{entry['metrics'][f'{way}_{name}']:.1f}" for name in _PAIR)


def _curves(cuts: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """By metric, (mean words, recall) of all cuts but the first sentence, which is not cut by words."""
    names = [f"{way}_{name}" for way in DIRECTIONS for name in _PAIR]
    counted = [cut for cut in cuts if cut["words"] is not None or cut["kept"] == "all"]
    return {name: [(cut["mean_words"], cut["metrics"][name]) for cut in counted] for name in names}


def _interval(figure: Figure | None) -> str | None:
    return None if figure is None else f"{figure.value:.1f} [{figure.low:.1f}, {figure.high:.1f}]"


def _above_chance(name: str, figure: Figure) -> bool:
    """Whether the whole interval lies on the good side of chance."""
    return figure.high < figure.chance if name == "median_rank" else figure.low > figure.chance


def _near(value: float, chance: float, count: int) -> bool:
    """Within two standard errors that as many yes-or-no answers of chance would have."""
    return abs(value - chance) <= 2 * math.sqrt(chance * (100 - chance) / count)


def _tracks(records: Sequence[Record]) -> int:
    return records[0].result["tracks"]


def _and(words: Any) -> str:
    *some, last = words
    return f"{', '.join(some)} and {last}" if some else last
