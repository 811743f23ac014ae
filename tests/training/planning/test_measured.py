"""What is said of settings that fit, before they are adopted."""

from __future__ import annotations

from collections.abc import Callable

from fgvr_kit.training.planning.measured import changed_by
from fgvr_kit.workspace import Workspace


def test_settings_that_change_what_is_learned_are_told(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    best = {"finedefics.micro_batch": 2, "finedefics.gradient_checkpointing": True}
    assert changed_by(workspace, best) == []
    with reopen("finedefics.contrast=micro") as micro:
        (notice,) = changed_by(micro, best)
    assert notice.code == "plan-changes-result"
    assert "stage align and stage instruct" in notice.message
    (notice,) = changed_by(workspace, {"train.max_pixels": 100_000})
    assert "max_pixels" in notice.message


def test_what_was_chosen_by_a_flag_counts(reopen: Callable[..., Workspace]) -> None:
    with reopen("finedefics.contrast=micro", "finedefics.micro_batch=2") as micro:
        assert changed_by(micro, {"finedefics.micro_batch": 2}) == []
