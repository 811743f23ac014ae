"""What the toy CLIP is told about pictures: captions, and the lines by which attributes are asked of it."""

from __future__ import annotations

import numpy as np

from fgvr_kit.toy.world import sentences, words
from fgvr_kit.toy.world.facts import VALUES, Facts
from fgvr_kit.toy.world.turns import Dice, template
from fgvr_kit.toy.world.words import one


def caption(facts: Facts, rng: Dice) -> str:
    """A caption, or a class's phrase in the words of prompts/mine."""
    thing = one(rng, words.CALLED[facts.kind])
    if rng.random() < 0.5:
        return sentences.caption(facts, thing, rng)
    phrase = sentences.phrase(facts, thing)
    fill = {"name": phrase, "synonyms": [], "scientific": "", "common": "", "parent": "", "superclass": thing}
    lines = template(one(rng, ["mine/class", "mine/ensemble"])).render(**fill).text.splitlines()
    return one(rng, [line for line in lines if line.strip()])


def lines(attribute: str, kind: str, rng: Dice) -> list[str]:
    """One text for each value of an attribute, in the words of prompts/extract/clip."""
    thing = one(rng, words.CALLED[kind])
    named = words.name(attribute, kind, rng)
    options = [("", words.said(attribute, held)) for held in VALUES[attribute]]
    fill = {"superclass": thing, "attribute": named, "options": options}
    text = template("extract/clip").render(**fill).text
    return [line for line in text.splitlines() if line.strip()]


def asked(facts: list[Facts], rng: Dice, n: int) -> list[tuple[str, str]]:
    """n (kind, attribute) pairs that some of these pictures can be asked."""
    pairs = [(one.kind, name) for one in facts for name in one.asked]
    return [pairs[k] for k in rng.choice(len(pairs), size=n, replace=False)] if len(pairs) >= n else pairs


def numbers(facts: list[Facts], kind: str, attribute: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) the number of each picture's value; -100 for another kind of thing."""
    held = [one[attribute] if one.kind == kind else "" for one in facts]
    return np.array([VALUES[attribute].index(value) if value else -100 for value in held])
