"""Phrases, captions and descriptions of what is true of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgvr_kit.toy.world.facts import NONE, Facts
from fgvr_kit.toy.world.words import article, mark_phrase, one

_AT = {"centre": "in the centre", "left": "on the left", "right": "on the right", "top": "at the top",
       "bottom": "at the bottom"}  # fmt: skip


def phrase(facts: Facts, thing: str) -> str:
    """What tells it from others, without an article: "gold coin with a silver ring and the number 2"."""
    kind = facts.kind
    if kind == "coin":
        extras = [*_with(facts, "ring"), *_mark(facts), _edge(facts)]
        return _joined(f"{facts['colour']} {thing}", extras)
    if kind == "badge":
        pattern = "" if facts["pattern"] == "plain" else f"{facts['pattern']} "
        return _joined(
            f"{pattern}{facts['colour']} {facts['shape']} {thing}", [*_with(facts, "border"), *_mark(facts)]
        )
    if kind == "flower":
        return _joined(
            f"{facts['colour']} {thing}", [f"{facts['petals']} petals", article(f"{facts['second']} centre")]
        )
    if kind == "leaf":
        return _joined(f"{facts['pattern']} {facts['colour']} {facts['shape']} {thing}", [_edge(facts)])
    second = "head" if kind == "beetle" else "border"
    return _joined(f"{facts['pattern']} {facts['colour']} {thing}", [article(f"{facts['second']} {second}")])


def caption(facts: Facts, thing: str, rng: np.random.Generator) -> str:
    """One short sentence or phrase, as people write below pictures."""
    what = article(phrase(facts, thing))
    ground = one(rng, [f" on {facts['background']}", f" lying on {facts['background']}", ""])
    front = one(rng, ["", "", "a photo of ", "a picture of ", "an image of ", "a close view of "])
    look = one(rng, ["", "", _look(facts)])
    return f"{front}{what}{ground}{look}"


def brief(facts: Facts, thing: str, rng: np.random.Generator) -> str:
    """One or two plain sentences."""
    first = (
        f"{_capital(article(phrase(facts, thing)))} {one(rng, ['lies', 'is seen'])} on {facts['background']}."
    )
    second = one(rng, [s for s in sentences(facts, thing) if s])
    return first if rng.random() < 0.4 else f"{first} {second}"


def description(facts: Facts, thing: str, rng: np.random.Generator, n: int = 5) -> str:
    """Up to n plain sentences with what can be seen."""
    rest = sentences(facts, thing)
    order = sorted(rng.permutation(len(rest))[: max(n - 1, 0)])
    first = f"The picture shows {article(phrase(facts, thing))}."
    return " ".join([first, *(rest[k] for k in order)])


def sentences(facts: Facts, thing: str) -> list[str]:
    """A sentence for everything beyond the phrase."""
    found = [f"The {thing} is {facts['size']} and lies {_AT[facts['position']]}.",
             f"It lies on {facts['background']}."]  # fmt: skip
    if facts["wear"]:
        found.append(f"The surface is {facts['wear']}.")
    if facts["material"]:
        found.append(f"It is made of {facts['material']}.")
    if facts["marking"] not in ("", NONE):
        turn = f" and is {facts['turn']}" if facts["turn"] else ""
        found.append(f"{_capital(mark_phrase(facts['marking']))} stands on it{turn}.")
    if facts["stars"]:
        found.append(f"There are {'no' if facts['stars'] == NONE else facts['stars']} stars.")
    found.append(f"The light is {facts['light']} and the picture is {facts['sharpness']}.")
    found.append("Others can be seen." if facts["others"] == "yes" else "Nothing else can be seen.")
    return found


def _with(facts: Facts, part: str) -> list[str]:
    return [] if facts["second"] == NONE else [article(f"{facts['second']} {part}")]


def _mark(facts: Facts) -> list[str]:
    return [] if facts["marking"] == NONE else [mark_phrase(facts["marking"])]


def _edge(facts: Facts) -> str:
    return f"a {facts['edge']} edge"


def _look(facts: Facts) -> str:
    return f", in {facts['light']} light" if facts["light"] != "neutral" else f", {facts['sharpness']}"


def _joined(what: str, extras: Sequence[str]) -> str:
    if not extras:
        return what
    body = extras[0] if len(extras) == 1 else f"{', '.join(extras[:-1])} and {extras[-1]}"
    return f"{what} with {body}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
