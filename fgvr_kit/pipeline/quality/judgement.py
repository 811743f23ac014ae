"""What the figures of an attribute amount to, in one line of plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fgvr_kit.pipeline.quality import Measured, Separation

Suggestion = Literal["keep", "drop", "merge"]

FEW_IMAGES = 30
"""Answers below which nothing is said about what they tell."""
CONSTANT = 0.95
RARELY_VISIBLE = 0.1
RARELY_ANSWERED = 0.5
SIGNIFICANT = 0.05
NEXT_TO_NOTHING = 0.02
"""Share of what there is to know about the class; with many images less than this is significant, and of no use."""
UNRELIABLE = 0.4
"""Agreement of two samples beyond chance."""
MOST_NAMED = 2


def judge(one: Measured) -> tuple[str, Suggestion]:
    """(one line, what to do about it). What was not measured is never a reason to drop."""
    if not one.n_asked:
        return "asked of nothing: no training image has a class of its superclass", "keep"
    if not one.coverage:
        return "not answered yet: fgvr-kit attributes extract asks for it", "keep"
    n = round(one.coverage * one.n_asked)
    if one.information is None or n < FEW_IMAGES:
        return f"too few answers to tell ({n:,} about training images)", "keep"
    if one.p is None:
        return "too few groups to tell: the images are of too few photographs or bursts", "keep"
    apart = [separation for separation in one.separations if separation.is_separated]
    if one.p > SIGNIFICANT or (not apart and one.information < NEXT_TO_NOTHING):
        return _useless(one), "drop"
    if one.same_as:
        return f"has the same answers as {one.same_as}: merge them", "merge"
    return "; ".join([_useful(one, apart), *_doubts(one)]), "keep"


def _useless(one: Measured) -> str:
    if one.not_visible >= 1 - RARELY_VISIBLE:
        return f"rarely visible: {_percent(1 - one.not_visible)} of the answers; tells nothing"
    if one.constancy >= CONSTANT:
        return f"constant: {_percent(one.constancy)} say {one.most_frequent!r}; tells nothing"
    if one.p is not None and one.p > SIGNIFICANT:
        return f"tells nothing of the class that shuffled answers would not (p = {one.p:.2f})"
    return f"tells next to nothing of the class ({100 * (one.information or 0):.1f} %)"


def _useful(one: Measured, apart: list[Separation]) -> str:
    if not apart:
        told = f"tells {_percent(one.information or 0)} of the class"
        return f"{told}, but separates none of the look-alikes" if one.separations else told
    named = [f"{s.first} from {s.second} ({_percent(s.accuracy)})" for s in apart[:MOST_NAMED]]
    more = f" and {len(apart) - MOST_NAMED} more pairs" if len(apart) > MOST_NAMED else ""
    return f"separates {', '.join(named)}{more.replace('1 more pairs', '1 more pair')}"


def _doubts(one: Measured) -> list[str]:
    found = []
    if one.coverage < RARELY_ANSWERED:
        found.append(f"only {_percent(one.coverage)} of the images have an answer")
    if one.not_visible >= 1 - RARELY_VISIBLE:
        found.append("rarely visible")
    agreed = one.agreement_beyond_chance
    if agreed is not None and agreed < UNRELIABLE:
        found.append(f"two samples agree little ({agreed:.2f} beyond chance)")
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
