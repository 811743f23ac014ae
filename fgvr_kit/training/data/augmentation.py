"""Photographs that are shown otherwise than they are, when [train] augment asks for it. No torch.

What is done to a picture hangs on the seed, the epoch and its pixels alone, so that a run that goes on after a
kill sees what an undisturbed one would have seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fgvr_kit.dataset.images import open_known
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.types import ImageRef
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_PART = 0.8
"""Of each side of a picture; so much of it "crop" leaves at least."""

_SIDED = re.compile(
    r"\b(left|right|clockwise|anticlockwise|counter-?clockwise|mirrored|text|letters?|lettering|digits?|numbers?|"
    r"numerals?|writing|inscriptions?|words?|logos?|signs?|labels?)\b",
    re.IGNORECASE,
)
"""What a mirror turns into something else."""


@dataclass(frozen=True, slots=True)
class Look(ImageRef):
    """An image as it is shown. part: left, top, right, bottom as shares of its sides."""

    mirrored: bool = False
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


class Augmented(Sequence[Any]):
    """The rows of a stage with their images looked at otherwise, anew in each epoch."""

    def __init__(self, rows: Sequence[Any], augment: str, *, seed: int) -> None:
        """augment: "flip" or "crop"."""
        self._rows, self._augment, self._seed = rows, augment, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """As InstructRows.set_epoch, which it passes on."""
        self._epoch = epoch
        if hasattr(self._rows, "set_epoch"):
            self._rows.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        row = self._rows[place]
        return [self._shown(one) for one in row] if isinstance(place, slice) else self._shown(row)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def _shown(self, row: Any) -> Any:
        if hasattr(row, "align"):  # one image, asked about by both stages
            questions = tuple(self._shown(question) for question in row.questions)
            return replace(row, align=self._shown(row.align), questions=questions)
        return replace(row, image=look_at(row.image, self._augment, f"{self._seed} {self._epoch}"))


def look_at(image: ImageRef, augment: str, key: str) -> Look:
    """The image as it is shown this time. key: what the draw hangs on beside the pixels."""
    draw = random.Random(f"{key} {image.sha256}")
    look = Look(image.path, image.sha256, image.box)
    if augment == "flip":
        return replace(look, mirrored=draw.random() < 0.5)
    width, height = draw.uniform(LEAST_PART, 1), draw.uniform(LEAST_PART, 1)
    left, top = draw.uniform(0, 1 - width), draw.uniform(0, 1 - height)
    return replace(look, part=(left, top, left + width, top + height))


def photograph(image: ImageRef) -> Image:
    """The picture as it is shown: RGB, its file unchanged. Raises ImageError as open_known does."""
    from PIL import ImageOps

    picture = open_known(image)
    if not isinstance(image, Look):
        return picture
    left, top, right, bottom = image.part
    box = (
        round(left * picture.width),
        round(top * picture.height),
        max(round(right * picture.width), round(left * picture.width) + 1),
        max(round(bottom * picture.height), round(top * picture.height) + 1),
    )
    if image.part != (0.0, 0.0, 1.0, 1.0):
        picture = picture.crop(box)
    return ImageOps.mirror(picture) if image.mirrored else picture


def augmented(workspace: Workspace, rows: Sequence[Any], *, seed: int) -> Sequence[Any]:
    """The rows as [train] augment has them. Raises SettingsError "flip-refused"."""
    augment = workspace.settings.train.augment
    if augment == "none":
        return rows
    refuse_mirrors(workspace)
    return Augmented(rows, augment, seed=seed)


def refuse_mirrors(workspace: Workspace) -> None:
    """Raise SettingsError when pictures are to be mirrored and classes, attributes, [domain] or the questions of
    training speak of left and right or of writing."""
    if workspace.settings.train.augment != "flip":
        return
    for where, text in _said(workspace):
        if found := _SIDED.search(text):
            raise SettingsError(
                f"pictures cannot be mirrored: {where} speaks of {found[0]!r}",
                code="flip-refused",
                where=text if len(text) < 80 else text[:77] + "...",
                why="in a mirror left is right, and writing cannot be read",
                hint='[train] augment = "crop" or "none"',
            )


def _said(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for image_class in workspace.classes().values():
        yield "classes.csv", " ".join((image_class.name, image_class.display_name, *image_class.synonyms))
    domain = workspace.settings.domain
    yield "[domain]", f"{domain.superclass} {domain.unit} {domain.notes}"
    try:
        for attribute in workspace.attributes():
            yield "attributes.csv", f"{attribute.name.replace('_', ' ')} {attribute.question}"
    except DatasetError:
        pass
    for name in ("align/describe", "ask/open"):
        yield f"prompts/{name}.md", workspace.prompts.render(name).text
