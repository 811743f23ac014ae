"""How CLIP is told of each class: the lines of a rendered prompt, each a text of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fgvr_kit.dataset.names import folded
from fgvr_kit.errors import PromptError
from fgvr_kit.pipeline.leaks import names_of
from fgvr_kit.pipeline.mine.mined import Guard
from fgvr_kit.types import ImageClass, Notice
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.pipeline.mine.neighbours import Floats


@dataclass(frozen=True, slots=True)
class ClassTexts:
    """The classes by name, and the vector that stands for the texts of each: (C, D) unit rows.

    related: class -> the classes that are no wrong answer where it is the true one, and why.
    """

    names: Sequence[str]
    vectors: Floats
    related: Mapping[str, Mapping[str, Guard]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, int]:
        return {name: c for c, name in enumerate(self.names)}

    def right_answers(self) -> list[list[int]]:
        """Of each class its column, and those of the classes that are related to it."""
        column = self.columns
        return [
            [c, *(column[other] for other in self.related.get(name, ()) if other in column)]
            for name, c in column.items()
        ]


def variables_of(image_class: ImageClass) -> dict[str, Any]:
    """What prompts of mine/ are given beside the words of [domain]."""
    return {
        "name": image_class.display_name,
        "synonyms": list(image_class.synonyms),
        "scientific": image_class.scientific,
        "common": image_class.common,
        "parent": image_class.parent,
    }


def texts_of(workspace: Workspace, classes: Mapping[str, ImageClass]) -> dict[str, list[str]]:
    """Class -> its texts, one for each non-empty line of [mine] prompt.

    Raises PromptError "prompt-classes-alike" when two classes are told of in the same words (none at all, most of
    all): whatever was compared with them would say nothing.
    """
    template = workspace.prompts.get(workspace.settings.mine.prompt)
    found: dict[str, list[str]] = {}
    told: dict[tuple[str, ...], str] = {}
    for name, image_class in classes.items():
        rendered = template.render(**variables_of(image_class)).text
        lines = [" ".join(line.split()) for line in rendered.splitlines() if line.strip()]
        other = told.setdefault(tuple(lines), name)
        if other != name or not lines:
            raise PromptError(
                f"prompt {template.name} says the same of the classes {other!r} and {name!r}"
                if lines else f"prompt {template.name} says nothing of the class {name!r}",
                code="prompt-classes-alike", where=str(template.path),
                hint='write {{ name }} into its text and "name" into needs',
            )  # fmt: skip
        found[name] = lines
    return found


def nameless(
    texts: Mapping[str, list[str]], classes: Mapping[str, ImageClass], prompt: str
) -> tuple[Notice, ...]:
    """A notice where some text does not hold any name of its class."""
    lines = [
        line
        for name, of_class in texts.items()
        for line in of_class
        if not any(folded(called) in folded(line) for called in names_of(classes[name]))
    ]
    if not lines:
        return ()
    return (
        Notice(
            f"{len(lines):,} of the texts that tell CLIP of classes do not name their class",
            code="prompt-nameless",
            why=f"such as {lines[0]!r}",
            hint=f"write {{{{ name }}}} into every line of prompt {prompt}, unless the line describes the class",
        ),
    )
