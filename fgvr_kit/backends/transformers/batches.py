"""Which requests are answered together: of like length, no more than fit, in halves when they do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from fgvr_kit.errors import BackendRefused

if TYPE_CHECKING:
    from fgvr_kit.families.sequences.reading import Reading

T = TypeVar("T")
R = TypeVar("R")


class Batches:
    """size: most rows.  most_tokens: of one batch, answers and padding with them; learned, None before."""

    def __init__(self, size: int, shown: str) -> None:
        self.size = size
        self.most_tokens: int | None = None
        self._shown = shown

    def of(self, readings: Mapping[int, Reading], limits: Mapping[int, int]) -> list[list[int]]:
        """Keys of readings, batch by batch: limits alike, questions about one image together, lengths alike."""
        rows_of: dict[int, list[int]] = defaultdict(list)
        for n, one in readings.items():
            rows_of[-1 - n if one.seen is None else id(one.seen)].append(n)
        place = {
            n: (max(len(readings[m].ids) for m in rows), rows[0]) for rows in rows_of.values() for n in rows
        }
        order = sorted(readings, key=lambda n: (limits[n], *place[n], len(readings[n].ids)))
        batches: list[list[int]] = []
        for n in order:
            if batches and self._fit([*batches[-1], n], readings, limits):
                batches[-1].append(n)
            else:
                batches.append([n])
        return batches

    def in_halves(self, work: Callable[[list[T]], list[R]], items: Sequence[T], tokens: int = 0) -> list[R]:
        """work(items), in halves when the GPU's memory does not suffice.

        tokens: of items together; what did not fit once is not tried again. Raises BackendRefused when a single
        item does not fit.
        """
        import torch

        try:
            done = work(list(items))
        except torch.OutOfMemoryError:
            if len(items) == 1:
                raise BackendRefused(
                    f"{self._shown}: a single request does not fit into the memory of the GPU",
                    code="backend-memory",
                    hint='[transformers] quantize = "nf4", a smaller max_pixels, or a smaller model',
                ) from None
        else:
            if self.most_tokens is not None:
                self.most_tokens = max(self.most_tokens, tokens)
            return done
        # Outside of the except clause: the exception holds on to every tensor of the attempt.
        torch.cuda.empty_cache()
        if tokens:
            self.most_tokens = 0  # raised by what fits now
        half = len(items) // 2
        begun = tokens * half // len(items)
        return [
            *self.in_halves(work, items[:half], begun),
            *self.in_halves(work, items[half:], tokens - begun),
        ]

    def tokens(self, batch: Sequence[int], readings: Mapping[int, Reading], limits: Mapping[int, int]) -> int:
        """Tokens of the padded batch with its answers at their longest."""
        return len(batch) * (max(len(readings[n].ids) for n in batch) + max(limits[n] for n in batch))

    def _fit(self, batch: list[int], readings: Mapping[int, Reading], limits: Mapping[int, int]) -> bool:
        if len(batch) > self.size:
            return False
        return self.most_tokens is None or self.tokens(batch, readings, limits) <= self.most_tokens
