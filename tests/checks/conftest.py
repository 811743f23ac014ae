from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from fgvr_kit.checks.base import Subject, Verdict
from fgvr_kit.pipeline.check import load_subject
from fgvr_kit.pipeline.init import init
from fgvr_kit.types import Finding
from fgvr_kit.workspace import Workspace
from tests.photographs import photograph


class Datasets:
    """Makes workspaces, and from them what a check looks at."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root, self._stack = root, stack

    def subject(self, folder: Path, *overrides: str, root: Path | None = None) -> Subject:
        """The images of a folder after `init`."""
        root = root or self.root / "work"
        init(folder, root, overrides)
        return load_subject(self._stack.enter_context(Workspace(root)))


@pytest.fixture
def datasets(tmp_path: Path) -> Iterator[Datasets]:
    with ExitStack() as stack:
        yield Datasets(tmp_path, stack)


def photographs(root: Path, files: Sequence[str], *, seed: int = 0) -> Path:
    """Photographs at these paths, no two alike."""
    for n, file in enumerate(files, seed):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(n).save(path)
    return root


def of_kind(verdict: Verdict, kind: str) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.kind == kind]


def pairs(verdict: Verdict, kind: str) -> set[tuple[str | None, str | None]]:
    """(path, other) of the findings of a kind."""
    return {(finding.path, finding.other) for finding in of_kind(verdict, kind)}
