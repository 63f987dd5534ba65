"""Objectives against their formulas written out in loops, and what each of them learns."""

import math

import pytest
import tiny
import torch
from torch import Tensor

from modeling_collap import mean_steps
from training_collap.objectives import ObjectiveSection, build_objective
from training_collap.objectives.audio_self_supervision import distorted_view, simclr_loss
from training_collap.objectives.contrastive import content_weights
from training_collap.task import TrainingTask, as_tensors

PAIRS, SIZE = 5, 24


@pytest.fixture
def embeddings() -> dict[str, Tensor]:
    torch.manual_seed(0)
    vectors = {name: torch.randn(PAIRS, SIZE) for name in ("audio_embeds", "text_embeds", "view_embeds")}
    return {"scores": torch.randn(PAIRS, PAIRS) / 3, **vectors}


def objective_and_model(**section: object) -> tuple:
    model = tiny.model()
    torch.manual_seed(3)
    return build_objective(ObjectiveSection(**section), model), model  # type: ignore[arg-type]


def test_contrastive_is_the_papers_loss(embeddings: dict[str, Tensor]) -> None:
    objective, model = objective_and_model()
    logits = (embeddings["scores"] * model.logit_factor.detach()).double()
    expected = 0.0
    for i in range(PAIRS):
        expected += (torch.logsumexp(logits[i], 0) + torch.logsumexp(logits[:, i], 0)).item() / 2 - logits[i, i].item()
    assert objective(model, embeddings).item() == pytest.approx(expected / PAIRS, abs=1e-5)


def test_content_weights(embeddings: dict[str, Tensor]) -> None:
    """exp(share of a text's similarity in that of all / kappa), against loops."""
    texts, kappa = embeddings["text_embeds"], 0.1
    common = []
    for i in range(PAIRS):
        others = [j for j in range(PAIRS) if j != i]
        common.append(sum((1 + torch.cosine_similarity(texts[i], texts[j], dim=0).item()) / 2 for j in others))
    expected = [math.exp((value - max(common)) / sum(common) / kappa) for value in common]
    weights = content_weights(texts, kappa)
    assert weights.tolist() == pytest.approx(expected, abs=1e-5)
    assert weights.max() / weights.min() > 1.01

    objective, model = objective_and_model(content_weighting=kappa)
    plain, _ = objective_and_model()
    losses = []
    for i in range(PAIRS):
        others = torch.arange(PAIRS).roll(-i)  # pair i comes first
        logits = (embeddings["scores"] * model.logit_factor.detach())[others][:, others]
        losses.append(
            (torch.logsumexp(logits[0], 0) + torch.logsumexp(logits[:, 0], 0)).item() / 2 - logits[0, 0].item()
        )
    weighted = sum(w * loss for w, loss in zip(expected, losses, strict=True)) / sum(expected)
    assert objective(model, embeddings).item() == pytest.approx(weighted, abs=1e-4)
    assert plain(model, embeddings).item() != pytest.approx(weighted, abs=1e-3)


def test_content_weighting_follows_the_common_text() -> None:
    """The loss of a pair whose text is like all the others counts more than that of an odd one."""
    objective, model = objective_and_model(content_weighting=0.05)
    texts = torch.eye(SIZE)[:PAIRS].clone()
    texts[:4] += 2.0  # four texts much alike, and the last one unlike them
    texts[4] = -1.0
    hard_common, hard_odd = torch.eye(PAIRS), torch.eye(PAIRS)
    hard_common[0, 0] = hard_odd[4, 4] = -1.0
    losses = [objective(model, {"scores": s, "text_embeds": texts}).item() for s in (hard_common, hard_odd)]
    assert losses[0] > losses[1]


def test_sigmoid(embeddings: dict[str, Tensor]) -> None:
    objective, model = objective_and_model(name="sigmoid")
    scale = model.logit_factor.item()
    expected = 0.0
    for i in range(PAIRS):
        for j in range(PAIRS):
            logit = embeddings["scores"][i, j].item() * scale - 10
            expected += math.log(1 + math.exp(-logit if i == j else logit))
    assert objective(model, embeddings).item() == pytest.approx(expected / PAIRS, abs=1e-4)
    objective(model, embeddings).backward()
    assert objective.bias.grad < 0, "too few pairs are believed to match"


def test_simclr(embeddings: dict[str, Tensor]) -> None:
    views = torch.cat([embeddings["audio_embeds"], embeddings["view_embeds"]]).double()
    expected = 0.0
    for i in range(2 * PAIRS):
        cosines = [torch.cosine_similarity(views[i], views[j], dim=0).item() / 0.5 for j in range(2 * PAIRS)]
        others = sum(math.exp(c) for j, c in enumerate(cosines) if j != i)
        expected += math.log(others) - cosines[(i + PAIRS) % (2 * PAIRS)]
    assert simclr_loss(views, temperature=0.5).item() == pytest.approx(expected / (2 * PAIRS), abs=1e-5)
    assert simclr_loss(torch.cat([embeddings["audio_embeds"]] * 2)) < simclr_loss(views)


def test_global_vector(embeddings: dict[str, Tensor]) -> None:
    objective, model = objective_and_model(global_vector=0.25)
    plain, _ = objective_and_model()
    audio, text = embeddings["audio_embeds"], embeddings["text_embeds"]
    logits = torch.stack([torch.cosine_similarity(audio[i], text, dim=-1) for i in range(PAIRS)]) / 0.07
    expected = 0.0
    for i in range(PAIRS):
        both = torch.logsumexp(logits[i], 0) + torch.logsumexp(logits[:, i], 0)
        expected += (both / 2 - logits[i, i]).item() / PAIRS
    total = 0.75 * plain(model, embeddings).item() + 0.25 * expected
    assert objective(model, embeddings).item() == pytest.approx(total, abs=1e-4)


def test_distorted_view_keeps_shapes_lengths_and_most_of_the_sound() -> None:
    batch = as_tensors(tiny.batch(seconds=(2.0, 1.0)))
    audio = {name: value for name, value in batch.items() if name not in ("input_ids", "attention_mask")}
    torch.manual_seed(0)
    view = distorted_view(audio)
    assert {name: value.shape for name, value in view.items()} == {name: value.shape for name, value in audio.items()}
    for name in ("input_features", "fbank"):
        changed = view[name][0, 0] - audio[name][0, 0]
        gain = changed.median()
        assert gain != 0
        assert 0.3 < (changed - gain).abs().lt(1e-4).float().mean() < 1.0, "outside of the masks only the gain changes"
        assert torch.equal(view[f"{name}_lengths"], audio[f"{name}_lengths"])
    with pytest.raises(ValueError, match="encoder store"):
        distorted_view({"lengths": torch.ones(2)})


def test_slap_has_no_negatives() -> None:
    """The loss of a pair does not depend on the rest of the batch, and falls to 0 where all agree."""
    objective, model = objective_and_model(name="slap")
    torch.manual_seed(1)
    names = ("audio_embeds", "text_embeds", "audio_targets", "text_targets")
    rows = {name: torch.randn(3, SIZE) for name in names}
    alone = [objective(model, {name: value[i : i + 1] for name, value in rows.items()}) for i in range(3)]
    assert objective(model, rows).item() == pytest.approx(sum(alone).item() / 3, abs=1e-6)
    with torch.no_grad():
        reached = objective.audio_predictor(rows["audio_embeds"])
        both = {**rows, "audio_targets": reached, "text_targets": reached}
        both["text_embeds"] = rows["audio_embeds"]
        objective.text_predictor.load_state_dict(objective.audio_predictor.state_dict())
        assert objective(model, both).item() == pytest.approx(0.0, abs=1e-6)


def test_slap_target_follows_slowly() -> None:
    objective, model = objective_and_model(name="slap", target_momentum=0.75)
    before = objective.target.text_projection.weight.clone()
    with torch.no_grad():
        model.text_projection.weight.add_(1.0)
    objective.after_step(model)
    assert torch.allclose(objective.target.text_projection.weight - before, torch.full_like(before, 0.25), atol=1e-6)
    task = TrainingTask(model, objective).train()
    assert not objective.target.training
    assert task.model.training
    assert not any(p.requires_grad for p in objective.target.parameters())


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"content_weighting": 0.05},
        {"name": "sigmoid"},
        {"name": "slap"},
        {"audio_self_supervision": 0.3},
        {"global_vector": 0.5},
    ],
)
def test_every_objective_learns_a_batch(section: dict) -> None:
    """Some steps on four pairs: the loss falls, and with softmax over the batch, texts are told apart."""
    model = tiny.model(logit_scale_init=2.3)
    torch.manual_seed(2)
    task = TrainingTask(model, build_objective(ObjectiveSection(**section), model)).train()
    batch = as_tensors(tiny.batch(seconds=(1.0, 1.0, 1.0, 1.0)))
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = task(**batch).loss
        loss.backward()
        optimizer.step()
        task.objective.after_step(model)
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    if "name" not in section:  # those that compare a track with all texts at once; 25 steps are too few for the others
        scores = task.eval()(**batch).scores
        own = scores.diagonal().mean()
        others = (scores.sum() - scores.diagonal().sum()) / (scores.numel() - len(scores))
        assert own > others + 0.1


def test_mean_steps_ignores_padding() -> None:
    features = torch.randn(2, 6, 4)
    lengths = torch.tensor([6, 2])
    means = mean_steps(features, lengths)
    units = torch.nn.functional.normalize(features, dim=-1)
    assert torch.allclose(means[0], units[0].mean(0), atol=1e-6)
    assert torch.allclose(means[1], units[1, :2].mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "triplet"}, "one of contrastive, sigmoid, slap"),
        ({"name": "sigmoid", "content_weighting": 0.1}, "belongs to the contrastive loss"),
        ({"content_weighting": 0.0}, "above 0"),
        ({"audio_self_supervision": 1.5}, "between 0 and 1"),
        ({"global_vector": -0.5}, "above 0 and at most 1"),
        ({"name": "slap", "target_momentum": 2.0}, "between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense(section: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_objective(ObjectiveSection(**section), tiny.model())
