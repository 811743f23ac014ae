"""check: may numbers measured on this dataset be believed? Before any GPU or LLM is used.

Runs every check of the room `checks`, writes down what they found, and on request sets images aside or mends
the split. Nothing is deleted, and the image folder is never written to.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.checks import base
from fgvr_kit.checks.base import Subject, Verdict
from fgvr_kit.dataset.splits import keep_shots
from fgvr_kit.errors import SettingsError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline import init
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import SPLITS, Finding, ScannedImage, Side, Summary
from fgvr_kit.workspace import Workspace

_QUARANTINED = "quarantined: "


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

    regroup: first put every group that stands on several sides of the split on the one where most of it is.
    quarantine: set aside the images of findings of the kinds in [check] quarantine, and check what is left.
    release: first bring back everything that was set aside so. Raises SettingsError for an unknown kind, and
    DatasetError when there are no images.
    """
    _refuse_unknown_kinds(workspace)
    made_from = fingerprint_of(workspace)
    done: dict[str, Any] = {}
    if release:
        done["brought back"] = _n_quarantined(workspace)
        _set_aside(workspace, {})
    if regroup:
        done["moved to the side of their group"] = _regroup(workspace)
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
    summary = _summary(verdicts, failed, done)
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
    return sum((image.set_aside or "").startswith(_QUARANTINED) for image in workspace.store.scanned())


def _set_aside(workspace: Workspace, reasons: dict[str, str]) -> None:
    """Make the quarantine hold just these pictures."""
    images = workspace.store.scanned()
    fresh = [replace(image, set_aside=_reason(image, reasons)) for image in images]
    dataset = workspace.settings.dataset
    ready = keep_shots(fresh, dataset.shots, dataset.seed)
    with _renewing(workspace), workspace.store.transaction():
        workspace.store.put_quarantined(reasons)
        workspace.store.put_images(ready, workspace.store.skipped())


def _reason(image: ScannedImage, reasons: dict[str, str]) -> str | None:
    kind = reasons.get(image.sha256)
    return f"{_QUARANTINED}{kind}" if kind else None


def _regroup(workspace: Workspace) -> int:
    """Put each group on one side, that of most of its images (training where two have as many); return how many
    images moved."""
    images = workspace.store.scanned()
    groups: dict[str, list[ScannedImage]] = defaultdict(list)
    for image in images:
        groups[image.group or image.sha256].append(image)
    sides: dict[str, Side] = {}
    for key, members in groups.items():
        counts = Counter(image.split for image in members)
        if len(counts) > 1:
            target = max(SPLITS, key=lambda split: counts[split])  # the first of SPLITS is train
            sides |= {image.sha256: Side(target, key, "regroup") for image in members}
    quarantined = workspace.store.quarantined()
    moved = [
        replace(i, split=sides[i.sha256].split if i.sha256 in sides else i.split,
                set_aside=_reason(i, quarantined))
        for i in images
    ]  # fmt: skip
    dataset = workspace.settings.dataset
    with _renewing(workspace), workspace.store.transaction():
        workspace.store.put_sides(sides)
        workspace.store.put_images(keep_shots(moved, dataset.shots, dataset.seed), workspace.store.skipped())
    return sum(old.split != new.split for old, new in zip(images, moved, strict=True))


@contextmanager
def _renewing(workspace: Workspace) -> Iterator[None]:
    """A change that `check` makes to the images is no reason to run `init` again, if it stood before."""
    stands = workspace.store.walk().get("init", {}).get("fingerprint") == init.fingerprint_of(workspace)
    yield
    if stands:
        workspace.store.renew("init", init.fingerprint_of(workspace))


def _summary(verdicts: dict[str, Verdict], failed: dict[str, int], done: dict[str, Any]) -> Summary:
    told = {name: verdict.told for name, verdict in verdicts.items() if verdict.told}
    notes = tuple(dict.fromkeys(note for verdict in verdicts.values() for note in verdict.notes))
    findings = [finding for verdict in verdicts.values() for finding in verdict.findings]
    told["may its numbers be believed"] = _believed(findings, failed)
    return Summary("check", {**done, **told}, notes=notes)


def _believed(findings: Sequence[Finding], failed: dict[str, int]) -> str:
    """The verdict in a few words; what `--fail-on` leaves out still speaks."""
    problems = Counter(f.kind for f in findings if f.severity == "problem") | Counter(failed)
    if problems:
        return "no: " + _counted(problems)
    if warnings := Counter(f.kind for f in findings if f.severity == "warning"):
        return "nothing forbids it, but look first at: " + _counted(warnings)
    return "nothing was found that speaks against it"


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} ({n:,})" for kind, n in kinds.items())
