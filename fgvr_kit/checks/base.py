"""What a check is, and what it looks at.

A file in this room is a check. It holds `ABOUT` (one line), `KINDS` (kind of finding -> what it means), and
`run(subject) -> Verdict`. A check judges; it changes nothing and asks no model but CLIP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import CheckSettings
from fgvr_kit.types import Finding, ScannedImage, Skipped
from fgvr_kit.workspace import Workspace

ORDER = ("files", "duplicates", "classes", "labels", "shortcuts", "power")
"""The built-in checks as they are run and shown; those from outside come after them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The dataset as `init` stored it.

    images: those in use, by path, with all facts; group is the key of what must share a split.  set_aside:
    those that are not used, with the reason.  alike: (pixel hash, other, match 0..1) of near-duplicates;
    identical pictures simply share a hash.
    """

    workspace: Workspace
    images: Sequence[ScannedImage]
    set_aside: Sequence[ScannedImage] = ()
    skipped: Sequence[Skipped] = ()
    alike: Sequence[tuple[str, str, float]] = ()
    settings: CheckSettings = field(default_factory=CheckSettings)
    progress: Progress = SILENT


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.  told: one line for the table, also where nothing is wrong.  figures: its numbers, for
    JSON and the page.  notes: what must stand beside them ("untrained toy model")."""

    told: str
    findings: Sequence[Finding] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Belief:
    """Whether numbers measured on the dataset may be believed: the one rule, for the terminal and the page.

    against: kind -> how many findings speak against it: problems, and whatever the user says fails the check.
    first: kind -> how many warnings should be looked at before.
    """

    against: Mapping[str, int]
    first: Mapping[str, int]

    @classmethod
    def of(cls, findings: Sequence[Finding], fail_on: Collection[str]) -> Belief:
        """What fail_on leaves out still speaks: it decides the exit code, not what is true."""
        against = Counter(f.kind for f in findings if f.severity == "problem" or f.kind in fail_on)
        first = Counter(f.kind for f in findings if f.severity == "warning" and f.kind not in against)
        return cls(against, first)


def counted(n: int, one: str, many: str = "") -> str:
    """ "1 leak", "2 leaks", "no leak": a number with its noun. many: where it is not one with an s."""
    if n == 0:
        return f"no {one}"
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def names() -> list[str]:
    """Every check in the order in which they run."""
    known = plugins.names("checks")
    return [*(name for name in ORDER if name in known), *(name for name in known if name not in ORDER)]


def kinds() -> dict[str, str]:
    """Every kind of finding -> what it means."""
    found: dict[str, str] = {}
    for name in names():
        found |= plugins.load("checks", name).KINDS
    return found
