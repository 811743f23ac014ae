"""Which images belong together, and on which side of the split each stands. Pure but for opening pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image

from fgvr_kit.dataset.duplicates import near_duplicates
from fgvr_kit.dataset.groups import Groups, group_images, group_names
from fgvr_kit.dataset.images import open_image
from fgvr_kit.dataset.licences import permit
from fgvr_kit.dataset.splits import Shares, assign_splits
from fgvr_kit.pipeline.init.aside import set_aside
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import PixelFacts, ScannedImage, Side

Alike = tuple[str, str, float]
"""Two pixel hashes of nearly the same picture, and how alike (0..1)."""


def find_alike(
    images: Sequence[ScannedImage],
    root: Path,
    *,
    known: Sequence[Alike] = (),
    compared: Iterable[str] = (),
    progress: Progress = SILENT,
) -> list[Alike]:
    """Pairs of near-duplicates among the images that are not in `known`.

    compared: pixel hashes of images that were compared with each other already; only pairs with another one
    are looked for.
    """
    unique = list({image.sha256: image for image in images}.values())
    number = {image.sha256: n for n, image in enumerate(unique)}
    # Pairs only connect: where one of them is gone, the pictures it connected must be compared again.
    torn = {sha256 for a, b, _ in known if (a in number) != (b in number) for sha256 in (a, b)}
    done = set(compared) - torn

    def opened(n: int) -> Image:
        image = unique[n]
        return open_image(root / image.file, image.box)

    facts = [image.pixel_facts or PixelFacts(0, bytes(768)) for image in unique]
    pairs = near_duplicates(
        facts, opened,
        joined=[(number[a], number[b]) for a, b, _ in known if a in number and b in number],
        is_new=np.array([image.sha256 not in done for image in unique], dtype=np.bool_),
        progress=progress,
    )  # fmt: skip
    return [(unique[pair.first].sha256, unique[pair.second].sha256, pair.match) for pair in pairs]


def grouped(images: Sequence[ScannedImage], dataset: DatasetSettings, alike: Iterable[Alike]) -> Groups:
    """The groups of the images by number, as [dataset] group_by wants them; copies always share one."""
    first: dict[str, int] = {}
    same = [(first.setdefault(image.sha256, n), n) for n, image in enumerate(images)]
    near = [(first[a], first[b]) for a, b, _ in alike if a in first and b in first]
    groups = group_images(images, dataset.group_by, duplicates=near, burst_seconds=dataset.burst_seconds)
    for one, other in same:
        groups.join(one, other)
    return groups


def sided(
    images: Sequence[ScannedImage],
    groups: Groups,
    dataset: DatasetSettings,
    stored: Mapping[str, Side],
    quarantined: Mapping[str, str],
    used: Collection[str] = (),
) -> tuple[list[ScannedImage], dict[str, Side]]:
    """The images with side, group, and the reason why one is set aside; and the sides to store.

    used: pixel hashes that were shots before; they stay before others.
    """
    shares = Shares(dataset.test, dataset.val, dataset.seed)
    names = group_names(images, dataset.group_by)
    members = list(groups.members().values())
    is_permitted = permit(dataset.only_licence)
    fit = {n for n, image in enumerate(images) if is_permitted(image)}
    if 0 < len(fit) < len(images):  # the shares of a class are those of its images in use
        stored = _drawn_alone(images, sorted(fit), members, shares, stored, names)
    assigned, sides = assign_splits(images, members, shares, stored, names)
    return set_aside(assigned, dataset, quarantined, used), sides


def _drawn_alone(
    images: Sequence[ScannedImage],
    numbers: Sequence[int],
    members: Sequence[Sequence[int]],
    shares: Shares,
    stored: Mapping[str, Side],
    names: Sequence[Sequence[str]],
) -> dict[str, Side]:
    """The stored sides, and those of the images of these numbers, drawn as if there were no others."""
    place = {number: n for n, number in enumerate(numbers)}
    left = [[place[n] for n in group if n in place] for group in members]
    drawn = assign_splits(
        [images[n] for n in numbers], [group for group in left if group], shares, stored,
        [names[n] for n in numbers],
    )[1]  # fmt: skip
    return {**drawn, **stored}
