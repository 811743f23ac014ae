"""Rules that look at no picture: what a number must be above to mean anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from fgvr_kit.evaluation.contenders import Contender, Role, Sheet
from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.ranked import predictions_of
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import Progress
from fgvr_kit.types import Prediction
from fgvr_kit.workspace import Workspace

CHANCE = "chance"
MOST_FREQUENT = "most frequent class"
RULES = (CHANCE, MOST_FREQUENT)
"""Labels of the rows that are in every table."""

_TIE = 1e-9  # too little to change a probability that is stored


class MostFrequent(Contender):
    """Always names the option with the most training images; of equally many, the first by name."""

    role: ClassVar[Role] = "rule"
    label = MOST_FREQUENT
    note = None

    def __init__(self, counts: Mapping[str, int]) -> None:
        """counts: training images of each class, 0 for one that has none."""
        self._counts = dict(sorted(counts.items()))
        self.key = f"most-frequent {fingerprint(self._counts)}"

    @classmethod
    def of(cls, workspace: Workspace) -> MostFrequent:
        counts = Counter(image.class_name for image in workspace.store.images("train"))
        return cls({name: counts[name] for name in workspace.classes()})

    def takes(self, exam: Exam) -> bool:
        return True

    def answer(
        self, workspace: Workspace, sheets: Sequence[Sheet], progress: Progress
    ) -> Iterator[tuple[str, list[Prediction]]]:
        """Probabilities: the shares of the training images, with one more of each class so that none is 0."""
        number = {name: n for n, name in enumerate(self._counts)}
        scores = np.log([1 + n for n in self._counts.values()]) - _TIE * np.arange(len(number))  # (C,)
        for sheet in sheets:
            everybody = np.broadcast_to(scores, (len(sheet.exam.questions), len(number)))
            yield sheet.exam.protocol, predictions_of(sheet.exam.questions, everybody, number)
