"""power: the smallest difference between two models that this test set can show.

Two models answer the same questions; what tells them apart are the questions on which one is right and the other
wrong (McNemar 1947). How many it takes is Connor's formula (Biometrics 43, 1987), solved here for the difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from fgvr_kit.checks.base import Subject, Verdict, counted
from fgvr_kit.types import Finding, ScannedImage

ABOUT = "the smallest difference between two models that the test set can show"
KINDS = {
    "no-test": "there is no test image",
    "small-test": "a test set that cannot show a difference of ten points between two models",
}

LARGEST = 0.1
"""A smallest difference above this is told as a finding: most gains in print are smaller."""

_TWO_SIDED = NormalDist().inv_cdf(0.975)  # 5 % risk of a difference where there is none
_POWER = NormalDist().inv_cdf(0.8)  # 80 % chance to see one that is there

_LEAST_WINS = 6
"""Answers that only one model has right, and none the other way, until that is no chance: 2 * 0.5**6 < 5 %."""


def smallest_difference(n: int, disagreement: float) -> float | None:
    """The difference of two accuracies (0..1) that n paired answers show in 8 of 10 tries, at a 5 % risk.

    disagreement: share of answers that are right in one model and wrong in the other. A difference cannot be
    larger than that: where it would have to be, the models disagree on the questions of the difference alone, and
    the exact test decides. None when not even all against none would show.
    """
    if n < _LEAST_WINS:
        return None
    # Connor's n = (a sqrt(p) + b sqrt(p - d²))² / d², solved for d.
    a, b, p = _TWO_SIDED, _POWER, disagreement
    root = math.sqrt(n + b * b - a * a)
    difference = math.sqrt(p) * (a * math.sqrt(n) + b * root) / (n + b * b)
    if difference <= p:
        return difference
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if _chance_of_wins(n, middle) >= 0.8 else (middle, high)
    return high


def n_needed(difference: float, disagreement: float) -> int:
    """Paired answers that show such a difference in 8 of 10 tries."""
    p = disagreement
    if difference <= p:
        root = _TWO_SIDED * math.sqrt(p) + _POWER * math.sqrt(p - difference * difference)
        return math.ceil(root * root / (difference * difference))
    n = _LEAST_WINS
    while _chance_of_wins(n, difference) < 0.8:
        n += 1
    return n


def _chance_of_wins(n: int, share: float) -> float:
    """Chance that at least _LEAST_WINS of n answers are wins, when this share of them is."""
    lost = range(_LEAST_WINS)
    return 1 - sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in lost)


def half_width(n: int) -> float | None:
    """Half of the 95 % interval of an accuracy of 50 % (Wilson 1927), the widest there is; None for n = 0."""
    return _TWO_SIDED / (2 * math.sqrt(n + _TWO_SIDED**2)) if n else None


def run(subject: Subject) -> Verdict:
    test = [image for image in subject.images if image.split == "test"]
    share = subject.settings.disagreement
    of_class: dict[str, list[ScannedImage]] = defaultdict(list)
    for image in test:
        of_class[image.class_name].append(image)
    whole = _figures(test, share)
    classes = {
        name: _figures(of_class[name], share) for name in sorted({i.class_name for i in subject.images})
    }
    figures = {**whole, "disagreement": share, "classes": classes}
    return Verdict(_told(whole, classes), [_finding(whole, share)] if _is_small(whole) else [], figures)


def _figures(images: Sequence[ScannedImage], disagreement: float) -> dict[str, float | int | None]:
    """Of a test set or one class of it. Images of one group stand or fall together: they count as one."""
    n = len({image.group or image.sha256 for image in images})
    return {
        "images": len(images),
        "independent": n,
        "smallest difference": _rounded(smallest_difference(n, disagreement)),
        "half width": _rounded(half_width(n)),
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _is_small(whole: Mapping[str, Any]) -> bool:
    return whole["smallest difference"] is None or whole["smallest difference"] > LARGEST


def _told(whole: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]]) -> str:
    if not whole["images"]:
        return "no test image: nothing can be measured"
    told = counted(whole["images"], "test image")
    if whole["independent"] != whole["images"]:
        told += f" ({whole['independent']:,} independent)"
    known = f"the accuracy of one model is known to ± {_points(whole['half width'])}"
    if (shown := whole["smallest difference"]) is None:
        return f"{told}: too few to show any difference between two models; {known}"
    return (
        f"{told}: two models can be told apart when their accuracy differs by {_points(shown)}"
        f"{_in_classes(classes)}; {known}"
    )


def _in_classes(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """What single classes can show, from the best one to the worst: each has only its own test images."""
    shown = [d for one in classes.values() if (d := one["smallest difference"]) is not None]
    n_blind = len(classes) - len(shown)
    if not shown:
        return ", in no single class at all"
    best, worst = _points(min(shown)), _points(max(shown))
    by = f"{best} (the best class) to {worst} (the worst)" if best != worst else best
    blind = f", in {n_blind:,} of {counted(len(classes), 'class', 'classes')} not at all" if n_blind else ""
    return f", in a single class by {by}{blind}"


def _finding(whole: Mapping[str, Any], share: float) -> Finding:
    n, shown = whole["independent"], whole["smallest difference"]
    if not n:
        return Finding(
            "no-test", "problem", "there is no test image: nothing can be measured",
            hint="add images; or group by something finer ([dataset] group_by), then fgvr-kit init --resplit",
        )  # fmt: skip
    count = counted(n, "independent test image" if n != whole["images"] else "test image")
    of = f"; the {whole['images']:,} images are of {counted(n, 'group')}, each of which counts once"
    return Finding(
        "small-test", "warning",
        f"{count} cannot tell two models apart that differ by less than {_points(shown)} of accuracy"
        if shown is not None
        else f"{count} cannot tell two models apart, however much they differ",
        value=shown,
        why=_why(shown, share) + (of if n != whole["images"] else ""),
        hint=f"{n_needed(0.1, share):,} test images would show ten points, {n_needed(0.05, share):,} five"
        " ([check] disagreement says what is assumed)",
    )  # fmt: skip


def _why(shown: float | None, share: float) -> str:
    """What the number rests on, in words that fit it: no difference is larger than the share of images on which
    the two models differ."""
    if shown is None:
        return f"it takes {_LEAST_WINS} images on which one model is right and the other wrong until that is no chance"
    risk = "a difference of that size is seen in 8 of 10 comparisons; one that is not there, in 1 of 20"
    if shown <= share:
        return f"{risk}; assumed is that on {share:.0%} of the images one model is right and the other wrong"
    return f"{risk}; that is if all images on which only one model is right speak for the same model"


def _points(share: float) -> str:
    return f"{share * 100:.1f} points"
