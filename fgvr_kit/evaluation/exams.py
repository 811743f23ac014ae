"""Exam: the questions of one protocol, the same for every contender that takes it.

closed<C>-<hash>    which of all C classes does this test image show
choice<K>-<hash>    which of the K options that `mine` chose for it (FOCI), as the MLLM is asked
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from fgvr_kit.errors import DatasetError
from fgvr_kit.evaluation.protocols import Question, choice_questions, protocol_of
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.workspace import Workspace

Kind = Literal["closed", "choice"]


@dataclass(frozen=True, slots=True)
class Exam:
    """protocol: stands at every number, and under it predictions are stored.  how: what is asked, for people."""

    kind: Kind
    protocol: str
    questions: tuple[Question, ...]
    how: str

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return fmean(1 / len(question.options) for question in self.questions)


def choice_exam(workspace: Workspace) -> Exam:
    """Raises DatasetError "no-options" where `mine` has chosen none yet."""
    questions = choice_questions(workspace)
    protocol = protocol_of(questions, workspace.settings.train.max_pixels)
    return Exam("choice", protocol, tuple(questions), "the options of each test image")


def closed_exam(workspace: Workspace) -> Exam:
    """One question for each test image by path; every class is an option, also one without any training image.

    Raises DatasetError where there is no test image, or only one class.
    """
    images, names = workspace.store.images("test"), tuple(workspace.classes())
    if not images:
        raise DatasetError(
            "there is no test image",
            code="no-test-images",
            where=str(workspace.dataset),
            hint="add images and run fgvr-kit init again",
        )
    if len(names) < 2:
        raise DatasetError(
            "there is only one class",
            code="dataset-one-class",
            where=str(workspace.dataset),
            hint="add classes and run fgvr-kit init again",
        )
    asked = fingerprint([[image.sha256, image.class_name] for image in images], names)
    questions = tuple(Question(image, names, "") for image in images)
    return Exam("closed", f"closed{len(names)}-{asked}", questions, f"all {len(names)} classes")
