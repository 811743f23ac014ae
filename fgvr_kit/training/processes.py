"""Several processes, as torchrun or accelerate start them: who writes, and how their parts become one step.

Each process holds a whole model and its share of the samples of a step. What they compute adds up: losses are
divided by the counts of the whole step, gradients are summed once a step. DistributedDataParallel is not used:
it averages (wrong for unequal shares), wants one forward through the model's own `forward` (ours drives the
parts), and sends gradients after every backward pass. Without torchrun everything here is about one process.
Importing this module imports no torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fgvr_kit.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

T = TypeVar("T")


def size() -> int:
    """How many processes train together: those that have met, or that the launcher says will."""
    group = _group()
    return int(group.get_world_size() if group else os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    group = _group()
    return int(group.get_rank() if group else os.environ.get("RANK", "0")) if size() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes: records, checkpoints, progress."""
    return rank() == 0


def _group() -> Any:
    """torch.distributed, once the processes have met."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist and dist.is_available() and dist.is_initialized() else None


def refuse_sharding() -> None:
    """Raise SettingsError where the launcher wants the model cut up between processes."""
    for name, variable in (("FSDP", "ACCELERATE_USE_FSDP"), ("DeepSpeed", "ACCELERATE_USE_DEEPSPEED")):
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise SettingsError(
                f"training does not work under {name}",
                code="sharded-training",
                why="its processes must make the same passes in step, and ours pack their own texts, so that "
                "their numbers of passes differ; and 4-bit weights cannot be cut",
                hint="start it with torchrun, or accelerate launch --multi_gpu: a whole model on each GPU; "
                'quantize = "nf4" makes it a quarter as large',
            )


def meet(*, cpu: bool) -> None:
    """Join the other processes. Does nothing when there are none, or when they are joined."""
    if size() > 1:
        from accelerate import PartialState  # type: ignore[import-untyped]

        PartialState(cpu=cpu)


def wait() -> None:
    """Until all processes are here."""
    if size() > 1:
        import torch.distributed as dist

        dist.barrier()


def everyone(value: T) -> list[T]:
    """What each process has, in their order. Plain data, or anything that pickles."""
    if size() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * size()
    dist.all_gather_object(found, value)
    return found


def total(values: Tensor) -> Tensor:
    """The sum over all processes, without gradients."""
    if size() == 1:
        return values.detach()
    import torch.distributed as dist

    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def join_rows(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes, one after the other, and where this one's begin; without gradients.

    rows: (n, D), n may differ between processes and may be 0. A loss over the joined rows, computed alike in
    every process, has with respect to them the gradient that is due: each process takes its own part of it.
    Nothing is gathered in the backward pass, where gradients are easily lost or doubled.
    """
    rows = rows.detach()
    if size() == 1:
        return rows, 0
    import torch
    import torch.distributed as dist

    shapes = everyone(tuple(rows.shape))
    tallest, widest = max(n for n, _ in shapes), max(d for _, d in shapes)
    padded = rows.new_zeros(tallest, widest)
    padded[: rows.shape[0], : rows.shape[1]] = rows
    parts = [torch.empty_like(padded) for _ in shapes]
    dist.all_gather(parts, padded)
    start = sum(n for n, _ in shapes[: rank()])
    return torch.cat([part[:n] for part, (n, _) in zip(parts, shapes, strict=True)]), start


def sum_gradients(parameters: Iterable[Parameter]) -> None:
    """Give every process the sum of all processes' gradients; in one message a dtype, not one a parameter.

    A parameter without a gradient in every process keeps none: a zero would still decay its weight.
    """
    if size() == 1:
        return
    import torch
    import torch.distributed as dist

    trained = list(parameters)
    has = total(torch.tensor([p.grad is not None for p in trained], device=trained[0].device).int())
    trained = [p for p, n in zip(trained, has.tolist(), strict=True) if n]
    for dtype in sorted({p.dtype for p in trained}, key=str):
        alike = [p for p in trained if p.dtype == dtype]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in alike])
        dist.all_reduce(flat)
        for p, part in zip(alike, flat.split([p.numel() for p in alike]), strict=True):
            p.grad = part.view_as(p).clone()


def copy_first(parameters: Iterable[Parameter]) -> None:
    """Give every process the values of the first."""
    if size() == 1:
        return
    import torch.distributed as dist

    for p in parameters:
        dist.broadcast(p.data, src=0)
