"""Rows of all processes in one tensor, with gradients."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor

from modeling_collap.text_features import pad_passages


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenates the rows of every process, in the order of their ranks.

    Every process then computes the same loss over the whole batch. The gradient of a gathered row is summed over the
    processes, and DistributedDataParallel and FSDP take the mean of the parameters' gradients: the two cancel, and what
    is left is the gradient of the global loss, with no factor of the number of processes.

    Args:
        rows: (n, ...), the same shape in every process.

    Returns:
        (processes * n, ...); in a single process `rows` itself.
    """
    if not _several_processes():
        return rows
    pieces = differentiable.all_gather(rows.contiguous())
    for piece in pieces:
        # Over gloo the backward pass of all_gather writes a gradient of other strides (that of a transposed matrix, as
        # the symmetric loss gives) in the wrong order.
        if piece.requires_grad:
            piece.register_hook(torch.Tensor.contiguous)
    return torch.cat(pieces)


def gather_passages(rows: Tensor) -> Tensor:
    """`gather_rows` for rows (n, P, ...) of passages, of which another process may have more or fewer."""
    if not _several_processes():
        return rows
    most = torch.tensor(rows.shape[1], device=rows.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return gather_rows(pad_passages(rows, int(most)))


def own_rows(count: int, device: torch.device) -> Tensor:
    """The numbers that this process's `count` rows have once they are gathered."""
    rank = dist.get_rank() if _several_processes() else 0
    return torch.arange(rank * count, (rank + 1) * count, device=device)


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
