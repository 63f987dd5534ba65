"""Rows of all processes in one tensor, with gradients."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor


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
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    pieces = differentiable.all_gather(rows.contiguous())
    for piece in pieces:
        # Over gloo the backward pass of all_gather writes a gradient of other strides (that of a transposed matrix, as
        # the symmetric loss gives) in the wrong order.
        if piece.requires_grad:
            piece.register_hook(torch.Tensor.contiguous)
    return torch.cat(pieces)
