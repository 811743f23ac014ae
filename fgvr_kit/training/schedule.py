"""How a stage is optimised. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a stage is optimised. batch: samples an optimizer step, of all processes; micro_batch: samples in the
    memory of a process at once.

    warmup: share of the steps over which the learning rate rises; it then falls linearly to 0.
    save_steps: optimizer steps between checkpoints.
    """

    batch: int
    micro_batch: int
    epochs: float
    learning_rate: float
    warmup: float
    weight_decay: float
    seed: int
    save_steps: int
    gradient_checkpointing: bool

    def fitted(self, n_examples: int) -> Schedule:
        """The schedule with a batch no larger than the examples, and micro-batches of one size."""
        batch = min(self.batch, n_examples)
        n_micro = math.ceil(batch / self.micro_batch)
        return replace(self, batch=batch, micro_batch=math.ceil(batch / n_micro))

    @property
    def accumulation(self) -> int:
        """Micro-batches an optimizer step, of all processes."""
        return math.ceil(self.batch / self.micro_batch)

    def n_steps(self, n_examples: int) -> int:
        """Optimizer steps of the stage."""
        return math.ceil(self.epochs * math.ceil(n_examples / self.batch))
