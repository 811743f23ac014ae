"""Two gloo processes on the CPU against one process: the same loss, gradients and weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.training import processes
from tests.training.learned import assert_alike

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process found ("alone"), and each of two ("0", "1")."""
    folder = tmp_path_factory.mktemp("pair")
    run = subprocess.run(
        [sys.executable, "-m", "tests.training.pair", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    result: dict[str, Any] = {
        name: torch.load(folder / f"{name}.pt", weights_only=False) for name in ("alone", "0", "1")
    }
    result["folder"] = folder
    return result


@pytest.mark.parametrize("kind", ["direct", "cached", "bank"])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_contrast_over_two_processes_has_the_gradients_of_one(
    found: dict[str, Any], kind: str, rank: str
) -> None:
    """Six samples here and two there; texts and negatives of both, and the temperatures."""
    ours, theirs = found[rank][kind], found["alone"][kind]
    assert ours["terms"] == pytest.approx(theirs["terms"], rel=1e-5)
    assert_alike(ours["gradients"], theirs["gradients"])


def test_both_processes_have_the_same_bank(found: dict[str, Any]) -> None:
    assert found["0"]["bank"]["texts"] == found["1"]["bank"]["texts"] == found["alone"]["bank"]["texts"] > 0


def test_two_processes_train_both_stages_to_the_weights_of_one(found: dict[str, Any]) -> None:
    alone, first, second = (found[name] for name in ("alone", "0", "1"))
    assert len(first["steps"]) == len(alone["steps"]) == 8
    for ours, theirs in zip(first["steps"], alone["steps"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], weight, rtol=1e-2, atol=2e-4)
        assert torch.equal(first["weights"][name], second["weights"][name]), name


def test_the_first_process_alone_reports_and_saves(found: dict[str, Any]) -> None:
    assert found["1"]["steps"] == []
    checkpoint = found["folder"] / "pair" / "align" / "checkpoint-4"
    names = {path.name for path in checkpoint.iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt", "temperatures.json"} <= names


def test_both_processes_tell_the_image_of_a_bad_number(found: dict[str, Any]) -> None:
    for rank in ("0", "1"):
        code, where = found[rank]["error"]
        assert code == "loss-not-finite"
        assert "3.png" in where


def test_alone_everything_is_about_one_process() -> None:
    assert (processes.size(), processes.rank(), processes.is_first()) == (1, 0, True)
    assert processes.everyone("x") == ["x"]
    rows = torch.ones(2, 3, requires_grad=True)
    joined, start = processes.join_rows(rows)
    assert (joined.requires_grad, start) == (False, 0)
    processes.wait()
