"""classes: no image left, too few, too many beside the others, none to train or test on; names that are one name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fgvr_kit.checks.base import Subject, Verdict, counted
from fgvr_kit.checks.files import is_unusable
from fgvr_kit.dataset.files import class_named, split_named
from fgvr_kit.dataset.names import folded, spellings
from fgvr_kit.types import SPLITS, Finding, ImageClass

ABOUT = "classes that are empty, too small, unbalanced, never trained on or tested, or share a name"
KINDS = {
    "class-empty": "a class without an image in use: all of them are set aside, or cannot be read",
    "small-class": "a class with fewer training images than [check] small_class",
    "imbalance": "the largest class has over [check] imbalance times the training images of the smallest",
    "class-no-test": "a class without test images: how well it is told is not measured",
    "class-no-train": "a class without training images: it is never learned",
    "class-spellings": "labels that are one name but for case, gaps and accents typed in two ways",
    "class-names": "a display name, synonym or scientific name in classes.csv that two classes share",
    "class-parent": "a parent in classes.csv that is spelled in two ways",
}

Counts = Mapping[str, Counter[str]]
"""class -> split -> images."""


def run(subject: Subject) -> Verdict:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for image in subject.images:
        counts[image.class_name][image.split or ""] += 1
    rows = subject.workspace.class_rows()
    shots = subject.workspace.settings.dataset.shots
    asked = subject.settings.small_class
    empty = list(_empty(subject, counts))
    findings = [
        *empty,
        *_without(counts),
        *_small(counts, min(asked, shots) if shots else asked),
        *_imbalance(counts, subject.settings.imbalance),
        *_spellings(counts, {row.name: row.display_name for row in rows}),
        *_names(rows),
        *_scientific(rows),
        *_parents(rows),
    ]
    lost = f"; {counted(len(empty), 'class', 'classes')} without an image in use" if empty else ""
    return Verdict(_told(counts) + lost, findings, _figures(counts) | {"empty": len(empty)})


def _told(counts: Counts) -> str:
    per_split = [
        f"{_range([c[split] for c in counts.values()])} to {verb}"
        for split, verb in (("train", "train on"), ("test", "test"))
    ]
    return (
        f"{counted(len(counts), 'class', 'classes')} of {_range([c.total() for c in counts.values()])} images each, "
        + ", ".join(per_split)
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _figures(counts: Counts) -> dict[str, object]:
    trained = [c["train"] for c in counts.values() if c["train"]]
    splits = [split for split in SPLITS if any(c[split] for c in counts.values())]
    return {
        "classes": {name: {split: counts[name][split] for split in splits} for name in sorted(counts)},
        "largest": max(trained, default=0),
        "smallest": min(trained, default=0),
        "imbalance": round(max(trained) / min(trained), 2) if trained else None,
    }


# --- no image at all ---------------------------------------------------------------------------------------------


def _empty(subject: Subject, counts: Counts) -> Iterator[Finding]:
    """Classes that the dataset has and that no image in use is left of, with what became of their images."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for image in subject.set_aside:
        held[image.class_name][image.set_aside or ""] += 1
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    named = {_folder_class(image.path) for image in (*subject.images, *subject.set_aside)}
    for one in subject.skipped:
        name = one.class_name or _folder_class(one.path)
        if is_unusable(one) and (one.class_name or name not in named):
            lost[name][one.reason] += 1
    for name in sorted({*held, *lost} - {"", *counts}):
        yield _emptied(name, held[name], lost[name])


def _folder_class(path: str) -> str:
    """The class that the folders of a file stand for, "" for none."""
    *folders, _ = path.split("/")
    if folders and split_named(folders[0]):
        folders = folders[1:]
    return class_named(folders[0]) if folders else ""


def _emptied(name: str, held: Mapping[str, int], lost: Mapping[str, int]) -> Finding:
    aside, unread = sum(held.values()), sum(lost.values())
    became = [f"{_images(aside)} set aside ({_reasons(held)})"] if aside else []
    became += [f"{_images(unread)} that cannot be used ({_reasons(lost)})"] if unread else []
    chosen = bool(held) and not lost and all(why.startswith("licence") for why in held)
    hints = ["fgvr-kit check --release brings back what was set aside"] if aside and not chosen else []
    hints += ["get its files again, or remove its folder, then fgvr-kit init"] if unread else []
    hints += ["name another licence in [dataset] only_licence, or go on without"] if chosen else []
    return Finding(
        "class-empty", "warning" if chosen else "problem",
        f"{name!r} has no image in use: it has {' and '.join(became)}", value=0.0,
        why="it is neither trained on nor tested, and no answer can name it",
        hint="; ".join(hints),
    )  # fmt: skip


def _reasons(reasons: Mapping[str, int]) -> str:
    """ "quarantined: conflict 2, not an image 1", the commonest first; at most three."""
    common = Counter(reasons).most_common()
    shown = ", ".join(f"{why} {n:,}" if len(common) > 1 else why for why, n in common[:3])
    return shown + (", ..." if len(common) > 3 else "")


# --- how many images ---------------------------------------------------------------------------------------------


def _without(counts: Counts) -> Iterator[Finding]:
    for name, of_class in sorted(counts.items()):
        n = of_class.total()
        has = f"{name!r} has {_images(n)}, which {'is' if n == 1 else 'are'} all"
        if not of_class["train"]:
            yield Finding(
                "class-no-train", "warning", f"{has} held out: none to train on", value=float(n),
                why="its name is never an answer in training",
                hint="add training images, or remove the class; then fgvr-kit init",
            )  # fmt: skip
        if not of_class["test"]:
            yield Finding(
                "class-no-test", "warning", f"{has} kept from the test: none to test on", value=float(n),
                why="no figure says how well it is told from the others",
                hint="add test images, or remove the class; then fgvr-kit init",
            )  # fmt: skip


def _small(counts: Counts, least: int) -> Iterator[Finding]:
    for name, of_class in sorted(counts.items()):
        n = of_class["train"]
        if 0 < n < least:
            yield Finding(
                "small-class", "warning", f"{name!r} has {_images(n, 'training ')}; {least} are asked for",
                value=float(n),
                why="training draws every image once an epoch and repeats none for a small class",
                hint="add images, or lower [check] small_class where so few are meant",
            )  # fmt: skip


def _imbalance(counts: Counts, most: float) -> Iterator[Finding]:
    trained = {name: c["train"] for name, c in sorted(counts.items()) if c["train"]}
    if not trained:
        return
    large, small = max(trained, key=trained.__getitem__), min(trained, key=trained.__getitem__)
    ratio = trained[large] / trained[small]
    if ratio > most:
        yield Finding(
            "imbalance", "warning",
            f"{large!r} has {ratio:.3g} times the training images of {small!r}: {trained[large]:,} and"
            f" {trained[small]:,}",
            value=round(ratio, 2),
            why="training weighs nothing: every image is drawn once an epoch, so that a large class is seen that"
            " much more often; and accuracy counts images, not classes",
            hint=f"add images to small classes; or train on as many of each: [dataset] shots = {trained[small]},"
            " then fgvr-kit init",
        )  # fmt: skip


def _images(n: int, kind: str = "") -> str:
    return f"{n:,} {kind}image{'' if n == 1 else 's'}"


# --- what they are called ----------------------------------------------------------------------------------------


def _spellings(counts: Counts, shown: Mapping[str, str]) -> Iterator[Finding]:
    """Labels that are one name, unless their display names tell them apart."""
    for names in spellings(counts):
        if len({folded(shown[name]) for name in names}) == len(names):
            continue
        told = " and ".join(f"{name!r} ({_images(counts[name].total())})" for name in names)
        yield Finding(
            "class-spellings", "warning", f"{told} look like one class in {len(names)} spellings",
            value=float(len(names)),
            why="they are trained on as two classes, and the answer in the other spelling counts as wrong",
            hint="fgvr-kit init --merge-spellings makes them one; if they differ, say how in display_name of"
            " classes.csv",
        )  # fmt: skip


def _names(rows: Sequence[ImageClass]) -> Iterator[Finding]:
    """Display names, labels and synonyms that stand for two classes; not what _spellings tells already."""
    seen: dict[str, tuple[ImageClass, str]] = {}
    for row in rows:
        uses = {folded(name): "a synonym" for name in row.synonyms}
        uses |= {folded(row.name): "the label", folded(row.display_name): "the display name"}
        for key, use in uses.items():
            first, its_use = seen.setdefault(key, (row, use))
            if first is row or (key == folded(first.name) == folded(row.name)):
                continue
            refused = use == its_use == "the display name"
            yield Finding(
                "class-names", "problem" if refused else "warning",
                f"{key!r} is {its_use} of {first.name!r} and {use} of {row.name!r}",
                why="a question that shows both cannot be answered" if refused else "it tells them not apart",
                hint="give one of them another name in classes.csv, or make them one class by merged_into",
            )  # fmt: skip


def _scientific(rows: Sequence[ImageClass]) -> Iterator[Finding]:
    """A note only: sexes, ages and varieties of one species are classes too."""
    seen: dict[str, ImageClass] = {}
    for row in rows:
        if row.scientific and (first := seen.setdefault(folded(row.scientific), row)) is not row:
            yield Finding(
                "class-names", "note",
                f"{row.scientific!r} is the scientific name of {first.name!r} and of {row.name!r}",
                why="right for sexes, ages or varieties of one species; otherwise one of the two is wrong",
                hint="correct it in classes.csv where it is wrong",
            )  # fmt: skip


def _parents(rows: Sequence[ImageClass]) -> Iterator[Finding]:
    used = Counter(row.parent for row in rows if row.parent)
    for names in spellings(used):
        told = " and ".join(f"{name!r} ({used[name]:,})" for name in names)
        yield Finding(
            "class-parent", "warning", f"the parents {told} look like one in {len(names)} spellings",
            value=float(len(names)),
            why="the classes of one parent are taken for those of two",
            hint="write it in one way in classes.csv",
        )  # fmt: skip
