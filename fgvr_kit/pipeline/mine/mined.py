"""What `mine` gives: look-alikes and options, what the guards kept out, and how alike everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fgvr_kit.types import Negative, Option, Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

Guard = Literal["same picture", "copy", "near copy", "likely wrong label", "synonym", "parent class"]

GUARDS: dict[Guard, str] = {
    "same picture": "it has the pixels of the image itself, under another label",
    "copy": "init found it to be a copy of the image",
    "near copy": "to CLIP it is nearly the same picture ([mine] near_copy)",
    "likely wrong label": "check found that it, or the image itself, is likely labelled wrong",
    "synonym": "the two classes share a name in classes.csv",
    "parent class": "one class is the parent of the other in classes.csv",
}
"""Guard -> why it keeps a candidate from being a negative. The first four look at images, the others at classes."""

MOST_EXAMPLES = 12
"""Of each guard, and of each list of a page."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that would have been taken, and was not.

    image_id: of the anchor.  class_name: of the candidate.  negative_id: of the candidate, None where the whole
    class is none.  similarity: cosine of the two images, or of the anchor with the class text.
    """

    image_id: int
    class_name: str
    negative_id: int | None
    similarity: float


@dataclass(frozen=True, slots=True)
class Drop:
    """What a guard kept out.  n: how often it passed a candidate over that was more similar than what was taken
    instead (of all anchors together).  examples: the most similar ones, at most MOST_EXAMPLES."""

    guard: Guard
    n: int
    examples: tuple[Refused, ...] = ()

    @property
    def why(self) -> str:
        return GUARDS[self.guard]


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Two classes that are each other's look-alike: the first negatives of most images of each are of the other.

    n_first: training images of the class `first` whose most similar wrong class is `second`, of n_of_first; and
    the other way round.
    """

    first: str
    second: str
    n_first: int
    n_of_first: int
    n_second: int
    n_of_second: int


@dataclass(frozen=True, slots=True)
class Stray:
    """A training image that is closer to the text of a wrong class than to that of its own, by so much."""

    image_id: int
    class_name: str
    margin: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Cosines in a few numbers.  low, high: 5 and 95 of 100 lie below."""

    n: int
    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.floating[Any]]) -> Spread | None:
        """None where there is nothing to measure."""
        if not len(values):
            return None
        numbers = np.asarray(values, dtype=np.float64)
        low, high = np.quantile(numbers, (0.05, 0.95))
        figures = (numbers.mean(), numbers.std(), low, high)
        return cls(len(numbers), *(round(float(figure), 6) for figure in figures))

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.std:.3f}"


@dataclass(frozen=True, slots=True)
class Mined:
    """What `mine` found and stored.

    own_class: cosines of the training images with the text of their own class ("positives").  wrong_class: of
    each negative's class text with its anchor.  wrong_image: of each negative with its anchor.  look_alikes: the
    surest pair first.  strays: the farthest at most MOST_EXAMPLES of n_strays.  labels_checked: whether `check`
    has looked for wrong labels, so that their guard had something to go by.
    """

    negatives: list[Negative]
    options: list[Option]
    drops: tuple[Drop, ...]
    look_alikes: tuple[LookAlikes, ...]
    strays: tuple[Stray, ...]
    n_strays: int
    own_class: Spread | None
    wrong_class: Spread | None
    wrong_image: Spread | None
    labels_checked: bool
    summary: Summary
