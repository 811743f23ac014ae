"""The curves of a stage as a picture: its loss, and the accuracy on validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ACCURACY = "val_accuracy"
"""What an accuracy is called among the terms of a step."""
_NO_CURVES = {"lr", ACCURACY}
_INCHES, _DPI = (8, 4.5), 110


def draw_curves(steps: Sequence[Mapping[str, Any]], file: Path, title: str) -> bool:
    """Write a PNG of rows of table `steps`; False when matplotlib is not installed.

    Terms stand over optimizer steps, the accuracy has an axis of its own, from 0 to 1.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    losses = figure.subplots()
    names = [name for name in steps[-1]["terms"] if name not in _NO_CURVES] if steps else []
    for name in names:
        points = [(row["step"], row["terms"][name]) for row in steps if name in row["terms"]]
        wide = 2.0 if name == "total" else 1.0
        losses.plot(*zip(*points, strict=True), label=name.replace("_", " "), linewidth=wide)
    losses.set(xlabel="optimizer step", ylabel="loss", title=title)
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    measured = [(row["step"], row["terms"][ACCURACY]) for row in steps if ACCURACY in row["terms"]]
    if measured:
        right = losses.twinx()
        right.plot(*zip(*measured, strict=True), "k.--", label="accuracy (validation)")
        right.set(ylabel="accuracy", ylim=(0, 1))
        right.legend(loc="lower right")
    if names:
        losses.legend(loc="upper right")
    figure.savefig(file, format="png")
    return True
