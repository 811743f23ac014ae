"""The optimizer steps of an epoch: which examples each takes, in which micro-batch and which process.

A step takes the same examples whatever the micro-batch and however many processes share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fgvr_kit.training import processes

Collator = Callable[[Sequence[Any]], dict[str, Any]]
Place = tuple[int, int]
"""Epoch, and step in it."""


@dataclass(frozen=True, slots=True)
class Micro:
    """A micro-batch as the collator made it, on the CPU; None where this process has no sample left.

    n: its samples.  names: of its images, for messages.
    """

    batch: Any = None
    n: int = 0
    names: tuple[str, ...] = ()


class Steps(Dataset[list[Micro]]):
    """Step n of epoch e at [e, n]: this process's micro-batches, as many in every process."""

    def __init__(
        self, examples: Sequence[Any], collator: Collator, *, batch: int, micro_batch: int, seed: int
    ) -> None:
        """batch: samples an optimizer step, of all processes.  micro_batch: of one, in memory at once."""
        self.examples = examples
        self.collator = collator
        self.batch = batch
        self.micro_batch = micro_batch
        self.seed = seed

    def __len__(self) -> int:
        """Steps an epoch; the last one may be smaller."""
        return math.ceil(len(self.examples) / self.batch)

    def __getitem__(self, place: Place) -> list[Micro]:
        epoch, n = place
        order = torch.randperm(
            len(self.examples), generator=torch.Generator().manual_seed(self.seed + epoch)
        ).tolist()
        chosen = order[n * self.batch : (n + 1) * self.batch]
        n_rounds = math.ceil(len(chosen) / (self.micro_batch * processes.size()))
        mine = [_cut(round_, processes.size())[processes.rank()] for round_ in _cut(chosen, n_rounds)]
        return [self._micro([self.examples[i] for i in rows]) for rows in mine]

    def _micro(self, rows: list[Any]) -> Micro:
        if not rows:
            return Micro()
        images = [getattr(row, "image", None) for row in rows]
        names = tuple(str(getattr(image, "path", image)) for image in images if image is not None)
        return Micro(self.collator(rows)["batch"], len(rows), names)


def _cut(rows: Sequence[int], n: int) -> list[list[int]]:
    """n parts in order, of sizes that differ by one at most."""
    ends = [len(rows) * k // n for k in range(n + 1)]
    return [list(rows[start:end]) for start, end in pairwise(ends)]


class StepSampler(Sampler[list[Place]]):
    """The places of one epoch. epoch: asked when the epoch begins."""

    def __init__(self, n_steps: int, epoch: Callable[[], int]) -> None:
        self._n_steps = n_steps
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_steps

    def __iter__(self) -> Iterator[list[Place]]:
        epoch = self._epoch()
        return iter([[(epoch, n)] for n in range(self._n_steps)])


def load_steps(steps: Dataset[list[Micro]], n: int, epoch: Callable[[], int]) -> DataLoader[list[Micro]]:
    """The n steps of an epoch, one after the other. steps: at [epoch, n]."""
    return DataLoader(steps, batch_sampler=StepSampler(n, epoch), collate_fn=_only)


def _only(found: list[list[Micro]]) -> list[Micro]:
    return found[0]
