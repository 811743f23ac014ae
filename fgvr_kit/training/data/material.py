"""What is made of the workspace's tables before a stage is trained: descriptions as the paper has them, or as its
ablations have them (Finedefics, tables 3, 5 and 6). No torch; nothing is asked and nothing is written.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fgvr_kit.errors import SettingsError, WorkspaceError
from fgvr_kit.pipeline.describe import TEMPLATE, is_seen
from fgvr_kit.pipeline.describe.telltale import Telltale
from fgvr_kit.types import GENERAL, Description, Image
from fgvr_kit.workspace import Workspace

Attributes = Literal["image", "class", "none"]
Asked = Literal["open", "choice"]
NegativesFrom = Literal["mined", "random"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Material:
    """Which of the paper's ablations the examples are made for; the defaults are the paper's method.

    attributes: whose descriptions stage align sees: each image's own; one of its class, made of the answers
    that are most usual there; none.  composed: descriptions are composed of the answers by
    prompts/describe/template.md, without the free description, in place of the stored ones.  left_out:
    attributes whose answers stand in none of them.  sentences: how many of a description are kept, 0 all.
    noise: share of images that get the description of an image of another class.
    """

    attributes: Attributes = "image"
    composed: bool = False
    left_out: tuple[str, ...] = ()
    sentences: int = 0
    noise: float = 0.0
    negatives_from: NegativesFrom = "mined"
    questions: tuple[Asked, ...] = ("open", "choice")
    seed: int = 42

    def align_prompts(self) -> tuple[str, ...]:
        """The prompts that examples of stage align are made with."""
        if self.attributes == "none":
            return ("ask/open",)
        made_here = self.composed or self.attributes == "class"
        return ("align/describe", TEMPLATE) if made_here else ("align/describe",)

    def instruct_prompts(self) -> tuple[str, ...]:
        return tuple(f"ask/{question}" for question in self.questions)


def descriptions_for(workspace: Workspace, images: Sequence[Image], material: Material) -> dict[int, str]:
    """image id -> description, for those of the images that have one.

    Raises SettingsError when attributes are left out that nobody asked for, or of stored descriptions.
    """
    distinct = list({image.id: image for image in images}.values())
    if material.left_out and not (material.composed or material.attributes == "class"):
        raise SettingsError(
            "attributes can be left out of composed descriptions only",
            code="left-out-needs-composed",
            why="a description that a model wrote cannot be taken apart",
            hint="set composed = true beside left_out",
        )
    if material.attributes == "none":
        return {}
    if material.composed or material.attributes == "class":
        texts = _composed(workspace, distinct, material)
    else:
        stored = workspace.store.descriptions()
        texts = {image.id: stored[image.id] for image in distinct if image.id in stored}
    if material.noise:
        texts = _noisy(texts, distinct, material)
    return {key: first_sentences(text, material.sentences) for key, text in texts.items()}


def first_sentences(text: str, n: int) -> str:
    """The first n sentences of a text; all of it for 0."""
    return " ".join(_SENTENCE_END.split(text)[:n]) if n else text


def _composed(workspace: Workspace, images: Sequence[Image], material: Material) -> dict[int, str]:
    """Descriptions made of answers alone, each without the name of its class ([describe] leaks)."""
    names = _names_left(workspace, material.left_out)
    answers = workspace.store.answers()
    if not any(image.id in answers for image in images):
        raise WorkspaceError(
            "no training image has answers yet", code="no-answers", hint="fgvr-kit attributes extract"
        )
    told = {image.id: _seen(answers[image.id], names) for image in images if image.id in answers}
    if material.attributes == "class":
        usual = _most_usual(images, told)
        told = {image.id: usual[image.class_name] for image in images}
    template = workspace.prompts.get(TEMPLATE)
    made = []
    for key, values in told.items():
        pairs = [(name.replace("_", " "), values[name]) for name in names if name in values]
        if text := " ".join(template.render(general="", answers=pairs).text.split()):
            made.append(Description(key, text, "template"))
    telltale = Telltale(workspace)
    leaks = workspace.settings.describe.leaks
    return {d.image_id: d.text for d in telltale.filtered(made, images, leaks)}


def _names_left(workspace: Workspace, left_out: Sequence[str]) -> list[str]:
    names = [attribute.name for attribute in workspace.attributes()]
    if unknown := [name for name in left_out if name not in names]:
        raise SettingsError(
            f"left_out names the attribute {unknown[0]!r}, which is not asked for",
            code="left-out-unknown",
            hint=f"there are: {', '.join(names)}",
        )
    return [name for name in names if name not in left_out]


def _seen(answers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: answers[name] for name in names if name != GENERAL and is_seen(answers.get(name, ""))}


def _most_usual(images: Sequence[Image], told: Mapping[int, dict[str, str]]) -> dict[str, dict[str, str]]:
    """class -> attribute -> the value that most of its images have; of equals the first in the alphabet."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for image in images:
        for name, value in told.get(image.id, {}).items():
            counts[image.class_name][name][value] += 1
    return {
        class_name: {
            name: min(values, key=lambda value: (-values[value], value)) for name, values in of_class.items()
        }
        for class_name, of_class in ((c, counts[c]) for c in {image.class_name for image in images})
    }


def _noisy(texts: dict[int, str], images: Sequence[Image], material: Material) -> dict[int, str]:
    """Some images get what was said of an image of another class."""
    of_class: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        if image.id in texts:
            of_class[image.class_name].append(image)
    noisy = dict(texts)
    for image in (image for members in of_class.values() for image in members):
        draw = random.Random(f"{material.seed} noise {image.sha256}")
        others = sorted(name for name in of_class if name != image.class_name)
        if others and draw.random() < material.noise:
            noisy[image.id] = texts[draw.choice(of_class[draw.choice(others)]).id]
    return noisy
