from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from fgvr_kit.training.loop.curves import draw_curves

STEPS = [
    {
        "step": n,
        "terms": {
            "total": 3 / n,
            "generation": 1 / n,
            "lr": 0.1,
            **({"val_accuracy": 0.5} if n == 4 else {}),
        },
    }
    for n in range(1, 9)
]


def test_curves_are_a_picture(tmp_path: Path) -> None:
    assert draw_curves(STEPS, tmp_path / "curves.png", "align")
    plain = draw_curves([{**s, "terms": {"total": 1.0}} for s in STEPS], tmp_path / "flat.png", "align")
    assert plain
    pictures = [Image.open(tmp_path / name).convert("RGB") for name in ("curves.png", "flat.png")]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_a_stage_without_steps_has_curves_too(tmp_path: Path) -> None:
    assert draw_curves([], tmp_path / "curves.png", "align")


def test_training_does_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw_curves(STEPS, tmp_path / "curves.png", "align")
    assert not (tmp_path / "curves.png").exists()
