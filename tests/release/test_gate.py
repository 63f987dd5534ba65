"""The sanity gate: lets the embedded model through, and refuses whatever a stranger would find broken."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from modeling_collap import CollapModel
from release_collap import gate, probes
from release_collap.cards import render_model_card
from release_collap.errors import ReleaseError
from release_collap.gate import MAX_COSINE, MIN_SPREAD, check_model, mean_cosine, spreads
from release_collap.repositories import ROOT

CARD = "---\nlicense: apache-2.0\n---\n# A model\n"
Change = Callable[[dict[str, torch.Tensor]], None]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "collap-tiny"
    tiny.model().save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    return folder


def copy_of(folder: Path, target: Path, change: Change) -> Path:
    """The model with other weights."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(target / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    return target


def test_the_embedded_model_passes_far_from_the_limits() -> None:
    report = check_model(ROOT / "checkpoints" / "collap-mini")
    assert report.passed, report.problems
    assert set(report.cosines) == {"texts", "passages", "sounds"}
    assert max(report.cosines.values()) < 0.9
    assert min(report.spreads.values()) > 20 * MIN_SPREAD


@pytest.mark.usefixtures("short_sounds")
def test_random_weights_pass(healthy: Path) -> None:
    """They tell inputs apart; that they know nothing of music is for the figures of a card to say."""
    report = check_model(healthy)
    assert report.passed, report.problems
    assert "passages" not in report.cosines


def one_text(weights: dict[str, torch.Tensor]) -> None:
    """Every text gets nearly the same vector, as of a tower whose projection has died."""
    weights["text_projection.weight"] *= 1e-3
    weights["text_projection.bias"] += 1


def one_sound(weights: dict[str, torch.Tensor]) -> None:
    weights["audio_encoder.adapter.weight"] *= 1e-3
    weights["audio_encoder.adapter.bias"] += 1


@pytest.mark.usefixtures("short_sounds")
@pytest.mark.parametrize(("change", "what"), [(one_text, "texts"), (one_sound, "sounds")])
def test_collapsed_embeddings(change: Change, what: str, healthy: Path, tmp_path: Path) -> None:
    report = check_model(copy_of(healthy, tmp_path / "collapsed", change))
    assert report.cosines[what] > 0.9999
    assert [problem for problem in report.problems if "collapsed" in problem] == [
        f"the embeddings of {what} have collapsed: different ones have a mean cosine of 1.0000, and 0.99 is the most"
    ]
    assert report.spreads[what] < MIN_SPREAD  # then scores cannot tell them apart either
    assert any(f"its scores differ over {what} by 0.00" in problem for problem in report.problems)
    with pytest.raises(ReleaseError, match="collapsed is not fit to be published: the embeddings of"):
        report.require()


@pytest.mark.usefixtures("short_sounds")
def test_collapsed_passages(tmp_path: Path) -> None:
    """The structure term reads vectors of its own."""
    model = tiny.model(gamma_structure=1.0)
    with torch.no_grad():
        model.passage_projection.weight *= 1e-3
        model.passage_projection.bias += 1
    model.save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text(CARD)
    report = check_model(tmp_path)
    assert report.cosines["texts"] < MAX_COSINE < report.cosines["passages"]
    assert any("the embeddings of passages have collapsed" in problem for problem in report.problems)


@pytest.mark.usefixtures("short_sounds")
def test_scores_that_do_not_depend_on_what_is_compared(healthy: Path, tmp_path: Path) -> None:
    """Embeddings are fine, but the score weighs them with less than a float can hold."""
    model = CollapModel.from_pretrained(healthy)
    model.config.gamma_kernel = model.config.gamma_temporal = 1e-60
    folder = copy_of(healthy, tmp_path / "silent", lambda weights: None)
    model.config.save_pretrained(folder)
    report = check_model(folder)
    assert all(cosine < MAX_COSINE for cosine in report.cosines.values())
    assert [problem.split(" by ")[0] for problem in report.problems] == [
        f"its scores differ over {what}" for what in ("texts", "sounds", "pairs of both")
    ]


def test_spreads_of_scores_that_rank_alike() -> None:
    """A score that is one number of the track plus one of the text ranks all tracks alike for all texts."""
    added = torch.tensor([0.1, 0.5, 0.9])[:, None] + torch.tensor([0.2, 0.4])[None]
    assert spreads(added)["texts"] > 0.1
    assert spreads(added)["sounds"] > 0.1
    assert spreads(added)["pairs of both"] == pytest.approx(0, abs=1e-6)
    assert spreads(torch.eye(2))["pairs of both"] == pytest.approx(0.5 / 0.5**0.5)
    assert set(spreads(torch.zeros(3, 3)).values()) == {0.0}


def test_mean_cosine_counts_different_rows_only() -> None:
    assert mean_cosine(torch.eye(4)) == pytest.approx(0)
    assert mean_cosine(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0]])) == pytest.approx(1 / 3)


def not_finite(weights: dict[str, torch.Tensor]) -> None:
    weights["text_projection.weight"][3, 2] = float("nan")


def lacking(weights: dict[str, torch.Tensor]) -> None:
    del weights["text_projection.weight"]


def with_more(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"] = torch.zeros(2)
    weights["head.bias"] = torch.zeros(2)


def misshapen(weights: dict[str, torch.Tensor]) -> None:
    weights["text_projection.bias"] = torch.zeros(7)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (not_finite, "the weight text_projection.weight is not finite"),
        (lacking, "the weights lack text_projection.weight, which would be random"),
        (with_more, "the weights have head.bias, which the model does not (and 1 more)"),
    ],
)
def test_weights_that_are_not_the_models(change: Change, problem: str, healthy: Path, tmp_path: Path) -> None:
    report = check_model(copy_of(healthy, tmp_path / "broken", change))
    assert report.problems == (problem,)
    assert not report.passed


def test_weights_of_another_shape(healthy: Path, tmp_path: Path) -> None:
    (problem,) = check_model(copy_of(healthy, tmp_path / "broken", misshapen)).problems
    assert "text_projection.bias" in problem or "does not load" in problem


@pytest.mark.usefixtures("short_sounds")
def test_scores_that_are_not_finite(healthy: Path, tmp_path: Path) -> None:
    """Every weight is finite, and their product is not."""

    def overflowing(weights: dict[str, torch.Tensor]) -> None:
        weights["text_projection.weight"] *= 3e38

    report = check_model(copy_of(healthy, tmp_path / "loud", overflowing))
    assert "the embeddings of texts are not finite" in report.problems
    assert "its scores are not finite" in report.problems


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    card, loading = check_model(tmp_path).problems
    assert card == "it has no card (README.md)"
    assert loading.startswith("it does not load: ")


@pytest.mark.parametrize(
    ("card", "rehearsal", "problem"),
    [
        ("# A model\n", False, "its card names no licence"),
        ("---\nlicense: [\n---\n", False, "the metadata of its card cannot be read"),
        (CARD + "R@1: not measured yet<!-- unfilled: r1 -->", False, "its card has 1 unfilled figures: r1"),
        (CARD + "> **Random weights; a rehearsal.** No music.\n", False, "its card is that of a stand-in"),
        (CARD, True, "its card does not say that it is that of a rehearsal"),
    ],
    ids=["no licence", "no YAML", "unfilled", "stand-in", "no stand-in"],
)
def test_cards_that_are_not_finished(card: str, rehearsal: bool, problem: str, healthy: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card)
    found = list(gate.card_problems(tmp_path, rehearsal=rehearsal))
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize("name", ["collap-gpt2", "collap-roberta"])
def test_cards_of_models_that_are_not_trained_yet(name: str, tmp_path: Path) -> None:
    """Refused as they are; as stand-ins in a rehearsal they say so and pass."""
    (tmp_path / "README.md").write_text(render_model_card(name, org="org"))
    assert any("unfilled figures" in problem for problem in gate.card_problems(tmp_path))
    (tmp_path / "README.md").write_text(render_model_card(name, org="org", stand_in=True))
    assert not list(gate.card_problems(tmp_path, rehearsal=True))
    assert any("stand-in" in problem for problem in gate.card_problems(tmp_path))


def test_probes_differ_and_are_the_same_every_time() -> None:
    made = list(probes._made())
    again = list(probes._made())
    assert all((a == b).all() for a, b in zip(made, again, strict=True))
    for sound in probes.sounds():
        assert sound.dtype == "float32"
        assert 0.01 < abs(sound).max() <= 1
    assert len({sound.tobytes() for sound in probes.sounds()}) == 9
    assert len(set(probes.TEXTS)) == 8


@pytest.mark.usefixtures("short_sounds")
def test_figures_of_other_weights_are_refused(healthy: Path, tmp_path: Path) -> None:
    folder = copy_of(healthy, tmp_path / "model", lambda weights: None)
    (folder / "README.md").write_text(f"{CARD}SHA-256 of the weights: `{gate.weights_digest(folder)}`.\n")
    assert check_model(folder).passed
    (folder / "README.md").write_text(f"{CARD}SHA-256 of the weights: `{'0' * 64}`.\n")
    assert "those of other weights (000000000000" in check_model(folder).problems[0]
