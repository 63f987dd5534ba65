"""The model with its layers compiled, against itself as it is."""

import copy

import pytest
import tiny
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from modeling_collap import CollapModel
from training_collap.compiling import compile_layers


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def step(model: CollapModel, seconds: tuple[float, ...]) -> tuple[Tensor, dict[str, Tensor | None]]:
    torch.manual_seed(1)
    model.zero_grad()
    output = model(**tiny.batch(seconds=seconds), return_loss=True)
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return output.logits_per_audio.detach(), copy.deepcopy(gradients)


@pytest.mark.slow
def test_compiled_layers_give_the_same_scores_and_gradients() -> None:
    """Dropout on; two batches of different sizes, whose lengths the graphs must take as free."""
    beats = tiny.beats_config(attention_dropout=0.2, hidden_dropout=0.2, layerdrop=0.3)
    plain = tiny.model(beats_config=beats).train()
    compiled = copy.deepcopy(plain)
    compile_layers(compiled, backend="aot_eager")
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for seconds in ((2.6, 0.4), (1.0, 0.7)):
        expected_logits, expected = step(plain, seconds)
        logits, gradients = step(compiled, seconds)
        torch.testing.assert_close(logits, expected_logits, atol=1e-4, rtol=0)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-4, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"], "a layer is one graph"
