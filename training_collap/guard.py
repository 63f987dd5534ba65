"""A loss that is no number stops training and names the items it comes from."""

from collections.abc import Sequence

from torch import Tensor


def check_finite(loss: Tensor, scores: Tensor | None, ids: Sequence[str], step: int | None = None) -> None:
    """Lets a finite loss pass.

    Args:
        loss: a scalar.
        scores: (n, M), scores of this process's items with all texts; `None` where there are none.
        ids: (n) ids of these items.
        step: of the optimizer, for the message.

    Raises:
        FloatingPointError: if the loss is NaN or infinite; in every process that sees it, each naming its own items.
    """
    if loss.isfinite().all():
        return
    guilty = list(ids)
    if scores is not None and len(scores) == len(ids):
        finite = scores.detach().isfinite().flatten(1).all(1).tolist()  # (n,)
        guilty = [name for name, fine in zip(ids, finite, strict=True) if not fine]
    when = "" if step is None else f" at step {step}"
    if not guilty:
        what = f"no item of this process's batch has such a score; the batch is {', '.join(ids)}"
    elif len(guilty) < len(ids):
        what = f"it comes from {', '.join(guilty)}"
    else:
        what = f"every item of this process's batch has such scores, so rather weights than items: {', '.join(ids)}"
    raise FloatingPointError(f"the loss is {loss.detach().float().mean().item()}{when}: {what}.")
