from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.training.checkpoints.records import read_run
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace

ONE_STAGE = ("finedefics.stages=['instruct']", "finedefics.dropout=0.0", "finedefics.save_steps=2")


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[int]]:
    """Memory for so many samples at once from the given step on; returns the sizes that were tried."""

    def shrink(most: int, step: int) -> list[int]:
        tried: list[int] = []
        inner = StageTrainer.training_step

        def limited(trainer: StageTrainer, model: Any, inputs: Any, n: Any = None) -> Any:
            largest = max(micro.n for micro in inputs)
            tried.append(largest)
            if largest > most and trainer.state.global_step >= step:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate.")
            return inner(trainer, model, inputs, n)

        monkeypatch.setattr(StageTrainer, "training_step", limited)
        return tried

    return shrink


def losses(workspace: Workspace) -> list[float]:
    run = workspace.store.runs()[-1]["id"]
    return [step["terms"]["total"] for step in workspace.store.steps(run)]


def test_where_memory_does_not_suffice_training_goes_one_notch_down_and_says_so(
    reopen: Callable[..., Workspace], small_memory: Callable[[int, int], list[int]]
) -> None:
    with reopen(*ONE_STAGE, "finedefics.learning_rate=1e-9") as workspace:
        train_recipe(workspace)
        whole = losses(workspace)
    tried = small_memory(1, 2)
    with reopen(*ONE_STAGE, "finedefics.learning_rate=1.1e-9") as workspace:
        checkpoint, (summary,) = train_recipe(workspace)
        assert tried == [4, 4, 4, 2, 1]  # two steps, then the third in ever smaller parts
        assert losses(workspace) == pytest.approx(whole, abs=1e-5)
        assert [notice.code for notice in summary.notices] == ["stepped-down", "stepped-down", "few-steps"]
        document = read_run(checkpoint.folder)
        assert document is not None
        assert document["micro_batch"] == 1


def test_a_run_that_had_stepped_down_goes_on_so(
    reopen: Callable[..., Workspace], small_memory: Callable[[int, int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from fgvr_kit.training.runs import finished

    small_memory(2, 0)
    with reopen(*ONE_STAGE) as workspace:
        with monkeypatch.context() as patch:
            patch.setattr(finished, "keep", None)
            patch.setattr("fgvr_kit.training.runs.run.keep", _stop)
            with pytest.raises(KeyboardInterrupt):
                train_recipe(workspace)
        _, (summary,) = train_recipe(workspace)
    assert "stepped-down" in {notice.code for notice in summary.notices}


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def test_one_sample_that_does_not_fit_is_an_error(
    reopen: Callable[..., Workspace], small_memory: Callable[[int, int], list[int]]
) -> None:
    tried = small_memory(0, 0)
    with reopen(*ONE_STAGE) as workspace, pytest.raises(ModelError) as caught:
        train_recipe(workspace)
    assert (caught.value.code, tried) == ("out-of-memory", [4, 2, 1])


def test_a_smaller_micro_batch_that_was_asked_for_is_no_step_down(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopen(*ONE_STAGE, "finedefics.micro_batch=2") as workspace, monkeypatch.context() as patch:
        patch.setattr("fgvr_kit.training.runs.run.keep", _stop)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(workspace)
    with reopen(*ONE_STAGE, "finedefics.micro_batch=4") as workspace:
        checkpoint, (summary,) = train_recipe(workspace)
    assert "stepped-down" not in {notice.code for notice in summary.notices}
    document = read_run(checkpoint.folder)
    assert document is not None
    assert document["micro_batch"] == 4


def test_one_of_several_processes_does_not_step_down_alone(
    reopen: Callable[..., Workspace], small_memory: Callable[[int, int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tried = small_memory(2, 0)
    monkeypatch.setattr("fgvr_kit.training.runs.step_down.processes", SimpleNamespace(size=lambda: 2))
    with reopen(*ONE_STAGE) as workspace, pytest.raises(ModelError) as caught:
        train_recipe(workspace)
    assert (caught.value.code, tried) == ("out-of-memory", [4])
