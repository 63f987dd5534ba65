"""Figures of cards: read strictly, taken from results, and said to be missing where they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from release_collap import card_results
from release_collap.card_figures import CARDS, DatasetFacts, ModelFigures, Row, Table, read_figures
from release_collap.card_markdown import markdown_table, measured, tally, unfilled
from release_collap.card_metadata import eval_results


def mini() -> dict[str, Any]:
    return json.loads((CARDS / "collap-mini.json").read_text(encoding="utf-8"))


def table(rows: list[Row], **changes: Any) -> Table:
    fields = {
        "id": "order",
        "title": "Order",
        "protocol": "Counted.",
        "corner": "of",
        "columns": ("first", "second"),
        "rows": tuple(rows),
        "command": "measure",
        "data": "songs",
        "sha256": None,
        "seed": 0,
        "date": "2026-11-21",
        "machine": "2 CPUs",
        "revision": None,
        "result": None,
        "task": None,
    }
    return Table(**{**fields, **changes})


def change(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *path, last = key.split(".")
    place: Any = content
    for name in path:
        place = place[int(name) if name.isdigit() else name]
    place[int(last) if last.isdigit() else last] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("parametres", 3, "the key parametres is unknown"),
        ("training.hourz", 3, "the key training.hourz is unknown"),
        ("tables.0.rows.1.colour", "red", r"the key tables\[0\].rows\[1\].colour is unknown"),
        ("parameters", "many", "parameters must be int or null, not 'many'"),
        ("training.steps", 11.5, "training.steps must be int or null"),
        ("trained", 1, "trained must be bool"),
        ("tables", {}, "tables must be a list"),
        ("training", None, "training must be an object"),
        ("tables.0.rows.0.values", [1.0], "row 'text → audio' has 1 values for 5 columns"),
        ("tables.2.rows.0.intervals", [[1, 2]], "needs an interval for each value"),
        ("tables.2.rows.0.intervals.0", [1, 2, 3], "must have 2 entries, not 3"),
        ("tables.0.date", None, "'validation-pop909' has numbers, so its date must not be null"),
        ("tables.0.machine", None, "so its machine must not be null"),
    ],
)
def test_what_is_amiss_is_named(tmp_path: Path, key: str, value: Any, words: str) -> None:
    path = tmp_path / "collap-mini.json"
    path.write_text(json.dumps(change(mini(), key, value)))
    with pytest.raises(ValueError, match=words) as caught:
        read_figures(path, ModelFigures)
    assert str(path) in str(caught.value)


def test_missing_keys_and_files_are_named(tmp_path: Path) -> None:
    content = mini()
    del content["training"]["seed"]
    path = tmp_path / "collap-mini.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"collap-mini.json: the key training.seed is missing"):
        read_figures(path, ModelFigures)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"collap-mini\.json is no JSON"):
        read_figures(path, ModelFigures)
    path.write_text("[]")
    with pytest.raises(ValueError, match="the whole must be an object"):
        read_figures(path, ModelFigures)
    with pytest.raises(FileNotFoundError, match=r"collap-nano\.json"):
        read_figures(tmp_path / "collap-nano.json", ModelFigures)
    with pytest.raises(ValueError, match="is unknown"):
        read_figures(CARDS / "collap-mini.json", DatasetFacts)


def test_every_table_says_how_it_was_measured() -> None:
    for path in sorted(CARDS.glob("*.json")):
        kind = DatasetFacts if path.stem == "collap-audioset" else ModelFigures
        figures = read_figures(path, kind)
        assert len({each.id for each in figures.tables}) == len(figures.tables)
        for each in figures.tables:
            assert each.command
            assert each.protocol
            assert each.data
            if each.measured:
                assert each.date
                assert each.machine


def test_unknown_tables_and_cells_are_named() -> None:
    figures = read_figures(CARDS / "collap-mini.json", ModelFigures)
    with pytest.raises(KeyError, match="have no table 'taste'"):
        figures.table("taste")
    with pytest.raises(KeyError, match="has no 'R@7' of 'text → audio'"):
        figures.table("songbook").value("text → audio", "R@7")
    with pytest.raises(KeyError, match="no licence is noted for 'songs'"):
        figures.licence("songs")


def test_figures_in_words() -> None:
    assert measured(1884987, "parameters") == "1,884,987"
    assert measured(7.5, "training.hours", "hours") == "7.5 hours"
    absent = measured(None, "training.hours", "hours")
    assert absent.startswith("not measured yet")
    assert unfilled(f"{absent} and {measured(None, 'order.audio.Random')}") == ["training.hours", "order.audio.Random"]
    assert unfilled("all is measured") == []


def test_table_in_markdown() -> None:
    rows = [
        Row("a", (48.0, 1200), ((40.1, 55.9), (1.0, 2.0)), own=True),
        Row("b", (0.737, None), None, own=True),
        Row("chance", ("–", 64), None, own=False),
    ]
    text = markdown_table(table(rows))
    assert text.splitlines() == [
        "| of | first | second |",
        "| --- | ---: | ---: |",
        "| a | 48.000 [40.1, 55.9] | 1,200 |",
        "| b | 0.737 | not measured yet<!-- unfilled: order.b.second --> |",
        "| chance | – | 64 |",
    ]


def test_table_without_measurements_is_a_line() -> None:
    rows = [Row("a", (None, None), None, own=True), Row("chance", (1.0, 2.0), None, own=False)]
    text = markdown_table(table(rows, date=None, machine=None))
    assert text.startswith("Not measured yet: first, second of a")
    assert unfilled(text) == ["order.a"]


def test_tally_lists_the_first_and_counts_the_others() -> None:
    text = tally({f"label {i}": 30 - i for i in range(23)}, ["label"], 60)
    assert "| label 0 | 30 | 50.0% |" in text
    assert "| label 19 |" in text
    assert "| label 20 |" not in text
    assert text.endswith("| 3 others |  |  |")
    assert "| a | b | 2 | 100.0% |" in tally({("a", "b"): 2}, ["source", "model"], 2)


def test_only_own_numbers_go_into_the_index() -> None:
    figures = read_figures(CARDS / "collap-mini.json", ModelFigures)
    results = eval_results(figures.table("order"), "collap-mini")
    assert results == []  # no task of the Hub
    results = eval_results(figures.table("songbook"), "collap-mini")
    assert len(results) == 2 * len(figures.table("songbook").columns)
    assert results[0].metric_type == "r_at_1"
    assert results[0].dataset_args == {"rows_sha256": figures.table("songbook").sha256}


def write_record(folder: Path, name: str, model: str) -> None:
    """A probe's result as `collap evaluate` writes it."""
    about = {
        "probe": "order",
        "model": {"name": model, "fingerprint": "ab", "settings": {}},
        "benchmark": {"name": "songbook", "title": "songbook (test)", "rows": 7, "rows_sha256": "cd"},
        "protocol": {},
        "options": {"seed": 3},
    }
    rows = "| Permuted | Tracks | mean_IoU |\n| --- | ---: | ---: |\n| audio | 7 | 93.5 |\n| chance | - | 50.0 |"
    run = {"date": "2027-01-01", "command": "collap evaluate probes", "machine": "1 CPU", "versions": {"revision": "e"}}
    (folder / name).write_text(json.dumps({"about": about, "result": {}, "table": rows, "run": run}))


def test_results_are_taken_over(tmp_path: Path) -> None:
    results, folder = tmp_path / "results", tmp_path / "cards"
    results.mkdir()
    folder.mkdir()
    content = mini()
    content["tables"] = [each for each in content["tables"] if each["id"] in ("order", "demo")]
    content["tables"][0]["result"] = "order.json"
    path = folder / "collap-mini.json"
    path.write_text(json.dumps(content))
    before = read_figures(path, ModelFigures).table("demo")
    app = card_results.typer.Typer()
    app.command()(card_results.refresh)

    missing = CliRunner().invoke(app, [str(results), "--cards", str(folder)])
    assert missing.exit_code == 2
    assert json.loads(path.read_text()) == content

    write_record(results, "order.json", "collap-mini")
    done = CliRunner().invoke(app, [str(results), "--cards", str(folder)])
    assert done.exit_code == 0, done.output
    order = read_figures(path, ModelFigures).table("order")
    assert order.columns == ("Tracks", "mean IoU")
    assert order.rows == (Row("audio", (7, 93.5), None, own=True), Row("chance", ("–", 50.0), None, own=False))
    assert (order.seed, order.date, order.machine, order.sha256) == (3, "2027-01-01", "1 CPU", "cd")
    assert order.data == "songbook (test), 7 rows"
    assert order.protocol == content["tables"][0]["protocol"]
    assert read_figures(path, ModelFigures).table("demo") == before

    write_record(results, "order.json", "collap-nano")
    with pytest.raises(ValueError, match="was measured on 'collap-nano', not on 'collap-mini'"):
        card_results.measured_table(results / "order.json", "collap-mini")
    (results / "order.json").write_text("{}")
    with pytest.raises(ValueError, match="is no result"):
        card_results.measured_table(results / "order.json", "collap-mini")


def test_readable_json_is_json() -> None:
    content = mini()
    text = card_results.readable_json(content)
    assert json.loads(text) == content
    assert len(text.splitlines()) > 50
    assert card_results.readable_json([1, 2]) == "[1, 2]"
