"""How an objective learns an optimizer step: all its micro-batches, in all processes, as if they were one batch.

Losses are sums divided by the counts of the whole step, so that a short micro-batch weighs what it holds (a mean
of means would not), in every family alike. The Trainer's own rules differ from family to family (gradients N
times too large under accumulation in some), and are not used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fgvr_kit.families.base import Vlm
from fgvr_kit.training import processes
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.losses import supervised_tokens


@dataclass(frozen=True, slots=True)
class Terms:
    """total: the scalar that is minimised.  parts: detached scalars by name, for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]


Objective = Callable[[Vlm, Any], Terms]
"""The terms of one batch. Those that are also a StepObjective learn a step as a whole."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How a trainer runs passes: autocast() around each forward one, backward(loss) once a micro-batch."""

    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    backward: Callable[[Tensor], None] = Tensor.backward


@dataclass(slots=True)
class Tally:
    """What this process contributed to the terms of a step; those of all processes add up to it.

    unsound: names of the images of micro-batches in which a number was not finite.
    """

    terms: defaultdict[str, Tensor] = field(default_factory=lambda: defaultdict(lambda: torch.zeros(())))
    unsound: list[tuple[Micro, Tensor]] = field(default_factory=list)

    def add(self, **terms: Tensor) -> None:
        for name, value in terms.items():
            self.terms[name] = self.terms[name].to(value.device) + value.detach()

    def check(self, micro: Micro, *numbers: Tensor) -> None:
        """Note whether all numbers of a micro-batch are finite; asked for only when the step's loss is not."""
        self.unsound.append((micro, ~torch.stack([n.detach().isfinite().all() for n in numbers]).all()))

    def suspects(self) -> list[str]:
        """Images of the micro-batches in which a number was not finite."""
        return [name for micro, is_unsound in self.unsound if bool(is_unsound) for name in micro.names]


class StepObjective:
    """An objective with a state of its own, and with a say in how a whole optimizer step is learned."""

    learning_rate: float = 0.0
    """Of the parameters in `trained`."""

    def __call__(self, vlm: Vlm, batch: Any) -> Terms:
        """The terms of one batch, with their graph."""
        raise NotImplementedError

    def learn(self, vlm: Vlm, rounds: Sequence[Micro], engine: Engine) -> Tally:
        """Call engine.backward on losses whose sum, over calls and processes, is the loss of the step.

        rounds: this process's micro-batches; as many in every process, some of them perhaps without samples.
        """
        raise NotImplementedError

    def trained(self) -> list[nn.Parameter]:
        """Parameters beside the model's, trained at their own learning rate and without weight decay."""
        return []

    def after_step(self) -> None:
        """Called when the optimizer has made a step."""

    def named(self) -> dict[str, Tensor]:
        """Scalars of the state, for the log."""
        return {}

    def to(self, device: torch.device) -> None:
        """Begin on a device, with the state that it was made with: called once a trainer."""

    def save(self, folder: Path) -> None:
        """Write the state beside an adapter."""

    def load(self, folder: Path) -> None:
        """Take over what save wrote. Raises ModelError when it is not there."""


class EachAlone(StepObjective):
    """A plain objective: each micro-batch by itself, weighed by its samples."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def __call__(self, vlm: Vlm, batch: Any) -> Terms:
        return self._objective(vlm, batch)

    def learn(self, vlm: Vlm, rounds: Sequence[Micro], engine: Engine) -> Tally:
        tally = Tally()
        n_samples = samples_of(rounds)
        for micro in rounds:
            if micro.batch is None:
                continue
            with engine.autocast():
                terms = self._objective(vlm, micro.batch.to(vlm.device))
            share = micro.n / n_samples
            engine.backward(terms.total * share)
            tally.add(**{n: part * share for n, part in terms.parts.items()}, total=terms.total * share)
            tally.check(micro, terms.total)
        return tally


def whole(objective: Objective) -> StepObjective:
    """The objective as one of steps."""
    return objective if isinstance(objective, StepObjective) else EachAlone(objective)


def samples_of(rounds: Sequence[Micro]) -> int:
    """Samples of a step, over all processes."""
    return sum(processes.everyone(sum(micro.n for micro in rounds)))


def tokens_of(rounds: Sequence[Micro]) -> int:
    """Supervised tokens of a step, over all processes. Raises ValueError when there are none."""
    mine = sum(supervised_tokens(micro.batch.labels) for micro in rounds if micro.batch is not None)
    n_tokens = sum(processes.everyone(mine))
    if n_tokens == 0:
        raise ValueError("no token of the step is supervised")
    return n_tokens
