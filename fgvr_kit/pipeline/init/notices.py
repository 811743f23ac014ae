"""What `init` tells at once, before `check` looks closer: classes that lack a side, leaks, torn labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from fgvr_kit.dataset.names import spellings
from fgvr_kit.types import SPLITS, Notice, ScannedImage, Skipped

MOST_OF_A_GROUP = 0.5
"""Share of the images that one group may have before it is pointed out."""

MOST_FILES_NAMED = 100
"""Files left out that a summary names one by one; `fgvr-kit status --skipped` names all of them."""


def dropped_files(skipped: Sequence[Skipped]) -> tuple[tuple[str, int, str], ...]:
    """Every file with its reason; where they are too many to read, every reason with its first file."""
    ordered = sorted(skipped, key=lambda file: file.path)
    if len(ordered) <= MOST_FILES_NAMED:
        return tuple((file.path, 1, file.reason) for file in ordered)
    first: dict[str, str] = {}
    for file in ordered:
        first.setdefault(file.reason, file.path)
    counts = Counter(file.reason for file in ordered)
    return tuple((f"{first[reason]}, ...", n, reason) for reason, n in counts.most_common())


def notices_of(images: Sequence[ScannedImage]) -> list[Notice]:
    """About the images in use."""
    used = [image for image in images if not image.set_aside]
    return [*_one_group(used), *_lacking(used), *_spellings(used), *_torn(used), *_leaks(used)]


def split_notices(
    flags: Sequence[str], images: Sequence[ScannedImage], n_brought: int, *, stands: bool
) -> list[Notice]:
    """About flags that ask for a draw which does not take place.

    n_brought: images whose side the dataset itself tells.  stands: there were sides before, and they are kept.
    """
    if not flags or not (stands or n_brought == len(images)):
        return []
    counts = Counter(image.split for image in images if not image.set_aside)
    sides = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
    verb = "moves" if len(flags) == 1 else "move"
    is_brought = n_brought == len(images)
    return [
        Notice(
            f"{' and '.join(flags)} {verb} no image: "
            + ("the dataset brings its own split" if is_brought else "the split that was drawn stands")
            + f" ({sides})",
            code="split-brought" if is_brought else "split-kept",
            why=None if is_brought else "an image that was trained on must not become a test image unasked",
            hint="leave it out; of a table, --split-col none takes no notice of its split" if is_brought
            else "fgvr-kit init --resplit draws it anew; until then only classes that are new are split so",
        )
    ]  # fmt: skip


def _one_group(images: Sequence[ScannedImage]) -> list[Notice]:
    """A group of most images leaves little to hold out."""
    key, n = Counter(image.group or image.sha256 for image in images).most_common(1)[0] if images else ("", 0)
    if n <= max(MOST_OF_A_GROUP * len(images), 2):
        return []
    return [
        Notice(
            f"{n:,} of {len(images):,} images are one group and stand on one side of the split",
            code="split-one-group",
            where=next(image.path for image in images if (image.group or image.sha256) == key),
            why="what [dataset] group_by names joins them, one through the other",
            hint="group by something finer (--group-by), then fgvr-kit init --resplit",
        )
    ]


def _lacking(images: Sequence[ScannedImage]) -> list[Notice]:
    notices: list[Notice] = []
    per_class: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        per_class[image.class_name][image.split or ""] += 1
    if singles := sorted(name for name, counts in per_class.items() if counts.total() == 1):
        notices.append(
            Notice(
                f"{_some(singles)} has only one image: it is trained on and cannot be tested",
                code="class-one-image",
                why="a test image must not be a training image",
                hint="add images, or remove the class, and run init again",
            )
        )
    for split, verb in (("train", "trained on"), ("test", "tested")):
        lacking = sorted(n for n, c in per_class.items() if not c[split] and c.total() > 1)
        if lacking:
            notices.append(
                Notice(
                    f"{_some(lacking)} has no {split} image and is never {verb}",
                    code=f"class-no-{split}",
                    hint="add images to that split, or remove the class, and run init again",
                )
            )
    return notices


def _spellings(images: Sequence[ScannedImage]) -> list[Notice]:
    return [
        Notice(
            f"{' and '.join(map(repr, names))} look like one class under {len(names)} spellings",
            code="class-spellings",
            why="a model cannot tell two names of one thing apart",
            hint="fgvr-kit init --merge-spellings makes them one; or edit display_name in classes.csv",
        )
        for names in spellings(image.class_name for image in images)
    ]


def _torn(images: Sequence[ScannedImage]) -> list[Notice]:
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for image in images:
        labels[image.sha256].setdefault(image.class_name, image.path)
    torn = [paths for paths in labels.values() if len(paths) > 1]
    if not torn:
        return []
    return [
        Notice(
            f"{len(torn)} pictures lie under two classes with the very same pixels",
            code="image-two-classes",
            where="; ".join(" = ".join(sorted(paths.values())) for paths in torn[:5]),
            why="one of the two labels must be wrong",
            hint="fgvr-kit check shows them; remove the wrong one and run init again",
        )
    ]


def _leaks(images: Sequence[ScannedImage]) -> list[Notice]:
    sides: dict[str, set[str]] = defaultdict(set)
    for image in images:
        sides[image.group or image.sha256].add(image.split or "")
    leaked = [i for i in images if i.split == "test" and "train" in sides[i.group or i.sha256]]
    if not leaked:
        return []
    return [
        Notice(
            f"{len(leaked)} test images have a training image of the same picture or group",
            code="split-leak",
            where=leaked[0].path,
            why="accuracy measured on them is too high",
            hint="fgvr-kit check shows them; fgvr-kit check --regroup keeps each group on one side",
        )
    ]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"class {shown}" if len(names) == 1 else f"each of the classes {shown}{more}"
