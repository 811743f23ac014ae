"""reports/check.html: what `check` found as one file to look at, offline, with the pictures in it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import fgvr_kit
from fgvr_kit import plugins
from fgvr_kit.checks.base import Belief, Verdict
from fgvr_kit.edited import write_text
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.report.render import template
from fgvr_kit.report.thumbnails import Thumbnail, thumbnails
from fgvr_kit.types import SPLITS, Finding, ImageRef, ScannedImage, Severity, Skipped

if TYPE_CHECKING:
    from fgvr_kit.pipeline.check import Checked

MOST_SHOWN = 200
"""Findings of a kind that are shown one by one; the rest is counted."""
MOST_OF_FINDINGS = 800
"""Pictures of findings on the page, shared out fairly among the kinds."""
MOST_OF_CLASSES = 1_200
"""Pictures of classes on the page: twelve each of a hundred."""
LEAST_OF_A_CLASS = 4
"""Fewer pictures say little about a class; before that, classes are left out."""
MOST_FILES = 500
"""Files left out that are named one by one."""

_ORDER: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True, slots=True)
class CheckPage:
    """What stands on the page.

    folder: where the paths of images start from; no part of it is written.  images: those in use.  verdicts:
    check -> what it found, in the order shown.  abouts: check -> what it looks at.  kinds: kind of finding ->
    what it means, of all that are looked for.  fail_on: kinds with which `check` ends in exit code 3.
    display_names: class -> how prompts write it.  thumbnails: pictures of each class.
    """

    title: str
    folder: Path
    images: Sequence[ScannedImage]
    verdicts: Mapping[str, Verdict]
    abouts: Mapping[str, str]
    kinds: Mapping[str, str]
    set_aside: Sequence[ScannedImage] = ()
    skipped: Sequence[Skipped] = ()
    fail_on: Sequence[str] = ()
    display_names: Mapping[str, str] = field(default_factory=dict)
    thumbnails: int = 12
    generated: datetime = field(default_factory=lambda: datetime.now(UTC))
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, checked: Checked) -> CheckPage:
        """The page of a check that has just run."""
        subject = checked.subject
        workspace = subject.workspace
        modules = {name: plugins.load("checks", name) for name in checked.verdicts}
        return cls(
            title=_title(workspace.place),
            folder=workspace.dataset,
            images=subject.images,
            verdicts=checked.verdicts,
            abouts={name: module.ABOUT for name, module in modules.items()},
            kinds={kind: means for module in modules.values() for kind, means in module.KINDS.items()},
            set_aside=subject.set_aside,
            skipped=subject.skipped,
            fail_on=workspace.settings.check.fail_on,
            display_names={row.name: row.display_name for row in workspace.class_rows()},
            thumbnails=workspace.settings.check.thumbnails,
            versions={"fgvr-kit": fgvr_kit.__version__, "Pillow": version("pillow")},
        )


def _title(place: Path) -> str:
    """What a dataset is called by where it lies: ".../seedlings/data" is "seedlings"."""
    named = [
        part
        for part in (
            place.stem if place.is_file() else place.name,
            *(parent.name for parent in place.parents),
        )
        if part
    ]
    return next(
        (part for part in named if part.casefold() not in _NAMELESS), named[0] if named else "dataset"
    )


_NAMELESS = {"data", "dataset", "images", "photos", "pictures", "train", "annotations", "labels", "instances"}


def write_check_page(path: Path, page: CheckPage, progress: Progress = SILENT) -> int:
    """Write the page, and its folder where there is none; return its size in bytes.

    Pictures that cannot be opened any more are named in their place. The same dataset gives the same page, but
    for the time.
    """
    html = render_check_page(page, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)
    return len(html.encode())


def render_check_page(page: CheckPage, progress: Progress = SILENT) -> str:
    """The page as text."""
    by_path = {image.path: image for image in (*page.images, *page.set_aside)}
    kinds = _kinds(page, by_path)
    classes, n_each = _classes(page)
    wanted = {path for kind in kinds for card in kind.cards for path in card.paths}
    wanted |= {path for one in classes for path in one.paths}
    refs = {
        path: ImageRef(page.folder / by_path[path].file, by_path[path].sha256, by_path[path].box)
        for path in sorted(wanted)
    }
    made = thumbnails(refs, progress)
    named = {finding.path for verdict in page.verdicts.values() for finding in verdict.findings}
    return template("check.html", page.folder).render(
        page=page,
        kinds=kinds,
        classes=classes,
        n_each=n_each,
        splits=[split for split in SPLITS if any(image.split == split for image in page.images)],
        counts=Counter(image.split for image in page.images),
        largest=max((one.total for one in classes), default=1),
        absent={kind: means for kind, means in page.kinds.items() if kind not in {k.kind for k in kinds}},
        pictures={path: _Picture(by_path[path], made[path]) for path in refs},
        left_out=[one for one in page.skipped if one.path not in named],
        set_aside=Counter(image.set_aside for image in page.set_aside).most_common(),
        most_files=MOST_FILES,
    )


# --- findings -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Picture:
    image: ScannedImage
    thumbnail: Thumbnail


@dataclass(frozen=True, slots=True)
class _Card:
    """A finding, and the pictures it is shown with.  n_left_out: those there is no room for."""

    finding: Finding
    paths: tuple[str, ...]
    n_left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """All findings of a kind.  why, hint: what most of them say, or "".  notes: of the check that found them.
    against: numbers are not to be believed with it.  fails: `check` ends in exit code 3."""

    kind: str
    severity: Severity
    means: str
    n: int
    cards: list[_Card]
    why: str
    hint: str
    notes: tuple[str, ...]
    against: bool
    fails: bool

    @property
    def n_without_room(self) -> int:
        return sum(card.n_left_out > 0 for card in self.cards)


def _kinds(page: CheckPage, by_path: Mapping[str, ScannedImage]) -> list[_Kind]:
    """The kinds that were found, what matters most first."""
    found: dict[str, list[Finding]] = defaultdict(list)
    notes: dict[str, tuple[str, ...]] = {}
    for verdict in page.verdicts.values():
        for finding in verdict.findings:
            found[finding.kind].append(finding)
            notes[finding.kind] = verdict.notes
    belief = Belief.of([f for findings in found.values() for f in findings], page.fail_on)
    shown = [[_Card(f, _paths(f, by_path)) for f in findings[:MOST_SHOWN]] for findings in found.values()]
    shares = fair_shares([sum(len(card.paths) for card in cards) for cards in shown], MOST_OF_FINDINGS)
    kinds = [
        _Kind(
            kind,
            min((f.severity for f in findings), key=_ORDER.index),
            page.kinds.get(kind, ""),
            len(findings),
            _within(cards, share),
            _shared([f.why for f in findings]),
            _shared([f.hint for f in findings]),
            notes[kind],
            kind in belief.against,
            kind in page.fail_on,
        )
        for (kind, findings), cards, share in zip(found.items(), shown, shares, strict=True)
    ]
    return sorted(kinds, key=lambda one: (not one.against, _ORDER.index(one.severity)))


def _paths(finding: Finding, by_path: Mapping[str, ScannedImage]) -> tuple[str, ...]:
    return tuple(path for path in (finding.path, finding.other) if path and path in by_path)


def _within(cards: Sequence[_Card], most: int) -> list[_Card]:
    """The cards, without pictures once so many are shown."""
    found = []
    for card in cards:
        most -= len(card.paths)
        found.append(card if most >= 0 else _Card(card.finding, (), len(card.paths)))
    return found


def fair_shares(wanted: Sequence[int], most: int) -> list[int]:
    """How many each gets of so many: what it wants, or as much as any other that wants more."""
    shares = [0] * len(wanted)
    left = len(wanted)
    for n in sorted(range(len(wanted)), key=wanted.__getitem__):
        shares[n] = min(wanted[n], most // left)
        most -= shares[n]
        left -= 1
    return shares


def _shared(texts: Sequence[str | None]) -> str:
    """What at least half of them say, or ""."""
    text, n = Counter(texts).most_common(1)[0]
    return text if text and 2 * n >= len(texts) else ""


# --- classes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    display_name: str
    counts: Counter[str]
    n_set_aside: int
    paths: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.counts.total()


def _classes(page: CheckPage) -> tuple[list[_Class], int]:
    """(every class by name, how many pictures each is shown with). Where there are very many classes, the last
    ones are shown without pictures."""
    members: dict[str, list[ScannedImage]] = defaultdict(list)
    for image in page.images:
        members[image.class_name].append(image)
    aside = Counter(image.class_name for image in page.set_aside)
    names = sorted(members | aside, key=_in_order)
    n_each = min(page.thumbnails, max(LEAST_OF_A_CLASS, MOST_OF_CLASSES // max(1, len(names))))
    n_shown = MOST_OF_CLASSES // n_each if n_each else 0
    found = []
    for number, name in enumerate(names):
        chosen = sorted(members[name], key=lambda image: _hash(image.path))[: n_each * (number < n_shown)]
        chosen.sort(key=lambda image: (SPLITS.index(image.split or "train"), image.path))
        found.append(
            _Class(
                name,
                page.display_names.get(name, name),
                Counter(image.split or "" for image in members[name]),
                aside[name],
                tuple(image.path for image in chosen),
            )
        )
    return found, n_each


def _in_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """As people sort: "2_euro" before "10_cent", capitals beside small letters."""
    pieces = re.findall(r"\d+|\D+", name.casefold())
    return [(True, 0, p) if not p.isdecimal() else (False, int(p), "") for p in pieces], name


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
