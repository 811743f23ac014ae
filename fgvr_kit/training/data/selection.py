"""Which images a recipe is trained on: all training images, or a few shots of each class; and which are held out
to validate it while it is trained. No torch.

Everything is drawn by a seed and pixel hashes: the same images are chosen on every machine, and whole groups
(bursts, duplicates) stand on one side.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fgvr_kit.dataset.splits import keep_shots
from fgvr_kit.types import Image, Negative, ScannedImage
from fgvr_kit.workspace import Workspace

Dropped = tuple[tuple[str, int, str], ...]
"""(what, how many, why) of what was left out."""

_VAL_SEED = 0  # what is held out stays the same for all seeds of a recipe


@dataclass(frozen=True, slots=True)
class Chosen:
    """train: an image stands there as often as it is seen in one epoch.  val: held out of training."""

    train: tuple[Image, ...]
    val: tuple[Image, ...] = ()
    dropped: Dropped = ()


def chosen_images(workspace: Workspace, seed: int) -> Chosen:
    """What [train] val_share, shots and sampler make of the training images, in this order.

    The dataset's own validation images win over val_share.
    """
    train = workspace.settings.train
    images = workspace.store.images("train")
    val = tuple(workspace.store.images("val"))
    if not val and train.val_share:
        held = _held_out(images, _groups(workspace), train.val_share)
        val = tuple(image for image in images if image.id in held)
        images = [image for image in images if image.id not in held]
    dropped: Dropped = ()
    if train.shots:
        kept = _shots(workspace, images, train.shots, seed)
        if n := len(images) - len(kept):
            dropped = (("training images", n, f"not one of the {train.shots} shots of their class"),)
        images = kept
    if train.sampler == "balanced":
        images = balanced(images, seed)
    return Chosen(tuple(images), val, dropped)


def balanced(images: Sequence[Image], seed: int) -> list[Image]:
    """As many rows of each class as the largest one has: images of smaller classes stand there more than once.

    Each image of a class stands there equally often, but for a rest that is drawn by seed and pixels.
    """
    of_class: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        of_class[image.class_name].append(image)
    most = max(map(len, of_class.values()), default=0)
    rows = []
    for members in of_class.values():
        again, rest = divmod(most, len(members))
        drawn = sorted(members, key=lambda image: _rank(seed, image.sha256))[:rest]
        extra = {image.id for image in drawn}
        rows += [image for image in members for _ in range(again + (image.id in extra))]
    return rows


def negatives_among(
    workspace: Workspace, images: Iterable[Image], *, random_ones: bool, seed: int
) -> tuple[dict[int, list[Negative]], dict[tuple[str, str], int]]:
    """image id -> its negatives, all of them images that are trained on; and what was left out, and why.

    A mined negative that is not trained on (few shots, held out) is replaced by an image of its class that is.
    random_ones: classes and images drawn at random in place of the mined ones (Finedefics, Table 6a).
    """
    among = {image.id: image for image in images}
    of_class: dict[str, list[Image]] = defaultdict(list)
    for image in among.values():
        of_class[image.class_name].append(image)
    mined = workspace.store.negatives()
    dropped: dict[tuple[str, str], int] = defaultdict(int)
    found: dict[int, list[Negative]] = {}
    for image in among.values():
        mine = mined.get(image.id, [])
        if random_ones:
            mine = _drawn(image, of_class, len(mine) or workspace.settings.mine.n_negatives, seed)
        kept = [_standing(n, image, among, of_class, seed, dropped) for n in mine]
        if whole := [n for n in kept if n is not None]:
            found[image.id] = whole
    return found, dropped


def _standing(
    negative: Negative,
    anchor: Image,
    among: dict[int, Image],
    of_class: dict[str, list[Image]],
    seed: int,
    dropped: dict[tuple[str, str], int],
) -> Negative | None:
    """The negative as it can be used now: classes may be renamed, merged or removed after mining."""
    image = among.get(negative.negative_id)
    class_name = image.class_name if image else negative.class_name
    if class_name == anchor.class_name:
        dropped["negatives", "its class is the image's own since mining: fgvr-kit mine"] += 1
        return None
    if class_name not in of_class:
        dropped["negatives", "its class has no training images any more: fgvr-kit mine"] += 1
        return None
    if image is None:
        image = random.Random(f"{seed} {anchor.sha256} {negative.rank}").choice(of_class[class_name])
    return Negative(
        anchor.id, negative.rank, image.id, class_name, negative.class_similarity, negative.image_similarity
    )


def _drawn(image: Image, of_class: dict[str, list[Image]], n: int, seed: int) -> list[Negative]:
    draw = random.Random(f"{seed} random {image.sha256}")
    others = sorted(name for name in of_class if name != image.class_name)
    names = draw.sample(others, min(n, len(others)))
    return [
        Negative(image.id, rank, draw.choice(of_class[name]).id, name, 0.0, 0.0)
        for rank, name in enumerate(names)
    ]


def _shots(workspace: Workspace, images: Sequence[Image], shots: int, seed: int) -> list[Image]:
    paths = {image.path for image in images}
    scanned = [one for one in workspace.store.scanned() if one.path in paths]
    kept = {one.path for one in keep_shots(scanned, shots, seed) if not one.set_aside}
    return [image for image in images if image.path in kept]


def _groups(workspace: Workspace) -> dict[str, str]:
    """path -> key of the images that must share a side."""
    scanned: list[ScannedImage] = workspace.store.scanned()
    return {one.path: one.group or one.sha256 for one in scanned}


def _held_out(images: Sequence[Image], group_of: dict[str, str], share: float) -> set[int]:
    """Ids of whole groups, in the order of a seeded hash, until each class has its share; one group at least
    of every class is trained on."""
    members: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        members[group_of[image.path]].append(image)
    wanted: dict[str, float] = defaultdict(float)
    left: dict[str, int] = defaultdict(int)
    for group in members.values():
        for name in {image.class_name for image in group}:
            left[name] += 1
        for image in group:
            wanted[image.class_name] += share
    held: set[int] = set()
    for key in sorted(members, key=lambda key: _rank(_VAL_SEED, key)):
        names = {image.class_name for image in members[key]}
        if all(wanted[name] >= 0.5 and left[name] > 1 for name in names):
            held |= {image.id for image in members[key]}
            for image in members[key]:
                wanted[image.class_name] -= 1
            for name in names:
                left[name] -= 1
    return held


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
