"""From examples to tensors: collators open the images, encode the questions, and number the words.

Tensors exist from here on. What the processor returned travels whole as `inputs`; no family's keys are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.training.data.augmentation import photograph
from fgvr_kit.training.data.examples import AlignExample, InstructExample

NO_NEGATIVE = -1


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of stage align, each once, and where they belong.

    texts: U different texts.  attributes, categories (B,), hard_attributes, hard_categories (B, K): rows of
    `texts`.  class_ids (B,), hard_class_ids (B, K): NO_NEGATIVE where a sample has fewer than K negatives.
    """

    texts: tuple[str, ...]
    attributes: Tensor
    categories: Tensor
    hard_attributes: Tensor
    hard_categories: Tensor
    class_ids: Tensor
    hard_class_ids: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """inputs: what the processor returned.  labels: (B, T), -100 where nothing is to be learned."""

    inputs: dict[str, Any]
    labels: Tensor
    words: Words | None = None

    def to(self, device: torch.device | str, **_: Any) -> Batch:
        """The batch on a device. Accelerate's data loader calls it, with `non_blocking` as well."""
        words = self.words
        if words is not None:
            moved = {f.name: _moved(getattr(words, f.name), device) for f in fields(words)}
            words = replace(words, **moved)
        inputs = {name: _moved(value, device) for name, value in self.inputs.items()}
        return Batch(inputs, self.labels.to(device), words)


class AlignCollator:
    """Makes a Batch with words out of the examples of stage align."""

    def __init__(self, vlm: Vlm) -> None:
        self._vlm = _reader(vlm)

    def __call__(self, examples: Sequence[AlignExample]) -> dict[str, Batch]:
        encoded = _encode(self._vlm, examples, [e.description for e in examples])
        return {"batch": replace(encoded, words=number_words(examples))}


class InstructCollator:
    """Makes a Batch out of the examples of stage instruct."""

    def __init__(self, vlm: Vlm) -> None:
        self._vlm = _reader(vlm)

    def __call__(self, examples: Sequence[InstructExample]) -> dict[str, Batch]:
        return {"batch": _encode(self._vlm, examples, [e.answer for e in examples])}


def number_words(examples: Sequence[AlignExample]) -> Words:
    """Every text of the examples once, in order of first use: a class name is embedded once a step."""
    rows: dict[str, int] = {}

    def row(text: str) -> int:
        return rows.setdefault(text, len(rows))

    k = max(len(e.negatives) for e in examples)
    # A short row is filled up with its first negative; its class NO_NEGATIVE masks the copies.
    filled = [(*e.negatives, *[e.negatives[0]] * (k - len(e.negatives))) for e in examples]
    attributes = torch.tensor([row(e.description) for e in examples])  # (B,)
    categories = torch.tensor([row(e.class_text) for e in examples])  # (B,)
    hard_attributes = torch.tensor([[row(n.description) for n in ns] for ns in filled])  # (B, K)
    hard_categories = torch.tensor([[row(n.class_text) for n in ns] for ns in filled])  # (B, K)
    hard_class_ids = torch.tensor(
        [
            [n.class_id if j < len(e.negatives) else NO_NEGATIVE for j, n in enumerate(ns)]
            for e, ns in zip(examples, filled, strict=True)
        ]
    )  # (B, K)
    class_ids = torch.tensor([e.class_id for e in examples])  # (B,)
    return Words(
        tuple(rows), attributes, categories, hard_attributes, hard_categories, class_ids, hard_class_ids
    )


def _reader(vlm: Vlm) -> Vlm:
    """The model with a processor of its own: of two threads that use one tokenizer, each pads as the other wants."""
    reader = copy(vlm)
    reader.processor = deepcopy(vlm.processor)
    return reader


def _encode(
    vlm: Vlm, examples: Sequence[AlignExample] | Sequence[InstructExample], answers: list[str]
) -> Batch:
    asks = [Ask(e.question, (photograph(e.image),), system=e.system) for e in examples]
    encoded = vlm.encode(asks, answers)
    return Batch(dict(encoded.inputs), encoded.labels)


def _moved(value: Any, device: torch.device | str) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
