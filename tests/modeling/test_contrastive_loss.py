import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_collap.contrastive_loss import contrastive_loss


@pytest.mark.parametrize("reading", ["literal", "averaged"])
def test_losses_equal_the_oracle(oracles: Path, reading: str) -> None:
    facts = json.loads((oracles / "collap_oracle.json").read_text())
    tensors = load_file(oracles / "collap_oracle.safetensors")
    compared = 0
    for case, numbers in facts.items():
        key = f"cosine.{reading}"
        if f"{key}.loss_eq8" not in numbers:
            continue  # a rectangular batch has no loss
        scores = tensors[f"{case}.{key}.r"]
        eq8 = contrastive_loss(scores, symmetric=False, reduction="sum")
        assert eq8.item() == pytest.approx(numbers[f"{key}.loss_eq8"], abs=1e-9)
        assert contrastive_loss(scores).item() == pytest.approx(numbers[f"{key}.loss_symmetric"], abs=1e-9)
        scaled = contrastive_loss(10 * scores)
        assert scaled.item() == pytest.approx(numbers[f"{key}.loss_symmetric_scale10"], abs=1e-9)
        compared += 1
    assert compared >= 10


def test_reductions_agree() -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    for symmetric in (True, False):
        each = contrastive_loss(logits, symmetric, "none")
        assert each.shape == (5,)
        assert contrastive_loss(logits, symmetric, "mean").item() == pytest.approx(each.mean().item())
        assert contrastive_loss(logits, symmetric, "sum").item() == pytest.approx(each.sum().item())


def test_directions() -> None:
    logits = torch.tensor([[3.0, 0.0], [3.0, 0.0]])  # every track prefers text 0; no text prefers a track
    rows = contrastive_loss(logits, symmetric=False)
    columns = contrastive_loss(logits.T, symmetric=False)
    assert columns.item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    assert rows.item() > columns.item()
    assert contrastive_loss(logits).item() == pytest.approx((rows + columns).item() / 2)


def test_low_precision_is_computed_in_float32() -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert contrastive_loss(logits).dtype == torch.float32
    assert torch.equal(contrastive_loss(logits), contrastive_loss(logits.float()))


@pytest.mark.parametrize("shape", [(3, 4), (4,), (0, 0)])
def test_only_square_logits(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="logits must be square"):
        contrastive_loss(torch.zeros(shape))


def test_unknown_reduction() -> None:
    with pytest.raises(ValueError, match="reduction must be"):
        contrastive_loss(torch.zeros(2, 2), reduction="average")  # type: ignore[arg-type]
