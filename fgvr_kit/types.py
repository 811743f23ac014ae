"""The nouns of the house, as frozen dataclasses. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Outcome = Literal["ok", "repaired", "refused", "cut_off", "invalid"]
"""What became of a reply. Only `ok` and `repaired` count as answers; the others are asked again on request."""

GENERAL = "general"
"""Name of the answer that holds an image's free description; no attribute may take it."""

NOT_VISIBLE = "not visible"
"""The value of an attribute that a picture does not show; an answer like others, and never a description."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright picture; right and bottom are outside."""


def file_of(path: str, box: Box | None) -> str:
    """The file of an image that is called path; the inverse of Entry.path."""
    return path.rpartition("#")[0] if box else path


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image's pixels lie: a file, or a box in it.  sha256: of its upright RGB pixels."""

    path: Path
    sha256: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An image as a dataset lists it, not opened yet.

    file: relative to the dataset's root, with forward slashes.  split, group: None where the dataset brings
    none; images of one group must share a split.  details: the other columns of its row, as text.
    box: this part of the file only; name tells boxes of one file apart.  size: (width, height) in pixels of
    the upright picture that the box was drawn on.
    """

    file: str
    class_name: str
    split: Split | None = None
    group: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    box: Box | None = None
    name: str = ""
    size: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """What the image is called in the workspace: its file, with "#" and the name of its box."""
        return f"{self.file}#{self.name}" if self.box else self.file


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file tells about itself.

    format: as PIL names it ("JPEG").  mode: of the stored pixels ("RGB", "CMYK", "I;16").
    orientation: EXIF's, 1 is upright.  camera: EXIF make and model, "" if unknown.
    taken: EXIF time as ISO text without zone ("2026-05-01T14:03:22"), "" if unknown.
    """

    format: str = ""
    mode: str = ""
    frames: int = 1
    orientation: int = 1
    camera: str = ""
    taken: str = ""


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """What upright RGB pixels tell.  phash: 64 bits that survive resizing and re-encoding.
    thumb: the picture as 16 x 16 RGB bytes, row by row (aspect ratio not kept)."""

    phash: int
    thumb: bytes


@dataclass(frozen=True, slots=True)
class Side:
    """Which side of the split a picture was given. by: the dataset itself, `init`, or `check --regroup`."""

    split: Split
    group: str
    by: Literal["layout", "draw", "regroup"]


Severity = Literal["problem", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `check` found about one image, a pair of them, a class, or the whole dataset.

    kind: one word ("leak").  path: the image (or file) it is about; other: what it is compared with.
    value: how strong, in the check's own units.
    """

    kind: str
    severity: Severity
    message: str
    path: str | None = None
    other: str | None = None
    value: float | None = None
    why: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A usable image of the dataset, as `init` found it.

    class_name: what it is called from here on; label: what the dataset calls it, where classes were merged.
    sha256: of the upright RGB pixels.  mtime_ns and n_bytes tell whether the file must be read again.
    group: key of the images that must share a split.  set_aside: why it is not used, None if it is.
    file_facts, pixel_facts: None only where an old workspace has not stored them.
    """

    path: str
    class_name: str
    split: Split | None
    sha256: str
    width: int
    height: int
    n_bytes: int
    mtime_ns: int
    box: Box | None = None
    label: str = ""
    group: str | None = None
    set_aside: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    file_facts: FileFacts | None = None
    pixel_facts: PixelFacts | None = None

    @property
    def file(self) -> str:
        """The file it lies in; a crop's path is that of its picture, "#" and which box."""
        return file_of(self.path, self.box)


@dataclass(frozen=True, slots=True)
class Image:
    """A row of table `images`."""

    id: int
    path: str
    class_name: str
    split: Split
    sha256: str
    box: Box | None = None

    @property
    def file(self) -> str:
        """The file it lies in."""
        return file_of(self.path, self.box)


SkipCode = Literal["", "not-an-image", "image-unreadable", "image-gone", "box-unusable", "folder-unreadable",
                   "name-unreadable"]  # fmt: skip
"""Why a file is left out, for programs: "not-an-image" is none of the dataset, the others should have been images.
"": whoever left it out does not say, or did so before there were codes."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why.

    code: of the reason; class_name: of the image that it should have been, "" where nobody knows. Neither is
    looked at when two are compared.
    """

    path: str
    reason: str
    code: SkipCode = field(default="", compare=False)
    class_name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ImageClass:
    """A row of classes.csv. name: the user's label; display_name: how prompts write it.

    scientific, common: its names in science and in everyday words.  parent: what it belongs to (a genus, a
    make). All three may be "".
    """

    name: str
    display_name: str
    synonyms: tuple[str, ...] = ()
    scientific: str = ""
    common: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of attributes.csv: a named visual property and the question that asks for it.

    options: the only values it can have; empty for free text. "not visible" is always one more.
    superclass: asked only of classes below this parent (`parent` of classes.csv); "": of all.
    """

    name: str
    question: str
    options: tuple[str, ...] = ()
    superclass: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """source: "model" (its own words), "options" (weighed) or "human".  machine: what a person corrected.
    confidence: probability of the value, where it was weighed.
    """

    image_id: int
    attribute: str
    value: str
    reply_id: int | None
    source: str = "model"
    machine: str | None = None
    confidence: float | None = None


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
    """One choice for an image: rank 0 is the true class, then wrong classes, most similar first.

    position: where it is shown, 0 is A.
    """

    image_id: int
    rank: int
    class_name: str
    similarity: float
    position: int


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
    """An accuracy (or a difference of two) with its 95 % interval; all in 0..1 (-1..1).

    n: images it rests on.  class_name: of the class it is about, "" for all.
    """

    model: str
    protocol: str
    metric: str
    n: int
    value: float
    low: float
    high: float
    note: str | None = None
    class_name: str = ""


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
