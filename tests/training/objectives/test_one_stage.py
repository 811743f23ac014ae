"""Every ablation is a setting: it trains, and what it leaves out is left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fgvr_kit.recipes import finedefics
from fgvr_kit.status import steps
from fgvr_kit.training.checkpoints.checkpoint import final_checkpoint
from fgvr_kit.training.loop.watch import Watch
from fgvr_kit.training.runs.run import Run, train_recipe
from fgvr_kit.workspace import Workspace

BOTH = {"generation", "object_attribute", "attribute_category", "category_category", "instruct_generation"}


def test_one_stage_minimises_the_losses_of_both(reopen: Callable[..., Workspace]) -> None:
    with reopen("finedefics.stages=['both']", "finedefics.micro_batch=2") as workspace:
        checkpoint, (summary,) = train_recipe(workspace)
        assert final_checkpoint(workspace) == checkpoint
        first = workspace.store.steps(checkpoint.run_id)[0]["terms"]
        assert set(first) >= BOTH
        three = first["object_attribute"] + first["attribute_category"] + first["category_category"]
        total = first["generation"] + three / 2 + first["instruct_generation"]
        assert first["total"] == pytest.approx(total, abs=1e-4)
        assert summary.done["steps"] == 3
        assert [s.state for s in steps(workspace) if s.name in ("align", "instruct", "both")] == ["done"]


def test_one_stage_does_not_hang_on_the_micro_batch(reopen: Callable[..., Workspace]) -> None:
    totals = []
    for micro in (1, 4):
        with reopen(
            "finedefics.stages=['both']", "finedefics.dropout=0.0", f"finedefics.micro_batch={micro}"
        ) as workspace:
            checkpoint, _ = train_recipe(workspace)
            totals.append([s["terms"]["total"] for s in workspace.store.steps(checkpoint.run_id)])
    assert totals[0] == pytest.approx(totals[1], abs=2e-4)


def test_without_attributes_images_are_aligned_with_class_names_alone(
    reopen: Callable[..., Workspace],
) -> None:
    with reopen("finedefics.stages=['align']", "finedefics.attributes='none'") as workspace:
        workspace.store.put_descriptions([])
        checkpoint, _ = train_recipe(workspace)
        terms = workspace.store.steps(checkpoint.run_id)[0]["terms"]
        assert terms["total"] == pytest.approx(terms["generation"] + terms["object_attribute"], abs=1e-5)


def test_a_stage_alone_starts_from_the_base_model_and_stands_as_the_last(
    reopen: Callable[..., Workspace],
) -> None:
    with reopen("finedefics.stages=['instruct']") as workspace:
        checkpoint, summaries = train_recipe(workspace)
        assert [summary.step for summary in summaries] == ["instruct"]
        assert workspace.store.runs()[0]["parent"] is None
        assert final_checkpoint(workspace) == checkpoint
        assert finedefics.stages(workspace) == ("instruct",)


def test_an_aligned_stage_is_shared_by_ablations_of_the_next(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    inner = Run._train
    monkeypatch.setattr(Run, "_train", lambda run, s, *a: trained.append(s.name) or inner(run, s, *a))
    for setting in ("['align']", "['align', 'instruct']"):
        with reopen(f"finedefics.stages={setting}") as workspace:
            train_recipe(workspace)
    assert trained == ["align", "instruct"]


def test_options_come_in_another_order_in_the_second_epoch(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is drawn when rows are looked at, so the trainer must say in which epoch it is."""
    from fgvr_kit.training.data import questions

    seen: dict[int, set[int]] = {1: set(), 2: set()}
    inner = questions.shuffled
    now = [1]

    def spy(names: list[str], sha256: str, *, seed: int, epoch: int = 0) -> list[str]:
        seen[now[0]].add(epoch)
        return inner(names, sha256, seed=seed, epoch=epoch)

    monkeypatch.setattr(questions, "shuffled", spy)
    count = Watch.on_step

    def after(watch: Watch, step: int, *told: object) -> None:
        now[0] = 2 if step >= 3 else 1
        count(watch, step, *told)  # type: ignore[arg-type]

    monkeypatch.setattr(Watch, "on_step", after)
    with reopen("finedefics.stages=['instruct']", "finedefics.epochs=2") as workspace:
        _, (summary,) = train_recipe(workspace)
    assert summary.done["steps"] == 6
    assert 1 in seen[2]
    assert 1 not in seen[1]
