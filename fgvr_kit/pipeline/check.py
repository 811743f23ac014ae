"""check: may numbers measured on this dataset be believed? Before any GPU or LLM is used.

Runs every check of the room `checks`, writes down what they found, and on request sets images aside or mends
the split. Nothing is deleted, and the image folder is never written to.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.checks import base
from fgvr_kit.checks.base import Belief, Subject, Verdict
from fgvr_kit.dataset.groups import Groups
from fgvr_kit.dataset.quarantine import COPY_OF, GROUP_OF
from fgvr_kit.dataset.splits import SHOTS
from fgvr_kit.errors import SettingsError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline import init
from fgvr_kit.pipeline.init.aside import QUARANTINED, set_aside
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import SPLITS, Finding, ScannedImage, Side, Split, Summary
from fgvr_kit.workspace import Workspace

_COPIES = ("duplicate", "near-duplicate")
"""Kinds that are not for the quarantine: it goes by the pixels, and would leave none of a picture."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found.  verdicts: check -> verdict, in order.  failed: kinds of [check] fail_on that were
    found, with how many."""

    subject: Subject
    verdicts: dict[str, Verdict]
    findings: list[Finding]
    failed: dict[str, int]
    summary: Summary


def check(
    workspace: Workspace,
    *,
    quarantine: bool = False,
    release: bool = False,
    regroup: bool = False,
    progress: Progress = SILENT,
) -> Checked:
    """Run every check on the images that `init` stored.

    regroup: first put every group that stands on several sides of the split on the one where most of it is; of a
    split that the dataset brings, the held-out images stay, and the others of their group are set aside.
    quarantine: set aside the images of findings of the kinds in [check] quarantine, and check what is left.
    release: first bring back everything that was set aside by either. Raises SettingsError for an unknown kind, or
    one that is not for the quarantine, and DatasetError when there are no images.
    """
    _refuse_unknown_kinds(workspace)
    if quarantine:
        _refuse_copies(workspace)
    made_from = fingerprint_of(workspace)
    done: dict[str, Any] = {}
    if release:
        done["brought back"] = _n_quarantined(workspace)
        _set_aside(workspace, {})
    if regroup:
        n_moved, n_aside = _regroup(workspace)
        if n_moved or not n_aside:
            done["moved to the side of their group"] = n_moved
        if n_aside:
            done["set aside for a held-out image of their group"] = n_aside
    subject, verdicts = _run(workspace, progress)
    if quarantine:
        before = _n_quarantined(workspace)
        # Shots that take the place of images set aside may be suspect in their turn.
        while reasons := _suspects(subject, verdicts, workspace.settings.check.quarantine):
            _set_aside(workspace, workspace.store.quarantined() | reasons)
            subject, verdicts = _run(workspace, progress)
        done["set aside now"] = _n_quarantined(workspace) - before
    if release or regroup or quarantine:
        made_from = fingerprint_of(workspace)
    findings = [finding for verdict in verdicts.values() for finding in verdict.findings]
    workspace.store.put_findings(findings)
    counts = Counter(finding.kind for finding in findings)
    failed = {kind: counts[kind] for kind in workspace.settings.check.fail_on if counts[kind]}
    summary = _summary(verdicts, Belief.of(findings, workspace.settings.check.fail_on), done)
    workspace.store.finish("check", made_from, summary)
    return Checked(subject, verdicts, findings, failed, summary)


def fingerprint_of(workspace: Workspace) -> str:
    """What was checked: the images as stored, the table of classes, and how the checks are set."""
    settings = workspace.settings
    return fingerprint(
        "check",
        workspace.store.digest_images(["path", "class", "split", "sha256", "group_key"]),
        [[c.name, c.display_name, c.synonyms, c.scientific, c.parent] for c in workspace.class_rows()],
        settings.check.model_dump(exclude={"thumbnails", "fail_on", "quarantine"}),
        settings.check.model or settings.mine.model,
    )


def load_subject(workspace: Workspace, progress: Progress = SILENT) -> Subject:
    """The dataset as `init` stored it. Raises DatasetError when it knows no images, or is too old to tell."""
    images = workspace.store.scanned()
    if not images or any(image.pixel_facts is None for image in images):
        raise workspace.no_images()
    assert workspace.dataset  # raises where the folder is gone: no verdict on pictures that nobody can see
    return Subject(
        workspace,
        [image for image in images if not image.set_aside],
        [image for image in images if image.set_aside],
        workspace.store.skipped(),
        workspace.store.duplicates(),
        workspace.settings.check,
        progress,
    )


def _run(workspace: Workspace, progress: Progress) -> tuple[Subject, dict[str, Verdict]]:
    subject = load_subject(workspace, progress)
    names = base.names()
    verdicts: dict[str, Verdict] = {}
    with progress.task("checking", len(names)) as task:
        for name in names:
            verdicts[name] = plugins.load("checks", name).run(subject)
            task.advance(note=name)
    return subject, verdicts


def _refuse_unknown_kinds(workspace: Workspace) -> None:
    known = base.kinds()
    for key in ("fail_on", "quarantine"):
        for kind in getattr(workspace.settings.check, key):
            if kind not in known:
                close = difflib.get_close_matches(kind, known, n=1)
                raise SettingsError(
                    f"check.{key}: there is no kind of finding called {kind!r}",
                    code="check-kind",
                    hint=f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}",
                )


def _refuse_copies(workspace: Workspace) -> None:
    if copies := [kind for kind in workspace.settings.check.quarantine if kind in _COPIES]:
        raise SettingsError(
            f"check.quarantine: {' and '.join(map(repr, copies))} cannot be set aside",
            code="check-quarantine-kind",
            why="a picture is set aside wherever it lies: not one of its copies would be left",
            hint="remove all files but one of each and run fgvr-kit init; fgvr-kit check --json names them."
            " Across the sides of the split, fgvr-kit check --regroup mends them",
        )


def _suspects(subject: Subject, verdicts: dict[str, Verdict], kinds: Sequence[str]) -> dict[str, str]:
    """Pixel hash -> kind, of the images in use that findings of these kinds are about."""
    hashes = {image.path: image.sha256 for image in subject.images}
    return {
        hashes[path]: finding.kind
        for verdict in verdicts.values()
        for finding in verdict.findings
        if finding.kind in kinds
        # Of a conflict both are suspect; elsewhere the other one is only what it is compared with.
        for path in ((finding.path, finding.other) if finding.kind == "conflict" else (finding.path,))
        if path in hashes
    }


def _n_quarantined(workspace: Workspace) -> int:
    return sum(map(_is_quarantined, workspace.store.scanned()))


def _is_quarantined(image: ScannedImage) -> bool:
    return (image.set_aside or "").startswith(QUARANTINED)


def _set_aside(workspace: Workspace, reasons: dict[str, str]) -> None:
    """Make the quarantine hold just these pictures."""
    ready = set_aside(workspace.store.scanned(), workspace.settings.dataset, reasons)
    with _renewing(workspace), workspace.store.transaction():
        workspace.store.put_quarantined(reasons)
        workspace.store.put_images(ready, workspace.store.skipped())


# --- groups on several sides -----------------------------------------------------------------------------------


def _regroup(workspace: Workspace) -> tuple[int, int]:
    """Mend every group that stands on several sides; (how many images moved, how many were set aside)."""
    images = workspace.store.scanned()
    sides, reasons = _mended(workspace, images)
    quarantined = reasons | workspace.store.quarantined()
    moved = [replace(i, split=sides[i.sha256].split) if i.sha256 in sides else i for i in images]
    ready = set_aside(moved, workspace.settings.dataset, quarantined)
    with _renewing(workspace), workspace.store.transaction():
        workspace.store.put_sides(sides)
        workspace.store.put_quarantined(quarantined)
        workspace.store.put_images(ready, workspace.store.skipped())
    pairs = list(zip(images, ready, strict=True))
    n_aside = sum((old.set_aside or SHOTS) == SHOTS and _is_quarantined(new) for old, new in pairs)
    return sum(old.split != new.split for old, new in pairs), n_aside


def _mended(workspace: Workspace, images: Sequence[ScannedImage]) -> tuple[dict[str, Side], dict[str, str]]:
    """(pixel hash -> side, pixel hash -> why it is set aside), for the groups that stand on several sides.

    Test images that the dataset itself names stay what they are, or nobody could compare numbers measured on them:
    what is trained on makes way. Otherwise the side of most of a group is that of all (training where two have as
    many).
    """
    brought = {sha256 for sha256, side in workspace.store.sides().items() if side.by == "layout"}
    pictures = _pictures(images, workspace.store.duplicates())
    sides: dict[str, Side] = {}
    reasons: dict[str, str] = {}
    for key, members in _groups(images).items():
        counts = Counter(image.split for image in members)
        held = {image.split for image in members if image.split != "train" and image.sha256 in brought}
        if len(counts) == 1:
            continue
        if held:
            target: Split = "test" if "test" in held else "val"
            reasons |= _reasons(members, target, pictures)
        else:
            target = max(SPLITS, key=lambda split: counts[split])  # the first of SPLITS is train
            sides |= {image.sha256: Side(target, key, "regroup") for image in members}
    return sides, reasons


def _groups(images: Sequence[ScannedImage]) -> dict[str, list[ScannedImage]]:
    """Key -> the images of each group, without those that are set aside for another reason than [dataset] shots."""
    groups: dict[str, list[ScannedImage]] = defaultdict(list)
    for image in images:
        if (image.set_aside or SHOTS) == SHOTS:
            groups[image.group or image.sha256].append(image)
    return groups


def _reasons(members: Sequence[ScannedImage], target: Split, pictures: Mapping[str, int]) -> dict[str, str]:
    """Pixel hash -> why it is set aside, of the images of a group that make way for those of one side."""
    kept = {pictures[image.sha256] for image in members if image.split == target}
    return {
        image.sha256: (COPY_OF if pictures[image.sha256] in kept else GROUP_OF)[target]
        for image in members
        if image.split != target
    }


def _pictures(images: Sequence[ScannedImage], alike: Sequence[tuple[str, str, float]]) -> dict[str, int]:
    """Pixel hash -> a number that all near copies of one picture share."""
    number = {sha256: n for n, sha256 in enumerate(dict.fromkeys(image.sha256 for image in images))}
    groups = Groups(len(number))
    for one, other, _ in alike:
        if one in number and other in number:
            groups.join(number[one], number[other])
    return {sha256: groups.root(n) for sha256, n in number.items()}


@contextmanager
def _renewing(workspace: Workspace) -> Iterator[None]:
    """A change that `check` makes to the images is no reason to run `init` again, if it stood before."""
    stands = workspace.store.walk().get("init", {}).get("fingerprint") == init.fingerprint_of(workspace)
    yield
    if stands:
        workspace.store.renew("init", init.fingerprint_of(workspace))


def _summary(verdicts: dict[str, Verdict], belief: Belief, done: dict[str, Any]) -> Summary:
    told = {name: verdict.told for name, verdict in verdicts.items() if verdict.told}
    notes = tuple(dict.fromkeys(note for verdict in verdicts.values() for note in verdict.notes))
    told["may its numbers be believed"] = _believed(belief)
    return Summary("check", {**done, **told}, notes=notes)


def _believed(belief: Belief) -> str:
    """The verdict in a few words."""
    if belief.against:
        return "no: " + _counted(belief.against)
    if belief.first:
        return "nothing forbids it, but look first at: " + _counted(belief.first)
    return "nothing was found that speaks against it"


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} ({n:,})" for kind, n in kinds.items())
