"""A module of this room in a Python process of its own: an import that crashes or hangs must not take doctor
with it.

What the child has to say it says in marked lines of JSON on stdout, each as soon as it is known. Standard
library only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MARK = "fgvr-kit-doctor "  # libraries print on stdout too
_ABOVE_US = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Said:
    """What a child said until its end. died: how it ended, if it did not end well."""

    lines: tuple[dict[str, Any], ...]
    died: str | None = None


def say(**line: Any) -> None:
    """Called in the child: one line to its parent."""
    sys.stdout.write(_MARK + json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def run(module: str, *arguments: str, seconds: float, environ: Mapping[str, str] | None = None) -> Said:
    """Run `fgvr_kit.doctor.<module>` with arguments. environ: variables over those of this process."""
    path = os.pathsep.join(filter(None, [_ABOVE_US, os.environ.get("PYTHONPATH", "")]))
    try:
        # -P: a file named torch.py in the current folder is not torch.
        done = subprocess.run(
            [sys.executable, "-P", "-m", f"fgvr_kit.doctor.{module}", *arguments],
            env={**os.environ, **(environ or {}), "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return Said(_lines(late.stdout or b""), f"did not end within {seconds:g} s")
    except OSError as error:
        return Said((), f"could not be started: {error}")
    return Said(_lines(done.stdout), _end(done.returncode, done.stderr))


def _lines(out: bytes) -> tuple[dict[str, Any], ...]:
    texts = out.decode("utf-8", "replace").splitlines(keepends=True)
    whole = (text for text in texts if text.endswith("\n"))  # a child that was ended may leave half a line
    return tuple(json.loads(text.removeprefix(_MARK)) for text in whole if text.startswith(_MARK))


def _end(code: int, err: bytes) -> str | None:
    if code == 0:
        return None
    if code < 0:
        try:
            return f"crashed ({signal.Signals(-code).name})"
        except ValueError:
            return f"was ended by signal {-code}"
    last = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()][-1:]
    return f"ended with exit code {code}" + (f": {last[0].strip()}" if last else "")
