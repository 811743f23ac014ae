"""Turns without a picture: answers to a description, attribute lists, mended replies. They teach copying and form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np

from fgvr_kit.toy.world import facts as facts_of
from fgvr_kit.toy.world import turns, words
from fgvr_kit.toy.world.facts import VALUES, Facts
from fgvr_kit.toy.world.turns import Dice, Turn, template
from fgvr_kit.toy.world.words import one

# Things of other domains, with parts and properties: a list of attributes is made of these.
_THINGS = ("coin", "beetle", "butterfly", "bird", "flower", "leaf", "mushroom", "car", "aircraft", "dog", "cat", "fish",
           "shell", "stamp", "button", "tree", "fruit", "pest", "seedling", "shoe", "watch", "badge", "insect",
           "object", "moth", "ship", "fern", "mineral", "bottle", "tool")  # fmt: skip
_UNITS = ("species", "class", "kind", "breed", "variety", "model", "denomination", "type")
_PARTS = ("surface", "edge", "centre", "rim", "head", "back", "wing", "leg", "tail", "stem", "petal", "top", "side",
          "front", "body", "eye", "mark", "border", "shell", "tip", "base", "door", "roof", "cap", "spot")  # fmt: skip
_PROPERTIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "colour": ("What colour is the {part}?", ()),
    "shape": ("What shape is the {part}?", ("round", "oval", "long", "pointed")),
    "pattern": ("What pattern is on the {part}?", ("plain", "striped", "spotted")),
    "texture": ("How does the {part} feel by its looks?", ("smooth", "rough", "hairy")),
    "size": ("How large is the {part}?", ("small", "medium", "large")),
    "number": ("How many of the {part} are there?", ("one", "two", "three", "more")),
    "gloss": ("Is the {part} shiny or matt?", ("shiny", "matt")),
}
_WORDS = ("brown", "gold", "pale", "dark", "bright", "dull", "shiny", "red", "green", "blue", "silver", "worn",
          "smooth", "rough", "thin", "thick", "long", "short", "round", "narrow", "tarnished", "clear", "faint",
          "large", "small",
          "finely notched", "ribbed", "striped", "spotted", "upper left", "lower right", "upright", "sideways", "white",
          "black", "grey", "warm", "soft", "copper", "reddish", "yellow", "orange", "with spots", "without marks",
          "two", "three", "five", "twelve", "half visible", "at the edge", "in the middle", "wood",
          "stone")  # fmt: skip


def summary(rng: Dice) -> Turn:
    """Answers to sentences: every word of the answer stands in the notes."""
    pairs, domain = _notes(rng)
    n = int(rng.integers(1, 6))
    fill = {"general": "", "answers": pairs, "sentences": n, **domain}
    text = template("describe/summary").render(**fill).text
    seen = [(name, held) for name, held in pairs if held != words.NOT_VISIBLE]
    return Turn("summary", text, _sentences(domain["superclass"], seen, n), sees=False)


def short(rng: Dice) -> Turn:
    """Answers to one sentence about the first few of them."""
    pairs, domain = _notes(rng)
    text = template("describe/short").render(general="", answers=pairs, **domain).text
    seen = [(name, held) for name, held in pairs if held != words.NOT_VISIBLE][:4]
    return Turn("short", text, _sentences(domain["superclass"], seen, 1), sees=False)


def _sentences(thing: str, pairs: list[tuple[str, str]], n: int) -> str:
    groups = [group for group in np.array_split(np.arange(len(pairs)), n) if len(group)]
    said = []
    for k, group in enumerate(groups):
        clauses = [f"the {pairs[i][0].replace('_', ' ')} is {pairs[i][1]}" for i in group]
        body = clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
        said.append(f"Of this {thing}, {body}." if k == 0 else f"{body[0].upper()}{body[1:]}.")
    return " ".join(said) or "Nothing can be seen."


def _notes(rng: Dice) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Answers about some thing: of a scene, or any words at all."""
    domain = {"superclass": one(rng, _THINGS), "unit": one(rng, _UNITS), "notes": "", "language": ""}
    n = int(rng.integers(3, 9))
    if rng.random() < 0.5:
        facts = facts_of.draw(rng)
        domain["superclass"] = one(rng, words.CALLED[facts.kind])
        asked = words.askable(facts)
        named = {words.name(asked[k], facts.kind, rng): words.value(facts, asked[k])
                 for k in rng.permutation(len(asked))[:n]}  # fmt: skip
    else:
        named = {_attribute(rng)[0]: _any(rng) for _ in range(n)}
    return list(named.items()), domain


def _any(rng: Dice) -> str:
    if rng.random() < 0.12:
        return words.NOT_VISIBLE
    n = int(rng.integers(1, 4))
    return one(rng, [" ", ", "]).join(one(rng, _WORDS) for _ in range(n))


def _attribute(rng: Dice) -> tuple[str, str, tuple[str, ...]]:
    """(name, question, options)."""
    part, (kind, (asked, options)) = (
        one(rng, _PARTS),
        list(_PROPERTIES.items())[int(rng.integers(len(_PROPERTIES)))],
    )
    return f"{part}_{kind}", asked.replace("{part}", part), options


def attributes(rng: Dice) -> Turn:
    """A list of attributes as JSON; seeds that are given come first."""
    domain = {"superclass": one(rng, _THINGS), "unit": one(rng, _UNITS), "notes": "", "language": ""}
    n = int(rng.integers(3, 8))
    seeds = [f"{one(rng, _PARTS)} {one(rng, list(_PROPERTIES))}" for _ in range(int(rng.integers(1, 4)))]
    seeds = list(dict.fromkeys(seeds)) if rng.random() < 0.5 else []
    text = template("discover/attributes").render(n_attributes=n, seeds=seeds, **domain).text
    listed: dict[str, dict[str, object]] = {}
    for seed in seeds:
        part, kind = seed.split()
        asked, options = _PROPERTIES[kind]
        listed[f"{part}_{kind}"] = _entry(f"{part}_{kind}", asked.replace("{part}", part), options)
    while len(listed) < n:
        name, asked, options = _attribute(rng)
        listed[name] = _entry(name, asked, options)
    return Turn("attributes", text, json.dumps({"attributes": list(listed.values())[:n]}), sees=False)


def _entry(name: str, asked: str, options: tuple[str, ...]) -> dict[str, object]:
    return {"name": name, "question": asked, "options": list(options)}


def mended(rng: Dice) -> Turn:
    """An answer that could not be used, and the same as a letter."""
    facts = facts_of.draw(rng)
    asked = turns.closed(facts, rng)
    told = template("mend/reply").render(schema="", options=True).text
    said = words.value(facts, asked.attribute)
    return Turn("mended", asked.text, asked.answer, sees=False, before=((said, told),))


def reading(rng: Dice) -> Turn:
    """A question about notes: which lettered value do they give, or what do they say."""
    facts: Facts = facts_of.draw(rng)
    known = facts.asked
    some = [known[k] for k in rng.permutation(len(known))[: int(rng.integers(2, 7))]]
    notes = "\n".join(f"{words.name(name, facts.kind, rng)}: {words.value(facts, name)}" for name in some)
    attribute = one(rng, some)
    wrong = [name for name in VALUES[attribute] if name != facts[attribute]]
    held = [facts[attribute], *(wrong[k] for k in rng.permutation(len(wrong))[:3])]
    options = [words.said(attribute, held[k]) for k in rng.permutation(len(held))]
    asked = words.question(attribute, facts.kind, "thing", rng)
    right = words.said(attribute, facts[attribute])
    if rng.random() < 0.5:
        lines = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=False))
        return Turn("reading", f"{notes}\n\n{asked}\n{lines}\nAnswer with the letter alone.",
                    "ABCDE"[options.index(right)], sees=False)  # fmt: skip
    return Turn("reading", f"{notes}\n\n{asked}", right, sees=False)


TOLD: Mapping[str, tuple[float, Callable[[Dice], Turn]]] = {
    "summary": (0.3, summary), "short": (0.1, short), "attributes": (0.15, attributes), "mended": (0.05, mended),
    "reading": (0.4, reading),
}  # fmt: skip
"""task -> (share of the turns, how it is made)."""


def turn(rng: Dice) -> Turn:
    """Some request about words alone."""
    shares = np.array([share for share, _ in TOLD.values()])
    made = list(TOLD.values())[int(rng.choice(len(shares), p=shares / shares.sum()))][1]
    return made(rng)
