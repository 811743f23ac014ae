"""What ends training before its time: afterwards the same command must give the very same weights."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.errors import FgvrError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.checkpoints.checkpoint import last_complete
from fgvr_kit.training.loop.interrupted import on_ctrl_c, telling_of_full_disk
from fgvr_kit.training.loop.watch import Watch
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace
from tests.training.conftest import build_workspace

ONE_STAGE = ("finedefics.stages=['instruct']", "finedefics.save_steps=2")
"""24 examples in batches of 8: three steps."""


def weights(workspace: Workspace) -> bytes:
    folder = next((workspace.state / "runs").glob("instruct-*"))
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.set_num_threads(1)
    root = build_workspace(tmp_path_factory.mktemp("undisturbed") / "work").root
    with Workspace(root, ONE_STAGE) as workspace:
        train_recipe(workspace)
        return weights(workspace)


@pytest.fixture
def work(reopen: Callable[..., Workspace]) -> Iterator[Workspace]:
    with reopen(*ONE_STAGE) as workspace:
        yield workspace


def checkpoints(workspace: Workspace) -> list[str]:
    return sorted(p.name for p in next((workspace.state / "runs").glob("*/checkpoints")).iterdir())


def test_ctrl_c_saves_the_step_under_way_and_the_same_command_goes_on(
    work: Workspace, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Watch.on_step

    def press(watch: Watch, step: int, *told: Any) -> None:
        inner(watch, step, *told)
        if step == 1 and not watch.is_interrupted:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "on_step", press)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(work)
    assert checkpoints(work) == ["checkpoint-2"]
    assert work.store.runs()[0]["status"] == "running"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train_recipe(work)
    assert weights(work) == undisturbed


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    pressed: list[int] = []

    def press_twice() -> None:
        with on_ctrl_c(lambda: pressed.append(1)):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("the second one was not heard")

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert pressed == [1]


def test_a_full_disk_is_told_and_leaves_the_last_good_checkpoint(
    work: Workspace, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def full(what: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        if "checkpoint-3" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(what, path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(FgvrError) as caught:
            train_recipe(work)
    assert caught.value.code == "disk-full"
    assert checkpoints(work) == ["checkpoint-2"]
    train_recipe(work)
    assert weights(work) == undisturbed


def test_a_disk_that_is_full_when_the_adapter_is_kept_costs_no_step(
    work: Workspace, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(vlm: Vlm, folder: Path) -> None:
        if folder.name == "adapter.part":
            folder.mkdir()
            raise OSError(errno.ENOSPC, "No space left on device")
        save(vlm, folder)

    save = Vlm.save_adapter
    steps: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Vlm, "save_adapter", full)
        with pytest.raises(FgvrError) as caught:
            train_recipe(work)
        assert caught.value.code == "disk-full"
    assert not list((work.state / "runs").glob("*/*.part"))
    monkeypatch.setattr(Watch, "on_step", lambda _, step, *__: steps.append(step))
    train_recipe(work)
    assert (weights(work), steps) == (undisturbed, [])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError('Error while serializing: IoError(Os { code: 28, message: "No space left on device" })'),
    ],
)
def test_every_way_of_saying_full_is_understood(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "adapter.part").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-9").mkdir(parents=True)
    with pytest.raises(FgvrError) as caught, telling_of_full_disk(tmp_path):
        raise error
    assert caught.value.code == "disk-full"
    assert not (tmp_path / "adapter.part").exists()
    assert last_complete(tmp_path / "checkpoints") is None
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), ValueError("no")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), telling_of_full_disk(tmp_path):
        raise error
