"""How long `fgvr-kit --help` takes beside `python -c "import typer, rich"`; printed, and told as a ratio."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.bench


def seconds(argv: list[str], n: int = 15) -> list[float]:
    taken = []
    for _ in range(n):
        start = time.perf_counter()
        subprocess.run([sys.executable, *argv], check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return taken


def test_help_beside_its_libraries() -> None:
    ours, theirs = [], []
    for _ in range(3):  # alternating, so that a busy moment meets both
        theirs += seconds(["-c", "import typer, rich"], 5)
        ours += seconds(["-m", "fgvr_kit", "--help"], 5)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(
        f"\nfgvr-kit --help {a:.3f} s, import typer and rich {b:.3f} s, ratio {a / b:.2f} (wanted: under 2.5)"
    )
