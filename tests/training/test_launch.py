from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training.launch import (
    ALONE,
    WANTED,
    Machines,
    launch_environment,
    launch_line,
    machines,
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


def test_machines_know_each_other() -> None:
    two = machines(2, 1, "10.0.0.7:2950")
    assert two == Machines(2, 1, "10.0.0.7", 2950)
    assert machines(2, 0, "host").port == 29500
    assert machines(1, None, None) == ALONE
    line = launch_line(4, ["train"], on_gpus=True, among=two)
    told = {
        flag: line[line.index(flag) + 1] for flag in line if flag.startswith("--") and flag != "--multi_gpu"
    }
    assert (told["--num_machines"], told["--num_processes"], told["--machine_rank"]) == ("2", "8", "1")
    assert (told["--main_process_ip"], told["--main_process_port"]) == ("10.0.0.7", "2950")
    assert launch_environment(4, two)[WANTED] == "8"


@pytest.mark.parametrize(
    ("n", "this", "main"),
    [
        (2, None, "host"),
        (2, 0, None),
        (2, 2, "host"),
        (2, 0, "host:x"),
        (2, 0, "host:99999999"),
        (1, 0, None),
    ],
)
def test_machines_that_cannot_meet_are_refused(n: int, this: int | None, main: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        machines(n, this, main)
    assert caught.value.code == "machines-incomplete"


@pytest.mark.slow
def test_two_machines_train_what_one_does(workspace: Workspace, reopen: Callable[..., Workspace]) -> None:
    """Two launchers that meet through a port; with the first stage merged in between."""
    chosen = ["finedefics.dropout=0.0", "train.between=merge"]
    with reopen(*chosen) as alone:
        train_recipe(alone)
        wanted = [[s["terms"]["total"] for s in alone.store.steps(r["id"])] for r in alone.store.runs()]
    settings = [word for s in (*chosen, "finedefics.learning_rate=0.00020001") for word in ("--set", s)]
    lines = [
        [sys.executable, "-m", "fgvr_kit", "train", "--machines", "2", "--machine", str(n), "--main",
         f"127.0.0.1:{free_port}", *settings]
        for free_port in [_free_port()]
        for n in range(2)
    ]  # fmt: skip
    started = [
        subprocess.Popen(line, cwd=workspace.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in lines
    ]
    told = [process.communicate(timeout=500) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert [out.count("trainable parameters") for out, _ in told] == [2, 0]
    for run, totals in zip(workspace.store.runs()[2:], wanted, strict=True):
        found = [s["terms"]["total"] for s in workspace.store.steps(run["id"])]
        assert found == pytest.approx(totals, abs=2e-4)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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
    line = [sys.executable, "-m", "fgvr_kit", "train", "--gpus", "2", "--json", *settings]
    told = subprocess.run(line, cwd=workspace.root, capture_output=True, text=True, check=False, timeout=500)
    assert told.returncode == 0, told.stderr
    assert [row["step"] for row in json.loads(told.stdout)["data"]["steps"]] == ["align", "instruct"]
    runs = workspace.store.runs()
    assert [run["status"] for run in runs] == ["done"] * 4
    for run, totals in zip(runs[2:], wanted, strict=True):
        found = [s["terms"]["total"] for s in workspace.store.steps(run["id"])]
        assert found == pytest.approx(totals, abs=2e-4)
        assert (Path(workspace.state) / "runs" / run["id"] / "adapter").is_dir()
