"""Who trains and who tests: stratified, seeded, whole groups on one side, and never moved once stored."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fgvr_kit.types import ScannedImage, Side, Split

SHOTS = "not one of the shots"
"""Why a training image is set aside when only so many of each class are trained on."""


@dataclass(frozen=True, slots=True)
class Shares:
    """test, val: shares of each class that are held out.  seed: decides which."""

    test: float
    val: float
    seed: int


@dataclass(slots=True)
class _Group:
    """Images that share a side. key: what it is called, and what its place in the draw hangs on."""

    key: str
    numbers: list[int]
    split: Split | None = None


def assign_splits(
    images: Sequence[ScannedImage],
    members: Sequence[Sequence[int]],
    shares: Shares,
    stored: Mapping[str, Side],
    names: Sequence[Sequence[str]] = (),
) -> tuple[list[ScannedImage], dict[str, Side]]:
    """The images with a side each, and pixel hash -> side as it is to be stored.

    members: the numbers of the images of each group, every image in one group.  names: what the groups of each
    image are called (groups.group_names).

    A side that `check --regroup` gave stands before one that the dataset brings, that one before one drawn
    earlier; a name keeps its side also while all images that bear it are away. Groups without a side are drawn:
    in a class that has none yet, groups in the order of a seeded hash of their key are held out until its shares
    are full, with at least one group to test and one to train; groups added to a class later are assigned by
    their hash alone, so that they move nothing and nothing depends on when they came. A single group is trained
    on.
    """
    names = names or [()] * len(images)
    of_names = _sides_of_names(stored.values())
    groups = [_group(images, numbers, stored, names, of_names) for numbers in members]
    _draw(images, groups, shares)
    split_of = {number: group for group in groups for number in group.numbers}
    assigned: list[ScannedImage] = []
    sides: dict[str, Side] = {}
    for number, image in enumerate(images):
        group = split_of[number]
        assert group.split is not None
        own = next(iter(names[number]), group.key)
        side = _side(image, group.split, own, stored.get(image.sha256))
        assigned.append(replace(image, split=side.split, group=group.key))
        # Files of one picture may lie on two sides of a folder that brings its own; the stored side is the
        # first one's, and is only used where the folder brings none.
        sides.setdefault(image.sha256, side)
    return assigned, sides


def _side(image: ScannedImage, drawn: Split, group: str, held: Side | None) -> Side:
    if held and (held.by == "regroup" or not image.split):
        return replace(held, group=group)
    return Side(image.split, group, "layout") if image.split else Side(drawn, group, "draw")


def keep_shots(
    images: Sequence[ScannedImage], shots: int, seed: int, used: Collection[str] = ()
) -> list[ScannedImage]:
    """The images with all but `shots` training images of each class set aside; 0 keeps all.

    Whole groups are as good as one picture: a class's shots come from as many groups as it has, in the order
    of a seeded hash. used: pixel hashes of images that come before all others: the shots of before.
    """
    if not shots:
        return list(images)
    waiting: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, image in enumerate(images):
        if image.split == "train" and not image.set_aside:
            waiting[image.class_name][image.group or image.sha256].append(number)
    chosen: set[int] = set()
    for groups in waiting.values():
        queues = [
            sorted(
                numbers,
                key=lambda n: (images[n].sha256 not in used, _rank(seed, images[n].sha256), images[n].path),
            )
            for _, numbers in sorted(
                groups.items(),
                key=lambda item: (all(images[n].sha256 not in used for n in item[1]), _rank(seed, item[0])),
            )
        ]
        rounds = (
            queue[depth] for depth in range(max(map(len, queues))) for queue in queues if depth < len(queue)
        )
        chosen.update(number for number, _ in zip(rounds, range(shots), strict=False))
    return [
        replace(image, set_aside=SHOTS)
        if image.split == "train" and not image.set_aside and number not in chosen
        else image
        for number, image in enumerate(images)
    ]


def _sides_of_names(stored: Iterable[Side]) -> dict[str, Counter[Split]]:
    """name of a group -> on which sides images that bore it stand, also those that are away."""
    found: dict[str, Counter[Split]] = defaultdict(Counter)
    for side in stored:
        found[side.group][side.split] += 1
    return dict(found)


def _group(
    images: Sequence[ScannedImage],
    numbers: Sequence[int],
    stored: Mapping[str, Side],
    names: Sequence[Sequence[str]],
    of_names: Mapping[str, Counter[Split]],
) -> _Group:
    """A group with the side of most of its pictures that have one, or else of those that bore its names;
    training where two sides have as many. Its key is its first name, or else its first pixel hash."""
    own = {name for n in numbers for name in names[n]}
    counts = Counter[Split](split for n in numbers if (split := images[n].split))
    counts.update(side.split for n in numbers if (side := stored.get(images[n].sha256)))
    if not counts:
        for name in own:
            counts += of_names.get(name, Counter())
    order: tuple[Split, ...] = ("train", "test", "val")
    ordered: list[Split] = sorted(order, key=lambda s: -counts[s])
    key = min(own) if own else min(images[n].sha256 for n in numbers)
    return _Group(key, list(numbers), ordered[0] if counts else None)


def _draw(images: Sequence[ScannedImage], groups: Sequence[_Group], shares: Shares) -> None:
    """Give every group without a side one. A group of several classes counts for the first of them."""
    per_class: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        per_class[min(images[n].class_name for n in group.numbers)].append(group)
    settled = _settled_classes(images, groups)
    for name, of_class in sorted(per_class.items()):
        waiting = sorted((g for g in of_class if g.split is None), key=lambda g: _rank(shares.seed, g.key))
        if name in settled:
            _assign_by_hash(waiting, shares, has_test="test" in settled[name])
        else:
            _fill_shares(waiting, shares)


def _settled_classes(images: Sequence[ScannedImage], groups: Sequence[_Group]) -> dict[str, set[Split]]:
    """class -> the sides on which it has images, of the classes that have any."""
    found: dict[str, set[Split]] = defaultdict(set)
    for group in groups:
        if group.split and group.split != "val":  # the validation images of a dataset settle nothing
            for n in group.numbers:
                found[images[n].class_name].add(group.split)
    return found


def _fill_shares(groups: Sequence[_Group], shares: Shares) -> None:
    """Held out one after the other until a side has its share of images; the last group is left to train."""
    n_images = sum(len(g.numbers) for g in groups)
    wanted: dict[Split, int] = {
        "test": max(1, round(n_images * shares.test)),
        "val": round(n_images * shares.val),
    }
    for position, group in enumerate(groups):
        group.split = "train"
        if position == len(groups) - 1:
            break
        for side in wanted:
            # A large group may overshoot its share by at most half of itself.
            if wanted[side] * 2 >= len(group.numbers) and wanted[side] > 0:
                wanted[side] -= len(group.numbers)
                group.split = side
                break
    _at_least_one_test(groups)


def _at_least_one_test(groups: Sequence[_Group]) -> None:
    """A class of two groups or more is tested, if only on its smallest group."""
    if len(groups) > 1 and not any(g.split == "test" for g in groups):
        trained = [g for g in groups if g.split == "train"]
        spare = trained if len(trained) > 1 else [g for g in groups if g.split == "val"]
        if spare:
            min(spare, key=lambda g: len(g.numbers)).split = "test"


def _assign_by_hash(groups: Sequence[_Group], shares: Shares, *, has_test: bool) -> None:
    for group in groups:
        place = int(_rank(shares.seed, group.key)[:15], 16) / 16**15
        group.split = (
            "test" if place < shares.test else "val" if place < shares.test + shares.val else "train"
        )
    if groups and not has_test and not any(g.split == "test" for g in groups):
        groups[0].split = "test"


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
