"""Images that must stay on one side of the split: copies, bursts, one observer, one specimen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import PurePosixPath

from fgvr_kit.errors import SettingsError
from fgvr_kit.types import ScannedImage

DUPLICATE, BURST, NAME = "duplicate", "burst", "name:"


class Groups:
    """Numbers 0..n-1 in groups that grow together (union-find; Tarjan 1975)."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def root(self, number: int) -> int:
        """The number that stands for the whole group."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._above[high] = low

    def members(self) -> dict[int, list[int]]:
        """root -> all numbers of its group, ascending."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._above)):
            found[self.root(number)].append(number)
        return dict(found)


def group_images(
    images: Sequence[ScannedImage],
    by: Sequence[str],
    *,
    duplicates: Iterable[tuple[int, int]] = (),
    burst_seconds: float = 2.0,
) -> Groups:
    """The groups of the images, by number: what the dataset itself calls a group, and each way named in `by`.

    by: "duplicate" (the pairs given), "burst", "name:REGEX", or a column.  Raises SettingsError for a column
    that no image has (with the columns there are), and for a regular expression without a bracket.
    """
    groups = Groups(len(images))
    first: dict[str, int] = {}
    for number, names in enumerate(group_names(images, by)):
        for name in names:
            groups.join(first.setdefault(name, number), number)
    if DUPLICATE in by:
        for one, other in duplicates:
            groups.join(one, other)
    if BURST in by:
        for one, other in bursts(images, burst_seconds):
            groups.join(one, other)
    return groups


def group_names(images: Sequence[ScannedImage], by: Sequence[str]) -> list[list[str]]:
    """What the groups of each image are called, by its number: as the dataset itself calls them, then
    "column=value" for each way in `by` that is a column, "name:REGEX=value" for a pattern.

    Such a name holds while the images that bear it come and go. Raises SettingsError as group_images.
    """
    ways = [(way, _value_by(way, images)) for way in by if way not in (DUPLICATE, BURST)]
    return [
        [
            *([image.group] if image.group else []),
            *(f"{way}={value}" for way, value_of in ways if (value := value_of(image))),
        ]
        for image in images
    ]


def bursts(images: Sequence[ScannedImage], seconds: float) -> list[tuple[int, int]]:
    """Pairs of numbers of images that one camera took of one class, one right after the other."""
    taken: dict[tuple[str, str], list[tuple[datetime, int]]] = defaultdict(list)
    for number, image in enumerate(images):
        facts = image.file_facts
        if facts and facts.taken and facts.camera:
            taken[facts.camera, image.class_name].append((datetime.fromisoformat(facts.taken), number))
    pairs = []
    for shots in taken.values():
        shots.sort()
        for (before, first), (after, second) in pairwise(shots):
            if after - before <= timedelta(seconds=seconds):
                pairs.append((first, second))
    return pairs


def _value_by(way: str, images: Sequence[ScannedImage]) -> Callable[[ScannedImage], str | None]:
    return _by_name(way.removeprefix(NAME)) if way.startswith(NAME) else _by_column(way, images)


def _by_name(pattern: str) -> Callable[[ScannedImage], str | None]:
    try:
        compiled = re.compile(pattern)
        if compiled.groups < 1:
            raise re.error("it has no bracket")
    except re.error as error:
        raise SettingsError(
            f"dataset.group_by: {pattern!r} cannot be used: {error}",
            code="group-by-pattern",
            hint="put what the files of one group share into brackets: name:^(plant[0-9]+)_",
        ) from error

    def key_of(image: ScannedImage) -> str | None:
        found = compiled.search(PurePosixPath(image.path).name)
        return found[1] if found else None

    return key_of


def _by_column(column: str, images: Sequence[ScannedImage]) -> Callable[[ScannedImage], str | None]:
    if not any(column in image.details for image in images):
        known = sorted({name for image in images for name in image.details})
        raise SettingsError(
            f"dataset.group_by: there is no column {column!r}",
            code="group-by-column",
            why=f"columns of the dataset: {', '.join(known)}" if known else "the dataset brings no columns",
            hint=f'"{DUPLICATE}", "{BURST}", "{NAME}REGEX" or one of its columns',
        )
    return lambda image: image.details.get(column) or None
