"""Which sample is compared with what: the contrastive batch of stage align, over micro-batches and processes.

Every text of it is embedded once, by the micro-batch that needs it first, and serves all. No model here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional as F

from fgvr_kit.training.data.batch import NO_NEGATIVE, Words


@dataclass(frozen=True, slots=True)
class Share:
    """What one micro-batch embeds, in this order: its objects, texts with a gradient, texts without."""

    n_objects: int = 0
    loud: tuple[str, ...] = ()
    still: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        return self.n_objects + len(self.loud) + len(self.still)


@dataclass(frozen=True, slots=True)
class Places:
    """Rows of the joined vectors, for B samples with up to K negatives, and the classes of both.

    objects, attributes, categories, class_ids: (B,).  hard_attributes, hard_categories, hard_class_ids: (B, K),
    NO_NEGATIVE as class where there is none.
    """

    objects: Tensor
    attributes: Tensor
    categories: Tensor
    hard_attributes: Tensor
    hard_categories: Tensor
    class_ids: Tensor
    hard_class_ids: Tensor

    def to(self, device: torch.device) -> Places:
        return Places(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Plan:
    """shares: of each process and micro-batch.  banked: texts whose vectors are there already.

    places: rows of the vectors of all shares, process after process, followed by the banked ones.
    """

    shares: tuple[tuple[Share, ...], ...]
    banked: tuple[str, ...]
    places: Places

    @property
    def still(self) -> Iterator[tuple[str, int]]:
        """Texts that are embedded without a gradient, and their rows."""
        row = 0
        for share in chain.from_iterable(self.shares):
            first = row + share.n_objects + len(share.loud)
            yield from ((text, first + n) for n, text in enumerate(share.still))
            row += share.n_rows


def plan_contrast(
    words: Sequence[Sequence[Words | None]], *, negative_gradient: bool = True, bank: Container[str] = ()
) -> Plan:
    """Put the micro-batches of all processes together into one contrastive batch.

    words: of each process and micro-batch; None where a process had no sample left.
    negative_gradient: False embeds texts that are nobody's own without a gradient, or takes them from the bank.
    """
    present = list(chain.from_iterable(words))
    own = {w.texts[n] for w in present if w for n in (*w.attributes.tolist(), *w.categories.tolist())}
    assigned: set[str] = set()
    banked: list[str] = []
    shares = [[Share() for _ in process] for process in words]
    # Round after round, so that no process gets the new texts of all of them.
    for n in range(len(words[0])):
        for process, rounds in zip(shares, words, strict=True):
            if (here := rounds[n]) is None:
                continue
            new = [text for text in here.texts if text not in assigned]
            assigned.update(new)
            others = [] if negative_gradient else [text for text in new if text not in own]
            banked += [text for text in others if text in bank]
            still = [text for text in others if text not in bank]
            loud = [text for text in new if text not in set(others)]
            process[n] = Share(len(here.class_ids), tuple(loud), tuple(still))
    ordered = list(chain.from_iterable(shares))
    return Plan(tuple(map(tuple, shares)), tuple(banked), _places(present, ordered, banked))


def _places(words: Sequence[Words | None], shares: Sequence[Share], banked: Sequence[str]) -> Places:
    rows: dict[str, int] = {}
    objects: list[int] = []
    at = 0
    for share in shares:
        objects += range(at, at + share.n_objects)
        rows |= {text: at + share.n_objects + n for n, text in enumerate((*share.loud, *share.still))}
        at += share.n_rows
    rows |= {text: at + n for n, text in enumerate(banked)}
    present = [w for w in words if w is not None]
    width = max(w.hard_class_ids.shape[1] for w in present)

    def joined(of: Callable[[Words], Tensor]) -> Tensor:
        return torch.cat([torch.tensor([rows[text] for text in w.texts])[of(w)] for w in present])

    def wide(tensor: Tensor, filling: int) -> Tensor:
        return F.pad(tensor, (0, width - tensor.shape[1]), value=filling)

    return Places(
        objects=torch.tensor(objects),
        attributes=joined(lambda w: w.attributes),
        categories=joined(lambda w: w.categories),
        hard_attributes=joined(lambda w: wide(w.hard_attributes, 0)),
        hard_categories=joined(lambda w: wide(w.hard_categories, 0)),
        class_ids=torch.cat([w.class_ids for w in present]),
        hard_class_ids=torch.cat([wide(w.hard_class_ids, NO_NEGATIVE) for w in present]),
    )
