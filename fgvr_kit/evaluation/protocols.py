"""How a model is asked: here, `choice`: one photograph, a few class names, answer with a letter (FOCI).

The letter with the largest probability at the answer position is the answer, found in one forward pass: there
is no reply to misread. (FOCI generates text and takes its first letter, which counts "Beagle" as B.)
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgvr_kit.dataset.images import open_known
from fgvr_kit.errors import DatasetError, ModelError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.types import Image, Prediction
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

CHOICE_PROMPT = "ask/choice"
LETTERS = string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class Question:
    """options: class names in the order shown; text and system: the whole prompt."""

    image: Image
    options: tuple[str, ...]
    text: str
    system: str = ""


def choice_questions(workspace: Workspace) -> list[Question]:
    """One question for each test image that has options, by path; options stand where `mine` has put them, so that
    the true one is equally often at each place."""
    options = workspace.store.options()
    classes = workspace.classes()
    template = workspace.prompts.get(CHOICE_PROMPT)
    questions = []
    for image in workspace.store.images("test"):
        in_places = sorted(options.get(image.id, ()), key=lambda option: option.position)
        shown = [option.class_name for option in in_places]
        if not shown or not classes.keys() >= set(shown):
            continue
        lettered = [(LETTERS[i], classes[name].display_name) for i, name in enumerate(shown)]
        prompt = template.render(options=lettered)
        questions.append(Question(image, tuple(shown), prompt.text, prompt.system))
    if not questions:
        raise DatasetError(
            "the test images have no options yet",
            code="no-options",
            where=str(workspace.root),
            hint="fgvr-kit mine",
        )
    return questions


def protocol_of(questions: Sequence[Question], max_pixels: int) -> str:
    """ "choice4-<hash>": predictions of one protocol answer the very same questions about the same pixels."""
    n = max(len(question.options) for question in questions)
    asked = fingerprint([[q.image.sha256, list(q.options), q.system, q.text] for q in questions], max_pixels)
    return f"choice{n}-{asked}"


def answer_choices(vlm: Vlm, workspace: Workspace, questions: Sequence[Question]) -> list[Prediction]:
    """The model's answers to a batch of questions that all have the same number of options."""
    from fgvr_kit.families.base import Ask

    asks = [Ask(q.text, (open_known(workspace.ref_of(q.image)),), system=q.system) for q in questions]
    letters = LETTERS[: len(questions[0].options)]
    scores = vlm.choose(asks, list(letters))  # (B, K) log-probabilities
    predictions = []
    for question, row in zip(questions, scores.tolist(), strict=True):
        if not all(map(math.isfinite, row)):
            raise ModelError(
                f"{vlm.name} gives probabilities that are not numbers",
                code="scores-not-finite",
                where=question.image.path,
                hint="are its weights whole? --set train.quantize=none asks it unquantised",
            )
        best = max(range(len(row)), key=row.__getitem__)
        predictions.append(
            Prediction(
                question.image.id,
                question.options,
                question.options[best],
                question.image.class_name,
                tuple(round(score, 6) for score in row),
            )
        )
    return predictions
