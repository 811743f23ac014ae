"""Which steps of the walk depend on which prompt."""

from __future__ import annotations

from fgvr_kit import plugins
from fgvr_kit.errors import DatasetError, PromptError
from fgvr_kit.evaluation.protocols import CHOICE_PROMPT
from fgvr_kit.pipeline import describe, discover, mine
from fgvr_kit.pipeline.extract.questions import prompts_used as prompts_of_extract
from fgvr_kit.status import RESTS_ON
from fgvr_kit.types import Attribute
from fgvr_kit.workspace import Workspace


def prompts_in_use(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """step -> the prompts that it sends as the settings are now."""
    settings = workspace.settings
    recipe = plugins.load("recipes", settings.train.recipe)
    return {
        "discover": tuple(discover.prompts_used(workspace)),
        "extract": tuple(prompts_of_extract(workspace, _attributes(workspace))),
        "describe": tuple(describe.prompts_used(workspace)),
        "mine": tuple(mine.prompts_used(workspace)),
        **getattr(recipe, "PROMPTS", {}),
        "eval": (CHOICE_PROMPT,),
    }


def steps_using(workspace: Workspace, prompt: str) -> list[str]:
    """The steps that send a prompt ("extract/general"), or a prompt that includes a part ("parts/light.md")."""
    return [
        step
        for step, names in prompts_in_use(workspace).items()
        if prompt in names or any(prompt in _parts(workspace, name) for name in names)
    ]


def steps_changed_by(workspace: Workspace, prompt: str) -> list[str]:
    """The steps that another wording of a prompt makes stale, in the order of the walk: those that send it, and
    those that rest on them."""
    stale = set(steps_using(workspace, prompt))
    for step, before in RESTS_ON.items():  # in the order of the walk
        if stale & set(before):
            stale.add(step)
    return [step for step in dict.fromkeys([*prompts_in_use(workspace), *RESTS_ON]) if step in stale]


def _attributes(workspace: Workspace) -> list[Attribute]:
    """Before there is a list: one that any open question stands for."""
    try:
        return workspace.attributes()
    except DatasetError:
        return [Attribute("any", "any")]


def _parts(workspace: Workspace, name: str) -> set[str]:
    try:
        return {part.name for part in workspace.prompts.get(name).parts}
    except PromptError:  # told by the step that sends it
        return set()
