from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.photographs import class_folders


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


class Shell:
    """Runs `fgvr-kit ...` in a folder, in this process: as a newcomer would type it."""

    def __init__(self, cwd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.cwd, self._monkeypatch, self._capfd = cwd, monkeypatch, capfd
        for name in [n for n in os.environ if n.startswith("FGVR_") and "__" in n]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, *args: str | Path) -> Result:
        from fgvr_kit.cli.app import app

        self._monkeypatch.chdir(self.cwd)
        self._capfd.readouterr()
        try:
            app([str(a) for a in args], prog_name="fgvr-kit")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        else:
            code = 0
        out, err = self._capfd.readouterr()
        return Result(code, out, err)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capfd)


@pytest.fixture
def pests(tmp_path: Path) -> Path:
    """Three classes of six small pictures each."""
    return class_folders(tmp_path / "pests", {"bee": 6, "wasp": 6, "ant": 6})


def python(code: str, *, cwd: Path | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, timeout=timeout, check=False
    )
