"""Contender: whoever can answer the questions of an exam, be it an MLLM, a classifier or a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar, Literal

from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.progress import Progress
from fgvr_kit.types import Prediction
from fgvr_kit.workspace import Workspace

Role = Literal["rule", "baseline", "model"]
"""What a row of the table is there for: a rule that looks at no picture, what one tries first, what is judged."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """An exam as one contender finds it. known: ids of the images whose question it has answered before."""

    exam: Exam
    known: Set[int]

    @property
    def n_missing(self) -> int:
        return sum(question.image.id not in self.known for question in self.exam.questions)


class Contender(ABC):
    """label: for people; contenders of one label are draws of one thing, and make one row of the table together.
    key: what its predictions are stored under, holding all that decides them.
    note: what must stand beside its numbers ("untrained toy model"), or None.
    """

    role: ClassVar[Role]
    label: str
    key: str
    note: str | None

    @abstractmethod
    def takes(self, exam: Exam) -> bool:
        """Whether it can answer questions of this kind."""

    @abstractmethod
    def answer(
        self, workspace: Workspace, sheets: Sequence[Sheet], progress: Progress
    ) -> Iterator[tuple[str, list[Prediction]]]:
        """(protocol, predictions) in batches, each of which is stored as it comes.

        All sheets at once, so that what looks at an image does so once. A batch may hold answers that are known
        already: where it is cut must not depend on when the last run was killed.
        """
