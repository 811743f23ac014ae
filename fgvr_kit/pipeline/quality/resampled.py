"""How far two samples of the same answers agree: read from stored replies, nobody is asked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract import backends_of, rows_of
from fgvr_kit.pipeline.extract.answers import Answers
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.pipeline.quality.words import Reader, Words
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Attribute, Image
from fgvr_kit.workspace import Workspace

N_BY_CHANCE = 20_000
"""Pairs of answers about different images that are compared to know what chance is."""
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Agreement:
    """share: of words in common, mean of all images with both (Jaccard; equal or not for a closed list of values).

    beyond_chance: the same, less what answers about other images have in common, as a share of what is possible (as
    Cohen's kappa); None where all answers are the same.
    """

    share: float
    beyond_chance: float | None


def agreements(
    workspace: Workspace, images: Sequence[Image], attributes: Sequence[Attribute], read: Reader,
    progress: Progress = SILENT,
) -> tuple[dict[str, Agreement], tuple[str, ...]]:  # fmt: skip
    """(attribute -> how far its first two samples agree, why there are none). What people wrote does not count."""
    if workspace.settings.extract.samples < 2:
        return {}, ()
    try:
        backends = backends_of(workspace)
    except FgvrError as error:
        return {}, (f"agreement of two samples: {error.message}",)
    said: list[dict[tuple[int, str], Words]] = []
    for sample in (0, 1):
        answers = Answers(Questions(workspace, attributes), rows_of(workspace, backends), "no reply")
        found: dict[tuple[int, str], Words] = {}
        with progress.task(f"report: sample {sample + 1}", len(images)) as task:
            for start in range(0, len(images), _AT_ONCE):
                some = images[start : start + _AT_ONCE]
                found |= {(a.image_id, a.attribute): read(a.value) for a in answers.of(some, sample=sample)}
                task.advance(len(some))
        said.append(found)
    agreed = {a.name: _of_attribute(a, images, said[0], said[1]) for a in attributes}
    found_ones = {name: one for name, one in agreed.items() if one}
    return found_ones, () if found_ones else ("agreement of two samples: no second sample is stored",)


def _of_attribute(
    attribute: Attribute,
    images: Sequence[Image],
    first: Mapping[tuple[int, str], Words],
    second: Mapping[tuple[int, str], Words],
) -> Agreement | None:
    keys = [(image.id, attribute.name) for image in images]
    both = [key for key in keys if key in first and key in second]
    pair = [first[key] for key in both], [second[key] for key in both]
    return agreement(*pair, is_closed=bool(attribute.options))


def agreement(
    first: Sequence[Words], second: Sequence[Words], *, is_closed: bool = False
) -> Agreement | None:
    """Of answers about the same images, in the same order. None where there are none."""
    if not first:
        return None
    n = len(first)
    like = _equal if is_closed else _jaccard
    share = sum(map(like, first, second)) / n
    chance = _chance_equal(first, second) if is_closed else _chance_jaccard(first, second)
    return Agreement(share, (share - chance) / (1 - chance) if chance < 1 - 1e-9 else None)


def _equal(a: Words, b: Words) -> float:
    return float(a == b)


def _jaccard(a: Words, b: Words) -> float:
    return len(a & b) / len(a | b)


def _chance_equal(first: Sequence[Words], second: Sequence[Words]) -> float:
    counts, others = Counter(first), Counter(second)
    return sum(counts[words] * others[words] for words in counts) / len(first) ** 2


def _chance_jaccard(first: Sequence[Words], second: Sequence[Words]) -> float:
    """Mean of answers about different images: of all pairs of them, or of so many drawn by chance."""
    n = len(first)
    if n < 2:
        return 0.0
    if n * (n - 1) <= N_BY_CHANCE:
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    else:
        draw = random.Random(0)
        drawn = ((draw.randrange(n), draw.randrange(n)) for _ in range(N_BY_CHANCE))
        pairs = [(i, j) for i, j in drawn if i != j]
    return sum(_jaccard(first[i], second[j]) for i, j in pairs) / len(pairs)
