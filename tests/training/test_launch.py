from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training.launch import (
    WANTED,
    launch_environment,
    launch_line,
    own_words,
    refuse_fewer,
    refuse_too_many,
)
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace


def test_gpus_are_started_by_accelerate_and_cpus_by_torchrun() -> None:
    """accelerate launch --cpu --num_processes 2 starts one process, without a word."""
    line = launch_line(2, ["train", "--json"], on_gpus=True)
    assert line[:4] == [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    assert line[-4:] == ["-m", "fgvr_kit", "train", "--json"]
    assert line[line.index("--num_processes") + 1] == "2"
    assert "--cpu" not in launch_line(2, [], on_gpus=False)
    assert launch_line(3, [], on_gpus=False)[2:6] == [
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "3",
    ]


@pytest.mark.parametrize("line", [["train", "--gpus", "2", "-m", "x"], ["train", "--gpus=2", "-m", "x"]])
def test_the_processes_are_not_asked_to_start_others(line: list[str]) -> None:
    assert own_words(line) == ["train", "-m", "x"]


def test_more_gpus_than_there_are_are_refused(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with reopen("train.device='auto'") as workspace, pytest.raises(SettingsError) as caught:
        refuse_too_many(workspace, 2)
    assert caught.value.code == "gpus-missing"
    with reopen() as workspace:  # device = "cpu"
        assert not refuse_too_many(workspace, 2)


def test_a_launcher_that_starts_fewer_processes_is_found_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch_environment(2)[WANTED] == "2"
    monkeypatch.setenv(WANTED, "2")
    with pytest.raises(ModelError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "processes-missing"
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse_fewer()


@pytest.mark.slow
def test_two_processes_train_what_one_trains(workspace: Workspace, reopen: Callable[..., Workspace]) -> None:
    one = ["finedefics.dropout=0.0", "finedefics.epochs=2"]
    with reopen(*one) as alone:
        train_recipe(alone)
        wanted = [[s["terms"]["total"] for s in alone.store.steps(r["id"])] for r in alone.store.runs()]
    settings = [
        word
        for s in (*one, "finedefics.save_steps=3", "finedefics.learning_rate=0.00020001")
        for word in ("--set", s)
    ]
    line = [sys.executable, "-m", "fgvr_kit", "train", "--gpus", "2", *settings]
    told = subprocess.run(line, cwd=workspace.root, capture_output=True, text=True, check=False, timeout=500)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("trainable parameters") == 2  # once a stage: the second process is silent
    runs = workspace.store.runs()
    assert [run["status"] for run in runs] == ["done"] * 4
    for run, totals in zip(runs[2:], wanted, strict=True):
        found = [s["terms"]["total"] for s in workspace.store.steps(run["id"])]
        assert found == pytest.approx(totals, abs=2e-4)
        assert (Path(workspace.state) / "runs" / run["id"] / "adapter").is_dir()
