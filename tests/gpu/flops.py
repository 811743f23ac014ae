"""How many multiplications and additions the mathematics of a training step asks for.

Counted while a pass runs, at each layer, by what it is given:
    linear layer or convolution    2 * rows * in * out, forward
                                   as much again for the gradient of its input, if that has one
                                   as much again for the gradient of its weights, if they are trained
    attention                      2 * heads * queries * keys * (width of keys + width of values), forward; half
                                   of it when causal; twice as much again backward, if anything has a gradient
So frozen weights cost 4 and not 6 operations a weight and token, the frozen vision tower 2, and what is computed
twice on purpose (checkpointing, gradient caching) counts once. Norms, activations and rotations count nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass(slots=True)
class Count:
    """Operations of forward and backward together. layers: linear ones and convolutions."""

    layers: float = 0.0
    attention: float = 0.0

    @property
    def total(self) -> float:
        return self.layers + self.attention


@contextmanager
def counted(model: nn.Module) -> Iterator[Count]:
    """Within: forward passes of the model are counted, with what their backward passes will take."""
    count = Count()

    def look(layer: Any, given: tuple[Tensor, ...], found: Tensor) -> None:
        weight, times = layer.weight, 1
        width = layer.in_features if isinstance(layer, nn.Linear) else weight[0].numel()
        if torch.is_grad_enabled():
            times += int(given[0].requires_grad) + int(weight.requires_grad)
        count.layers += 2.0 * found.numel() * width * times

    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]  # 4-bit ones are Linear
    hooks = [layer.register_forward_hook(look) for layer in layers]
    try:
        with _Attention(count):
            yield count
    finally:
        for hook in hooks:
            hook.remove()


class _Attention(TorchFunctionMode):
    def __init__(self, count: Count) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        found = func(*args, **options)
        if func is F.scaled_dot_product_attention:
            named = dict(
                zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False)
            )
            given = named | options
            query, key, value = given["query"], given["key"], given["value"]
            rows = query.numel() // query.shape[-1]  # of all samples and heads
            n = 2.0 * rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])
            n /= 2 if given.get("is_causal") else 1
            self._count.attention += n * (3 if found.requires_grad else 1)
        return found
