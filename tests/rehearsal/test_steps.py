from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.prompts import Prompts
from fgvr_kit.rehearsal.steps import prompts_in_use, steps_changed_by, steps_using
from fgvr_kit.status import steps
from fgvr_kit.types import Summary
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected

NAMES = sorted(Prompts().names())


def pretend_all_done(root: Path) -> None:
    """Every step that a workspace without a model can have a fingerprint of stands."""
    from fgvr_kit.pipeline import describe, discover, extract

    with Workspace(root) as workspace:
        for name, module in (("discover", discover), ("extract", extract), ("describe", describe)):
            workspace.store.finish(name, module.fingerprint_of(workspace), Summary(name, {}))


@pytest.mark.parametrize("name", NAMES)
def test_the_steps_told_are_those_that_become_stale(root: Path, name: str) -> None:
    pretend_all_done(root)
    file = ejected(root, name)
    file.write_text(file.read_text() + "\nBe brief.")
    with Workspace(root) as workspace:
        told = set(steps_changed_by(workspace, name))
        stale = {step.name for step in steps(workspace) if step.state == "stale"}
    told &= {"discover", "extract", "describe"}
    # What is sent only where a description names its class need not make this workspace's stale.
    assert stale <= told if name == "describe/again" else stale == told


def test_the_settings_decide_which_prompts_are_sent(root: Path) -> None:
    with Workspace(root, ["describe.by=template"]) as workspace:
        assert prompts_in_use(workspace)["describe"] == ("describe/template",)
        assert steps_using(workspace, "describe/summary") == []
    with Workspace(root) as workspace:
        assert steps_using(workspace, "ask/choice") == ["instruct", "eval"]
        assert steps_changed_by(workspace, "describe/summary") == ["describe", "align", "instruct", "eval"]


def test_a_part_concerns_the_steps_of_the_prompts_that_include_it(root: Path) -> None:
    (root / "prompts" / "parts").mkdir(parents=True)
    (root / "prompts" / "parts" / "light.md").write_text("Mind the light.")
    file = ejected(root, "extract/question")
    file.write_text(file.read_text() + '\n{% include "parts/light.md" %}')
    with Workspace(root) as workspace:
        assert steps_using(workspace, "parts/light.md") == ["extract"]
        assert steps_using(workspace, "parts/other.md") == []


def test_every_prompt_of_a_step_is_there(root: Path) -> None:
    with Workspace(root) as workspace:
        used = {name for names in prompts_in_use(workspace).values() for name in names}
    assert used <= set(NAMES)
