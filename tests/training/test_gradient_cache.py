"""The gradient cache: same loss, same gradients, memory of a chunk."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gradients
import pytest
import tiny
import torch
from torch import Tensor

from training_collap.gradient_cache import cached_step
from training_collap.objectives import ObjectiveSection, build_objective
from training_collap.task import TrainingTask, as_tensors, split_inputs

OBJECTIVES = {
    "contrastive": {},
    "weighted": {"content_weighting": 0.05},
    "sigmoid": {"name": "sigmoid"},
    "slap": {"name": "slap"},
    "self-supervised": {"audio_self_supervision": 0.3},
    "structure": {"order_negatives": 2, "sections": 0.3, "global_vector": 0.2},
}


def make_task(backbone: str, objective: dict, dropout: float) -> TrainingTask:
    names = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
    if backbone == "roberta":
        names = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    model = tiny.model(
        backbone,
        text_config=tiny.text_config(backbone, **dict.fromkeys(names, dropout)),
        whisper_config=tiny.whisper_config(dropout=dropout),
        learn_attention_temperature=True,
        attention_temperature=4.0,
        gamma_structure=float("sections" in objective),
    )
    torch.manual_seed(5)
    return TrainingTask(model, build_objective(ObjectiveSection(**objective), model)).train()


def gradients_of(task: TrainingTask) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


def in_one_graph(task: TrainingTask, batch: dict[str, Tensor], chunk: int) -> Tensor:
    """The loss with every chunk's graph alive at once, its random numbers drawn in the order of the cache."""
    audio, text = split_inputs(batch)

    def encode(step: str, inputs: dict[str, Tensor], **common: Any) -> dict[str, Tensor]:
        starts = range(0, len(next(iter(inputs.values()))), chunk)
        parts = [task(step=step, **common, **{k: v[i : i + chunk] for k, v in inputs.items()}) for i in starts]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    texts = encode("texts", text)
    return task(step="objective", texts=texts, tracks=encode("tracks", audio, texts=texts))


@pytest.mark.parametrize(
    ("backbone", "chunk", "objective"),
    [*(("gpt2", 2, objective) for objective in OBJECTIVES), ("roberta", 1, "contrastive"), ("gpt2", 8, "contrastive")],
)
def test_cached_equals_uncached_with_dropout(backbone: str, chunk: int, objective: str) -> None:
    """Five pairs: the last chunk of two is short, and a chunk of eight is the whole batch."""
    task = make_task(backbone, OBJECTIVES[objective], dropout=0.2)
    batch = as_tensors(tiny.batch(backbone, seconds=(2.6, 1.0, 0.4, 3.1, 1.7)))
    batch["passage_spans"] = torch.rand(5, batch["passage_places"].shape[1], 2).sort(-1).values
    torch.manual_seed(11)
    loss = in_one_graph(task, batch, chunk)
    loss.backward()
    expected, expected_random = gradients_of(task), torch.rand(3)
    task.zero_grad()
    torch.manual_seed(11)
    outputs = cached_step(task, batch, chunk, autocast=nullcontext, no_sync=nullcontext)
    torch.testing.assert_close(outputs.loss, loss.detach(), atol=1e-5, rtol=1e-5)
    got = gradients_of(task)
    assert set(got) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            got[name], gradient, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert torch.equal(torch.rand(3), expected_random), "the random numbers that follow are the same"


def test_dropout_is_replayed() -> None:
    """Without the random state of the first pass the gradients would belong to other embeddings."""
    task = make_task("gpt2", {}, dropout=0.5)
    batch = as_tensors(tiny.batch("gpt2", seconds=(1.0, 1.0)))
    torch.manual_seed(0)
    cached_step(task, batch, 1, autocast=nullcontext, no_sync=nullcontext)
    first = gradients_of(task)
    task.zero_grad()
    torch.manual_seed(1)
    cached_step(task, batch, 1, autocast=nullcontext, no_sync=nullcontext)
    assert not torch.allclose(first["model.text_projection.weight"], gradients_of(task)["model.text_projection.weight"])


def test_in_the_trainer(tmp_path: Path) -> None:
    """One optimizer step over two accumulated batches, the gradients and the logged loss."""
    options = {"batch": 4, "songs": 8, "gradient_accumulation_steps": 2}
    expected, expected_loss, _ = gradients.first_step(tmp_path, **options)
    got, loss, _ = gradients.first_step(tmp_path, cached_batch_chunk=3, **options)
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    assert set(got) == set(expected)
    for name, gradient in expected.items():
        assert torch.allclose(got[name], gradient, atol=1e-5, rtol=1e-4), name


class _Graph:
    """Bytes that autograd keeps for the backward pass, at their peak."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def __enter__(self) -> "_Graph":
        def pack(tensor: Tensor) -> "_Saved":
            return _Saved(self, tensor)

        self.hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor)
        self.hooks.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.hooks.__exit__(*exception)


class _Saved:
    def __init__(self, graph: _Graph, tensor: Tensor):
        self.graph, self.tensor = graph, tensor
        self.size = tensor.numel() * tensor.element_size()
        graph.now += self.size
        graph.peak = max(graph.peak, graph.now)

    def __del__(self) -> None:
        self.graph.now -= self.size


def test_memory_is_that_of_a_chunk() -> None:
    """What is kept for the backward pass of 64 pairs in chunks of 4, against a plain batch of 4."""
    peaks = {}
    for pairs, chunk in ((4, 4), (64, 4), (64, 64)):
        task = make_task("gpt2", {}, dropout=0.0)
        batch = as_tensors(tiny.batch("gpt2", seconds=(2.0,) * pairs))
        with _Graph() as graph:
            if pairs == chunk:
                task(**batch).loss.backward()
            else:
                cached_step(task, batch, chunk, autocast=nullcontext, no_sync=nullcontext)
        peaks[pairs, chunk] = graph.peak
    assert peaks[64, 4] < 1.3 * peaks[4, 4]
    assert peaks[64, 64] > 8 * peaks[4, 4], "the plain batch of 64 needs far more"
