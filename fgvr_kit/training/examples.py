"""What a stage is trained on, out of the workspace's tables. No torch: `fgvr-kit status` reads these too.

An example is one row of a stage: paths and words, nothing encoded. Digests are over what the rows are made
of (pixel hashes, not paths), so that a stage is trained again exactly when its data changed.
"""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fgvr_kit.errors import WorkspaceError
from fgvr_kit.fingerprint import digest_rows
from fgvr_kit.types import Image, ImageRef, Negative
from fgvr_kit.workspace import Workspace

ALIGN_PROMPTS = ("align/describe",)
INSTRUCT_PROMPTS = ("ask/open", "ask/choice")


@dataclass(frozen=True, slots=True)
class NegativeText:
    """A hard negative as stage align sees it: no image, its words only."""

    class_id: int
    class_text: str
    description: str


@dataclass(frozen=True, slots=True)
class AlignExample:
    """image, the user's turn, and what it is aligned with. class_id: a row of classes.csv, sorted by name."""

    image: ImageRef
    question: str
    system: str
    description: str
    class_id: int
    class_text: str
    negatives: tuple[NegativeText, ...]


@dataclass(frozen=True, slots=True)
class InstructExample:
    """image, the user's turn, and the answer to learn: a class's display name or the letter of an option."""

    image: ImageRef
    question: str
    system: str
    answer: str


ExampleT = TypeVar("ExampleT", AlignExample, InstructExample)


@dataclass(frozen=True, slots=True)
class Examples(Generic[ExampleT]):
    """The rows of a stage, and (what, how many, why) of what was left out."""

    rows: Sequence[ExampleT]
    dropped: tuple[tuple[str, int, str], ...] = ()


def align_examples(workspace: Workspace) -> Examples[AlignExample]:
    """One row for each training image that has a description and at least one described negative.

    Raises WorkspaceError when no image has a description, or none has a negative.
    """
    classes = workspace.classes()
    class_ids = {name: n for n, name in enumerate(classes)}
    prompt = workspace.prompts.render("align/describe")
    dropped: Counter[tuple[str, str]] = Counter()
    rows = []
    for image, description, negatives in _described(workspace, dropped):
        rows.append(
            AlignExample(
                image=workspace.ref_of(image),
                question=prompt.text,
                system=prompt.system,
                description=description,
                class_id=class_ids[image.class_name],
                class_text=classes[image.class_name].display_name,
                negatives=tuple(
                    NegativeText(class_ids[n.class_name], classes[n.class_name].display_name, text)
                    for n, text in negatives
                ),
            )
        )
    return Examples(rows, _counted(dropped))


def instruct_examples(workspace: Workspace, *, seed: int) -> Examples[InstructExample]:
    """Two rows for each training image: an open question, and a multiple-choice one if it has negatives.

    The choices are the true class and the classes of the image's negatives, shuffled by (seed, image).
    Two rows an image is what the authors of Finedefics confirmed (issue 6 of their repository).
    Raises WorkspaceError when no image has a negative.
    """
    classes = workspace.classes()
    negatives = workspace.store.negatives()
    images = workspace.store.images("train")
    if not any(image.id in negatives for image in images):
        raise _no_negatives()
    ask_open = workspace.prompts.render("ask/open")
    ask_choice = workspace.prompts.get("ask/choice")
    rows: list[InstructExample] = []
    n_without = 0
    for image in images:
        ref, truth = workspace.ref_of(image), classes[image.class_name].display_name
        rows.append(InstructExample(ref, ask_open.text, ask_open.system, truth))
        if image.id not in negatives:
            n_without += 1
            continue
        names = shuffled_options(image, negatives[image.id], seed=seed)
        options = [
            (letter, classes[name].display_name)
            for letter, name in zip(string.ascii_uppercase, names, strict=False)
        ]
        prompt = ask_choice.render(options=options)
        letter = string.ascii_uppercase[names.index(image.class_name)]
        rows.append(InstructExample(ref, prompt.text, prompt.system, letter))
    dropped = (("multiple-choice rows", n_without, "the image has no negatives"),) if n_without else ()
    return Examples(rows, dropped)


def shuffled_options(image: Image, negatives: Sequence[Negative], *, seed: int) -> list[str]:
    """Class names in the order in which they are shown: the true one and those of the negatives.

    The order hangs on the seed and the image's pixels alone, so that adding images moves no other row.
    """
    most = len(string.ascii_uppercase)
    names = list(dict.fromkeys([image.class_name, *(n.class_name for n in negatives)]))[:most]
    random.Random(f"{seed} {image.sha256}").shuffle(names)
    return names


def align_digest(workspace: Workspace) -> str:
    """16 hex digits over all that stage align reads, in its order."""
    names = {name: c.display_name for name, c in workspace.classes().items()}
    hashes = {image.id: image.sha256 for image in workspace.store.images()}
    descriptions, negatives = workspace.store.descriptions(), workspace.store.negatives()
    return digest_rows(
        (
            image.sha256,
            names[image.class_name],
            descriptions.get(image.id),
            [
                (hashes[n.negative_id], names[n.class_name], descriptions.get(n.negative_id))
                for n in negatives.get(image.id, ())
            ],
        )
        for image in workspace.store.images("train")
    )


def instruct_digest(workspace: Workspace) -> str:
    """16 hex digits over all that stage instruct reads, in its order."""
    names = {name: c.display_name for name, c in workspace.classes().items()}
    negatives = workspace.store.negatives()
    return digest_rows(
        (image.sha256, names[image.class_name], [names[n.class_name] for n in negatives.get(image.id, ())])
        for image in workspace.store.images("train")
    )


def _described(
    workspace: Workspace, dropped: Counter[tuple[str, str]]
) -> Iterator[tuple[Image, str, list[tuple[Negative, str]]]]:
    """Training images with their description and their described negatives; the others are counted."""
    images = workspace.store.images("train")
    descriptions, negatives = workspace.store.descriptions(), workspace.store.negatives()
    if not any(image.id in descriptions for image in images):
        raise WorkspaceError(
            "no training image has a description yet", code="no-descriptions", hint="fgvr-kit attributes"
        )
    if not any(image.id in negatives for image in images):
        raise _no_negatives()
    for image in images:
        mine = negatives.get(image.id, [])
        described = [(n, descriptions[n.negative_id]) for n in mine if n.negative_id in descriptions]
        reason = (
            "no description"
            if image.id not in descriptions
            else "no negatives"
            if not mine
            else "none of its negatives has a description"
            if not described
            else None
        )
        if reason:
            dropped["training images", reason] += 1
            continue
        if len(described) < len(mine):
            dropped["negatives", "no description"] += len(mine) - len(described)
        yield image, descriptions[image.id], described


def _no_negatives() -> WorkspaceError:
    return WorkspaceError("no training image has negatives yet", code="no-negatives", hint="fgvr-kit mine")


def _counted(dropped: Counter[tuple[str, str]]) -> tuple[tuple[str, int, str], ...]:
    return tuple((what, n, why) for (what, why), n in sorted(dropped.items()))
