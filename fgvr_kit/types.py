"""The nouns of the house, as frozen dataclasses. Standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Outcome = Literal["ok", "repaired", "refused", "cut_off", "invalid"]
"""What became of a reply. Only `ok` and `repaired` count as answers; the others are asked again on request."""

GENERAL = "general"
"""Name of the answer that holds an image's free description; no attribute may take it."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright picture; right and bottom are outside."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image's pixels lie: a file, or a box in it.  sha256: of its upright RGB pixels."""

    path: Path
    sha256: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable file of the dataset.

    path: relative to the dataset folder, with forward slashes.  sha256: of the upright RGB pixels.
    mtime_ns and n_bytes tell whether the file must be read again.
    """

    path: str
    class_name: str
    split: Split | None
    sha256: str
    width: int
    height: int
    n_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Image:
    """A row of table `images`."""

    id: int
    path: str
    class_name: str
    split: Split
    sha256: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImageClass:
    """A row of classes.csv. name: the user's label; display_name: how prompts write it."""

    name: str
    display_name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of attributes.csv: a named visual property and the question that asks for it."""

    name: str
    question: str


@dataclass(frozen=True, slots=True)
class Answer:
    image_id: int
    attribute: str
    value: str
    reply_id: int | None


@dataclass(frozen=True, slots=True)
class Description:
    image_id: int
    text: str
    source: str
    reply_id: int | None = None


@dataclass(frozen=True, slots=True)
class Negative:
    """rank: 0 is the most similar wrong class.  Cosines: class_similarity of the anchor image with the
    class text, image_similarity of the anchor image with the negative image."""

    image_id: int
    rank: int
    negative_id: int
    class_name: str
    class_similarity: float
    image_similarity: float


@dataclass(frozen=True, slots=True)
class Option:
    """One choice for an image: rank 0 is the true class, then wrong classes, most similar first."""

    image_id: int
    rank: int
    class_name: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answered question. options: class names in the order shown (A, B, ...).  scores: one
    log-probability an option, same order."""

    image_id: int
    options: tuple[str, ...]
    predicted: str
    truth: str
    scores: tuple[float, ...]

    @property
    def is_correct(self) -> bool:
        return self.predicted == self.truth


@dataclass(frozen=True, slots=True)
class Score:
    """An accuracy (or a difference of two) with its 95 % interval; all in 0..1 (-1..1)."""

    model: str
    protocol: str
    metric: str
    n: int
    value: float
    low: float
    high: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is no error but that the user should know; shown as a warning."""

    message: str
    code: str
    hint: str
    where: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a step of the walk did: shown as a table at its end and kept in table `walk`.

    done: label -> value, in order.  dropped: (what, how many, why).
    notes: sentences that must stand wherever these numbers stand ("untrained toy model").
    """

    step: str
    done: dict[str, Any]
    dropped: tuple[tuple[str, int, str], ...] = ()
    notes: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
