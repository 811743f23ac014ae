"""Questions about one picture with their answers, in the shapes of prompts/."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from fgvr_kit.prompts import Prompts, PromptTemplate
from fgvr_kit.toy.world import facts as facts_of
from fgvr_kit.toy.world import sentences, words
from fgvr_kit.toy.world.facts import HAS, IDENTITY, VALUES, Facts
from fgvr_kit.toy.world.words import one

Dice = np.random.Generator
_SYLLABLES = ("bar", "bel", "cor", "dan", "el", "fen", "gor", "hal", "is", "kel", "lor", "mun", "nar", "ol", "pin",
              "quil", "ros", "sil", "tor", "um", "ven", "wick", "yor", "zan", " ")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked and what is answered. task: for counting; sees: whether it is asked of a picture.

    attribute: what it asks for, where it is one attribute.  before: (said, told) pairs between text and answer.
    """

    task: str
    text: str
    answer: str
    sees: bool = True
    attribute: str = ""
    before: tuple[tuple[str, str], ...] = ()


@cache
def template(name: str) -> PromptTemplate:
    """The shipped prompt."""
    return Prompts().get(name)


def _domain(kind: str, rng: Dice) -> dict[str, str]:
    notes = "" if rng.random() < 0.9 else one(rng, ["close views", "taken with a phone", "one thing each"])
    thing = one(rng, words.CALLED[kind])
    return {"superclass": thing, "unit": one(rng, words.UNITS[kind]), "notes": notes, "language": ""}


def question(facts: Facts, rng: Dice, attribute: str = "") -> Turn:
    """One attribute, answered in a few words."""
    attribute = attribute or _attribute(facts, rng)
    domain = _domain(facts.kind, rng)
    asked = words.question(attribute, facts.kind, domain["superclass"], rng)
    named = words.name(attribute, facts.kind, rng)
    if rng.random() < 0.6:
        text = template("extract/question").render(attribute=named, question=asked, **domain).text
    else:
        text = one(rng, [asked, f"{asked} Answer in a few words.", f"Question: {asked}\nShort answer:",
                         f"Look closely. {asked} If it cannot be seen, answer: not visible"])  # fmt: skip
    return Turn("question", text, words.value(facts, attribute), attribute=attribute)


def _attribute(facts: Facts, rng: Dice) -> str:
    """Mostly what such a thing has, sometimes what it has not."""
    if rng.random() < 0.05:
        known = [*VALUES, *words.DERIVED]
        return one(rng, [name for name in known if words.value(facts, name) == words.NOT_VISIBLE
                         and words.wordings(name, facts.kind)] or ["kind"])  # fmt: skip
    return one(rng, words.askable(facts))


def closed(facts: Facts, rng: Dice, attribute: str = "") -> Turn:
    """One attribute with its values as lettered options."""
    attribute = attribute or one(rng, ["kind", *facts.asked])
    domain = _domain(facts.kind, rng)
    held = facts[attribute]
    wrong = [name for name in VALUES[attribute] if name != held]
    n = min(len(wrong), int(rng.integers(1, 6)))
    chosen = [held, *(wrong[k] for k in rng.permutation(len(wrong))[:n])]
    options = [words.said(attribute, chosen[k]) for k in rng.permutation(len(chosen))]
    lettered = list(zip(string.ascii_uppercase, options, strict=False))
    asked = words.question(attribute, facts.kind, domain["superclass"], rng)
    named = words.name(attribute, facts.kind, rng)
    if rng.random() < 0.6:
        fill = {"attribute": named, "question": asked, "options": lettered, **domain}
        text = template("extract/closed").render(**fill).text
    else:
        text = _lettered(rng, asked, lettered)
    letter = lettered[options.index(words.said(attribute, held))][0]
    return Turn("closed", text, letter, attribute=attribute)


def choice(facts: Facts, rng: Dice) -> Turn:
    """Which of several classes, told by phrases; look-alikes differ in one or two values."""
    domain = _domain(facts.kind, rng)
    n = int(rng.integers(2, 6))
    if rng.random() < 0.06:
        return _unknown(domain, rng, n)
    thing = one(rng, [domain["superclass"], domain["superclass"], facts.kind])
    named = {
        sentences.phrase(like, thing): like is facts for like in [*look_alikes(facts, rng, n - 1), facts]
    }
    names = list(named)
    names = [names[k] for k in rng.permutation(len(names))]
    right = next(k for k, name in enumerate(names) if named[name])
    if rng.random() < 0.25:
        names = [words.article(name) for name in names]
    lettered = list(zip(string.ascii_uppercase, names, strict=False))
    if rng.random() < 0.6:
        text = template("ask/choice").render(options=lettered, **domain).text
    else:
        which = f"Which {domain['unit']} is this {domain['superclass']}?"
        text = _lettered(
            rng, one(rng, ["Which of these is shown?", "What does the picture show?", which]), lettered
        )
    return Turn("choice", text, lettered[right][0])


def _unknown(domain: Mapping[str, str], rng: Dice, n: int) -> Turn:
    """Names that nobody can know: still one of the letters is answered, any of them."""
    names = ["".join(one(rng, _SYLLABLES) for _ in range(int(rng.integers(2, 4)))) for _ in range(n)]
    lettered = list(zip(string.ascii_uppercase, names, strict=False))
    return Turn("choice of names", template("ask/choice").render(options=lettered, **domain).text,
                string.ascii_uppercase[int(rng.integers(n))])  # fmt: skip


def _lettered(rng: Dice, asked: str, lettered: list[tuple[str, str]]) -> str:
    sign = one(rng, [".", ")", ":"])
    lines = [f"{letter}{sign} {name}" for letter, name in lettered]
    end = one(rng, ["Answer with the letter.", "Reply with the letter only.", "Letter:",
                    "Answer with the letter from the given choices directly."])  # fmt: skip
    if rng.random() < 0.3:
        return f"{asked} {one(rng, ['Choices', 'Options'])}: {' '.join(lines)} {end}"
    return "\n".join([asked, *lines, end])


def look_alikes(facts: Facts, rng: Dice, n: int) -> list[Facts]:
    """Up to n of the same kind that differ from it, and from each other, in one to three of what makes a class."""
    found: list[Facts] = []
    seen = {facts.identity}
    for _ in range(4 * n):
        if len(found) == n:
            break
        names = IDENTITY[facts.kind]
        changed = {
            names[k] for k in rng.permutation(len(names))[: int(rng.integers(1, min(4, len(names) + 1)))]
        }
        fixed = {
            name: value for name, value in facts.values.items() if name not in {*changed, "side", "turn"}
        }
        like = facts_of.draw(rng, fixed)
        if like.identity not in seen:
            seen.add(like.identity)
            found.append(like)
    return found


def joint(facts: Facts, rng: Dice) -> Turn:
    """Several attributes at once, answered as JSON."""
    domain = _domain(facts.kind, rng)
    known = words.askable(facts)
    n = int(rng.integers(2, min(12, len(known)) + 1))
    asked: dict[str, str] = {}
    said: dict[str, str] = {}
    for k in rng.permutation(len(known))[:n]:
        name = words.name(known[k], facts.kind, rng)
        if name not in asked:
            asked[name] = words.question(known[k], facts.kind, domain["superclass"], rng)
            said[name] = words.value(facts, known[k])
    if rng.random() < 0.7:
        text = template("extract/joint").render(attributes=list(asked.items()), **domain).text
    else:
        keys = ", ".join(f'"{name}"' for name in asked)
        text = one(rng, [f"Fill in a JSON object with the keys {keys}. Reply with JSON only.",
                         f"Describe the {domain['superclass']} as JSON with these keys: {keys}"])  # fmt: skip
    return Turn("joint", text, json.dumps(said))


def general(facts: Facts, rng: Dice) -> Turn:
    """One or two sentences."""
    domain = _domain(facts.kind, rng)
    if rng.random() < 0.7:
        text = template("extract/general").render(**domain).text
    else:
        text = one(rng, ["Describe the picture briefly.", "What can be seen?", "Write a short caption."])
    return Turn("general", text, sentences.brief(facts, domain["superclass"], rng))


def describe(facts: Facts, rng: Dice) -> Turn:
    """All that can be seen, as stage align asks for it."""
    domain = _domain(facts.kind, rng)
    if rng.random() < 0.7:
        text = template("align/describe").render(**domain).text
    else:
        text = one(rng, ["Describe what can be seen.", f"Tell me all about this {domain['superclass']}.",
                         "Describe the object in the photo in five sentences. Do not name it."])  # fmt: skip
    return Turn("describe", text, sentences.description(facts, domain["superclass"], rng))


def openly(facts: Facts, rng: Dice) -> Turn:
    """Its class in words: no name can be known, so it is a phrase."""
    domain = _domain(facts.kind, rng)
    text = template("ask/open").render(**domain).text
    return Turn("open", text, sentences.phrase(facts, domain["superclass"]))


def is_it(facts: Facts, rng: Dice) -> Turn:
    """Yes or no."""
    attribute = one(
        rng, [name for name in ("kind", *facts.asked) if name not in ("others", "second", "stars")]
    )
    held = facts[attribute]
    wrong = [name for name in VALUES[attribute] if name != held]
    is_true = rng.random() < 0.5
    told = words.said(attribute, held if is_true else one(rng, wrong))
    named = words.name(attribute, facts.kind, rng)
    text = one(
        rng, [f"Is it true that its {named} is: {told}? Answer yes or no.", f"{named}: {told}. Yes or no?"]
    )
    return Turn("yes or no", text, "yes" if is_true else "no")


ASKED: Mapping[str, tuple[float, Callable[[Facts, Dice], Turn]]] = {
    "question": (0.30, question), "closed": (0.24, closed), "choice": (0.22, choice), "joint": (0.09, joint),
    "general": (0.04, general), "describe": (0.04, describe), "open": (0.03, openly), "yes or no": (0.04, is_it),
}  # fmt: skip
"""task -> (share of the turns, how it is made)."""


def turn(facts: Facts, rng: Dice) -> Turn:
    """Some question about a picture."""
    shares = np.array([share for share, _ in ASKED.values()])
    made = list(ASKED.values())[int(rng.choice(len(shares), p=shares / shares.sum()))][1]
    return made(facts, rng)


assert all(name in VALUES for names in HAS.values() for name in names)
