"""The subcommands of `collap evaluate` as a user types them, with a tiny model and songs of a few seconds."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from fakes import FakeScorer
from pitched import songs
from tiny import model, processor, write_dataset
from typer.testing import CliRunner

from evaluation_collap.embeddings import EmbeddingCache
from evaluation_collap.probes import truncation
from evaluation_collap.records import Record, Recorder, describe_rows, file_stem
from retrieval_collap.cli import app


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "songs", validation=4)


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("COLLAP_CACHE", str(tmp_path / "cache"))

    def run(command: str, *arguments: str) -> Result:
        places = [] if command == "report" else ["--output", str(tmp_path / "results"), "--device", "cpu"]
        return CliRunner().invoke(app, ["evaluate", command, *arguments, *places])

    return run


def test_probes_are_written_once_and_printed_every_time(evaluate, saved: Path, dataset: Path, tmp_path: Path) -> None:
    arguments = ["--model", str(saved), "--benchmark", str(dataset), "--altered-tracks", "2"]
    first = evaluate("probes", *arguments)
    assert first.exit_code == 0, first.output
    for probe in ("truncation", "order", "localisation", "robustness"):
        assert f"{probe}: tiny on songs" in first.output
        content = json.loads((tmp_path / "results" / f"songs--tiny.{probe}.json").read_text())
        assert content["result"]["probe"] == content["about"]["probe"] == probe
        assert content["about"]["options"]["seed"] == 0
    assert content["result"]["tracks"] == 2  # robustness encodes its tracks anew
    assert "length is left out: the length probe needs a track of 60 s or more" in first.output

    files = sorted((tmp_path / "results").iterdir())
    before = [file.read_bytes() for file in files]
    second = evaluate("probes", *arguments)
    assert "truncation: tiny on songs" in second.output
    assert [file.read_bytes() for file in files] == before  # the wall time too: nothing was run
    evaluate("probes", *arguments, "--probe", "truncation", "--seed", "1", "--tracks", "3")
    changed = [file.name for file, content in zip(files, before, strict=True) if file.read_bytes() != content]
    assert changed == ["songs--tiny.truncation.json"]


def test_a_probe_that_is_named_must_apply(evaluate, saved: Path, dataset: Path, tmp_path: Path) -> None:
    result = evaluate("probes", "--model", str(saved), "--benchmark", str(dataset), "--probe", "length")
    assert result.exit_code == 2
    assert "the length probe needs a track of 60 s or more" in result.stderr
    assert not (tmp_path / "results").exists()


def test_ablations_on_a_checkpoint_and_on_a_baseline(evaluate, saved: Path, dataset: Path, tmp_path: Path) -> None:
    result = evaluate("ablate", "--model", str(saved), "--benchmark", str(dataset), "--tracks", "3")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "results" / "songs--tiny.ablations.json").read_text())
    assert {line["group"] for line in content["result"]["lines"]} > {"checkpoint", "kernel", "gammas", "branch"}
    assert "Whisper only" in result.output


def test_zero_shot_on_songs_with_labels(evaluate, saved: Path, tmp_path: Path) -> None:
    styles = ("A jazz style with a piano.", "A reggae style with a piano and a flute.")
    rows = songs().map(lambda row, index: {"global_caption": styles[index % 2]}, with_indices=True)
    (tmp_path / "labelled" / "data").mkdir(parents=True)
    rows.to_parquet(str(tmp_path / "labelled" / "data" / "validation-00000-of-00001.parquet"))
    arguments = ["--model", str(saved), "--benchmark", str(tmp_path / "labelled"), "--min-tracks", "1"]
    result = evaluate("zero-shot", *arguments)
    assert result.exit_code == 0, result.output
    genre, instruments = (
        json.loads((tmp_path / "results" / f"labelled--tiny.zero-shot-{task}.json").read_text())["result"]
        for task in ("genre", "instruments")
    )
    assert genre["labels"].keys() == {"jazz", "reggae"}
    assert (genre["tracks"], genre["multi_label"], instruments["multi_label"]) == (3, False, True)
    assert genre["labels"]["jazz"]["tracks"] == 2


def test_a_report_with_examples(evaluate, saved: Path, dataset: Path, tmp_path: Path) -> None:
    assert evaluate("--model", str(saved), "--benchmark", str(dataset), "--resamples", "20").exit_code == 0
    assert evaluate("probes", "--model", str(saved), "--benchmark", str(dataset), "--probe", "order").exit_code == 0
    pages = ["--html", str(tmp_path / "report.html"), "--markdown", str(tmp_path / "report.md")]
    results = ["--results", str(tmp_path / "results"), "--title", "Tiny songs"]
    result = evaluate("report", *results, *pages, "--dataset", str(dataset), "--model", str(saved))
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text()
    assert "<title>Tiny songs</title>" in page
    assert page.count("<audio") == page.count('class="timeline"') >= 1
    assert (tmp_path / "report" / "songs-recall.png").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["probes", "--probe", "rhythm"], "'rhythm' is no probe; there are truncation, order"),
        (["probes", "--benchmark", "songbok"], "unknown benchmark 'songbok'"),
        (["ablate", "--limit", "0"], "--limit must be at least 1"),
        (["zero-shot", "--benchmark", "gtzan:"], "name the folder of the data, as in gtzan:PATH"),
        (["zero-shot", "--benchmark", "gtzan:nowhere"], "there is no folder nowhere"),
        (["zero-shot", "--excerpts", "list.txt"], "--excerpts goes with gtzan:PATH, not with songbook"),
        (["report", "--results", "nowhere"], "name a page to write"),
        (["report", "--results", "nowhere", "--html", "page.html"], "there is no folder of results nowhere"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_refusals_are_one_sentence(evaluate, arguments: list[str], reason: str) -> None:
    result = evaluate(*arguments)
    assert result.exit_code == 2, result.output
    assert reason in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# --- records ----------------------------------------------------------------------------------------------------------


def recorder(folder: Path, scorer: FakeScorer | None = None, **options) -> Recorder:
    rows = options.pop("rows", songs())
    cache = EmbeddingCache(folder / "cache", scorer or FakeScorer(), progress=False)
    about = {"name": "tunes", "title": "Tunes", **describe_rows(rows)}
    return Recorder(cache, rows, about, folder / "results", **options)


def test_what_was_made_from_the_same_is_read_and_anything_else_is_run(tmp_path: Path) -> None:
    runs = []

    def work(*arguments, **options):
        runs.append(options)
        return truncation.run(*arguments, **options)

    def record(scorer: FakeScorer | None = None, seed: int = 0, **options) -> Record:
        return recorder(tmp_path, scorer, **options).record("truncation", work, seed=seed, words=(1, 2))

    first = record()
    assert record() == first
    assert len(runs) == 1
    record(again=True)
    assert len(runs) == 2
    record(seed=1)  # other options
    record(seed=1, scorer=FakeScorer(version="2"))  # other weights
    record(seed=1, scorer=FakeScorer(version="2"), rows=songs().select([0, 1]))  # other rows
    assert len(runs) == 5
    (tmp_path / "results" / "Tunes--fake.truncation.json").write_text('{"about": {}')  # cut short by another program
    assert record().result == first.result
    assert len(runs) == 6


def test_a_record_says_all_and_can_be_read_back(tmp_path: Path) -> None:
    record = recorder(tmp_path).record("truncation", truncation.run, seed=3, words=(1,))
    path = tmp_path / "results" / "Tunes--fake.truncation.json"
    assert Record.from_json(path.read_text()) == record
    assert record.about.options == {"seed": 3, "words": [1]}
    assert record.about.model["fingerprint"] == "fake-1"
    assert record.about.protocol["texts"] == "whole"
    assert record.run.keys() == {"date", "seconds", "command", "device", "machine", "versions"}
    assert "CPUs" in record.run["machine"]
    assert record.table.startswith("| Caption | Words |")


def test_the_digest_of_rows_sees_captions_and_audio() -> None:
    rows = songs()
    digests = [
        describe_rows(changed)["rows_sha256"]
        for changed in (
            rows,
            songs(),
            rows.map(lambda row: {"caption": row["caption"] + "!"}),
            rows.map(lambda row: {"audio": {"bytes": row["audio"]["bytes"] + b"0", "path": None}}),
            rows.select([1, 0, 2]),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_names_of_files() -> None:
    assert file_stem("songbook (validation)", "laion/clap, fused") == "songbook-validation--laion-clap-fused"
