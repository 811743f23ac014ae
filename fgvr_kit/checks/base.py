"""What a check is, and what it looks at.

A file in this room is a check. It holds `ABOUT` (one line), `KINDS` (kind of finding -> what it means), and
`run(subject) -> Verdict`. A check judges; it changes nothing and asks no model but CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
