"""duplicates: one picture on two sides of the split, under two classes, or twice in one class.

`init` has found what is alike; here it is judged. Everything is looked up by key, nothing pair by pair.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fgvr_kit.checks.base import Subject, Verdict, counted
from fgvr_kit.dataset.forms import FORMS, form_between
from fgvr_kit.dataset.groups import BURST, DUPLICATE, NAME, Groups, group_images
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Finding, ScannedImage, Split

ABOUT = (
    "one picture in training and test, under two classes, or twice in one class; mirrored and turned ones too"
)
KINDS = {
    "leak": "a test or validation image whose picture, near copy or group is on another side of the split too",
    "conflict": "one picture, or nearly, under two classes: one of the labels must be wrong",
    "duplicate": "the same pixels twice in one class, on one side of the split",
    "near-duplicate": "nearly the same picture twice in one class, on one side of the split; value: how alike",
}

_WORDS: dict[Split | None, str] = {"train": "training", "val": "validation", "test": "test", None: "unsplit"}
_SIDES: tuple[tuple[Split, Split, str], ...] = (
    ("test", "train", "what was seen in training is recognised: accuracy measured on it is too high"),
    ("test", "val", "what is chosen on validation images fits this one too: accuracy on it is too high"),
    ("val", "train", "what was seen in training is recognised: choices made on it favour learning by heart"),
)
"""(held out, other side, what follows when they share a picture)."""

_PIXEL_HASH = re.compile(r"[0-9a-f]{64}")


def run(subject: Subject) -> Verdict:
    copies = _Copies.of(subject)
    leaks = list(_leaks(subject, copies))
    findings = [*leaks, *_same(copies), *_near(copies)]
    counts = Counter(finding.kind for finding in findings)
    n_test = sum(image.split == "test" for image in subject.images)
    split_of = {image.path: image.split for image in subject.images}
    n_leaked = len({f.path for f in leaks if f.path and split_of[f.path] == "test"})
    figures = {
        "leaks": dict(Counter(f"{split_of[f.path or '']}/{split_of[f.other or '']}" for f in leaks)),
        "test images that leak": n_leaked,
        "share of the test images": round(n_leaked / n_test, 4) if n_test else 0.0,
        **{kind: counts[kind] for kind in ("conflict", "duplicate", "near-duplicate")},
    }
    return Verdict(_told(counts, n_leaked, n_test), findings, figures)


def _told(counts: Mapping[str, int], n_leaked: int, n_test: int) -> str:
    of_test = f" ({n_leaked:,} of {counted(n_test, 'test image')})" if n_leaked else ""
    rest = ", ".join(
        (
            counted(counts["conflict"], "label conflict"),
            f"{counted(counts['duplicate'], 'copy', 'copies')} and"
            f" {counted(counts['near-duplicate'], 'near copy', 'near copies')} inside a class",
        )
    )
    return f"{counted(counts['leak'], 'leak')}{of_test}, {rest} (strongly cut copies are not looked for)"


def _nearly(one: ScannedImage, other: ScannedImage, match: float) -> str:
    """ "nearly the same picture, mirrored (match 0.93)" """
    form = ""
    if one.pixel_facts and other.pixel_facts:
        form = FORMS[form_between(one.pixel_facts, other.pixel_facts)]
    return f"nearly the same picture{', ' if form else ''}{form} (match {match:.2f})"


@dataclass(frozen=True, slots=True)
class _Copies:
    """Pixel hash -> its images (the likely original first), and -> its near copies, the most alike first.

    on_side: the first image of a pixel hash on a side.  chain: pixel hash -> what all share that near copies of
    near copies connect.
    """

    images: Mapping[str, Sequence[ScannedImage]]
    on_side: Mapping[tuple[str, Split | None], ScannedImage]
    near: Mapping[str, Sequence[tuple[str, float]]]
    chain: Mapping[str, int]

    @classmethod
    def of(cls, subject: Subject) -> _Copies:
        images: dict[str, list[ScannedImage]] = defaultdict(list)
        on_side: dict[tuple[str, Split | None], ScannedImage] = {}
        # A copy mostly has the longer name: "leaf (1).jpg", "leaf - Copy.jpg", "old/leaf.jpg".
        for image in sorted(subject.images, key=lambda i: (len(i.path), i.path)):
            images[image.sha256].append(image)
            on_side.setdefault((image.sha256, image.split), image)
        number = {sha256: n for n, sha256 in enumerate(images)}
        groups = Groups(len(number))
        near: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for one, other, match in sorted(subject.alike, key=lambda pair: -pair[2]):
            if one in number and other in number:
                near[one].append((other, match))
                near[other].append((one, match))
                groups.join(number[one], number[other])
        return cls(images, on_side, near, {sha256: groups.root(number[sha256]) for sha256 in near})


# --- across the sides of the split -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tie:
    """A way in which images belong together.  told: what two of them do or are.

    keys: path -> what the images that it ties share.  shown: path -> the words for that, where there are any.
    """

    told: str
    keys: Mapping[str, str | int]
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Partner:
    """What a held-out image has on another side.  value: how alike, where that is known."""

    image: ScannedImage
    told: str
    value: float | None = None


def _leaks(subject: Subject, copies: _Copies) -> Iterator[Finding]:
    """For each held-out image and other side one finding, with the nearest image there."""
    torn = _torn(subject.images, copies)
    ties = _ties(torn, copies, subject.workspace.settings.dataset)
    firsts: _Firsts = {}
    for image in torn:
        for n, tie in enumerate(ties):
            if image.path in tie.keys:
                firsts.setdefault((n, tie.keys[image.path], image.split), image)
    for held_out, side, why in _SIDES:
        for image in torn:
            if image.split != held_out:
                continue
            if partner := _nearest(image, side, copies) or _tied(image, side, ties, firsts):
                yield _leak(image, partner, why)


def _leak(image: ScannedImage, partner: _Partner, why: str) -> Finding:
    other = partner.image
    names = " and ".join(f"{_WORDS[one.split]} image {one.path}" for one in (image, other))
    hint = (
        "fgvr-kit check --regroup keeps them on one side (or sets the training copy aside, where the dataset"
    )
    hint += " brings its own split)"
    if image.group != other.group:
        hint = f'put "{DUPLICATE}" into [dataset] group_by and run fgvr-kit init, then {hint}'
    return Finding(
        "leak", "problem", f"{names} {partner.told}", image.path, other.path, partner.value, why, hint
    )


def _nearest(image: ScannedImage, side: Split, copies: _Copies) -> _Partner | None:
    """The same picture on a side, or its nearest direct near copy there."""
    if same := copies.on_side.get((image.sha256, side)):
        return _Partner(same, "are the very same picture", 1.0)
    for sha256, match in copies.near.get(image.sha256, ()):
        if other := copies.on_side.get((sha256, side)):
            return _Partner(other, f"are {_nearly(image, other, match)}", round(match, 3))
    return None


_Firsts = dict[tuple[int, str | int, Split | None], ScannedImage]
"""(number of a tie, what it ties, side) -> the first such image."""


def _tied(image: ScannedImage, side: Split, ties: Sequence[_Tie], firsts: _Firsts) -> _Partner | None:
    """The first image on a side that shares the closest tie."""
    for n, tie in enumerate(ties):
        if image.path in tie.keys and (other := firsts.get((n, tie.keys[image.path], side))):
            shown = tie.shown.get(image.path)
            return _Partner(other, tie.told + (f" {shown!r}" if shown else ""))
    return None


def _torn(images: Sequence[ScannedImage], copies: _Copies) -> list[ScannedImage]:
    """Those whose picture, chain of near copies or group lies on several sides."""
    sides: dict[tuple[str, str | int], set[Split | None]] = defaultdict(set)

    def keys(image: ScannedImage) -> Iterator[tuple[str, str | int]]:
        yield "picture", image.sha256
        yield "group", image.group or image.sha256
        if image.sha256 in copies.chain:
            yield "chain", copies.chain[image.sha256]

    for image in images:
        for key in keys(image):
            sides[key].add(image.split)
    return [image for image in images if any(len(sides[key]) > 1 for key in keys(image))]


def _ties(torn: Sequence[ScannedImage], copies: _Copies, dataset: DatasetSettings) -> list[_Tie]:
    """What ties the images of torn groups, the closest tie first."""
    chains = {i.path: copies.chain[i.sha256] for i in torn if i.sha256 in copies.chain}
    ties = [_Tie("are linked by other pictures that are nearly the same", chains)]
    bare = [replace(image, group=None) for image in torn]
    for way in dataset.group_by:
        shown: dict[str, str] = {}
        if way == BURST:
            told = f"are of one burst: one camera, at most {dataset.burst_seconds:g} s apart"
        elif way.startswith(NAME):
            told = f"share what {way} finds in a file name"
        elif way != DUPLICATE and any(way in image.details for image in bare):
            told = f"have one {way}:"
            shown = {image.path: image.details.get(way, "") for image in bare}
        else:
            continue
        groups = group_images(bare, [way], burst_seconds=dataset.burst_seconds)
        members = groups.members()
        keys = {image.path: root for n, image in enumerate(bare) if len(members[root := groups.root(n)]) > 1}
        ties.append(_Tie(told, keys, shown))
    whole = {image.path: image.group for image in torn if image.group}
    named = {path: group for path, group in whole.items() if not _PIXEL_HASH.fullmatch(group)}
    return [*ties, _Tie("are of the group", named, named), _Tie("are of one group", whole)]


# --- under two classes, and inside one ---------------------------------------------------------------------------


def _same(copies: _Copies) -> Iterator[Finding]:
    """Pictures that stand more than once, pixel by pixel."""
    for images in copies.images.values():
        if len(images) == 1:
            continue
        of_class: dict[str, ScannedImage] = {}
        of_side: dict[tuple[str, Split | None], ScannedImage] = {}
        for image in images:
            of_class.setdefault(image.class_name, image)
            first = of_side.setdefault((image.class_name, image.split), image)
            if first is not image:
                told = f"{image.path} is the very same picture as {first.path}"
                yield _copy("duplicate", image, first, told, 1.0)
        first, *others = of_class.values()
        for other in others:
            yield _conflict(first, other, "the very same picture", 1.0)


def _near(copies: _Copies) -> Iterator[Finding]:
    """Pairs of pictures that are nearly the same, each under its likely original."""
    for sha256, neighbours in copies.near.items():
        for neighbour, match in neighbours:
            if sha256 < neighbour:
                yield from _near_pair(copies.images[sha256], copies.images[neighbour], match)


def _near_pair(one: Sequence[ScannedImage], other: Sequence[ScannedImage], match: float) -> Iterator[Finding]:
    here, there = _first_of_sides(one), _first_of_sides(other)
    for side in [side for side in here if side in there]:
        first, copy = sorted((here[side], there[side]), key=lambda i: (len(i.path), i.path))
        told = f"{copy.path} and {first.path} are {_nearly(first, copy, match)}"
        yield _copy("near-duplicate", copy, first, told, round(match, 3))
    mine, theirs = ({image.class_name: image for image in reversed(images)} for images in (one, other))
    for a in [name for name in mine if name not in theirs]:
        for b in [name for name in theirs if name not in mine]:
            yield _conflict(mine[a], theirs[b], _nearly(mine[a], theirs[b], match), round(match, 3))


def _first_of_sides(images: Sequence[ScannedImage]) -> dict[tuple[str, Split | None], ScannedImage]:
    return {(image.class_name, image.split): image for image in reversed(images)}


def _copy(kind: str, copy: ScannedImage, first: ScannedImage, told: str, match: float) -> Finding:
    counts = "is trained on" if copy.split == "train" else "counts in what is measured"
    return Finding(
        kind, "warning", told, copy.path, first.path, match,
        why=f"it {counts} as if it were another picture", hint="remove one of the two and run fgvr-kit init",
    )  # fmt: skip


def _conflict(one: ScannedImage, other: ScannedImage, told: str, match: float) -> Finding:
    first, second = sorted((one, other), key=lambda image: image.path)
    return Finding(
        "conflict", "problem",
        f"{first.path} ({first.class_name!r}) and {second.path} ({second.class_name!r}) are {told}",
        first.path, second.path, match,
        why="both labels cannot be right, unless the classes overlap, or the picture shows both"
        + (", or left and right tell them apart" if "mirrored" in told else ""),
        hint="remove the wrong one and run fgvr-kit init; fgvr-kit check --quarantine sets both aside until then",
    )  # fmt: skip
