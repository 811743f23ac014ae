"""What every family must do. `Contract` is inherited once and runs on a tiny checkpoint of each model type.

Fixtures: vlm (shared, left as it was), fresh (a function that loads one to change), checkpoint (its folder).
"""

from __future__ import annotations

from tests.families.contract.answers import Answers
from tests.families.contract.scene import ANSWERS, ASKS, LETTERS, QUESTION, QUESTIONS, count_looks, photo
from tests.families.contract.small import SmallWeights
from tests.families.contract.tuning import Tuning
from tests.families.contract.vectors import Vectors

__all__ = ["ANSWERS", "ASKS", "LETTERS", "QUESTION", "QUESTIONS", "Contract", "count_looks", "photo"]


class Contract(Answers, Vectors, Tuning, SmallWeights):
    pass
