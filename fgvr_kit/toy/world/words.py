"""How people name attributes, ask for them, and say what they found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fgvr_kit.toy.world.facts import DIGITS, METALS, MOTIFS, NONE, Facts

NOT_VISIBLE = "not visible"

CALLED: Mapping[str, tuple[str, ...]] = {
    "coin": ("coin", "coin", "euro coin", "piece of money", "object", "thing"),
    "badge": ("badge", "token", "button", "tile", "sign", "object", "thing"),
    "flower": ("flower", "flower", "blossom", "plant", "object"),
    "leaf": ("leaf", "leaf", "plant", "object"),
    "beetle": ("beetle", "beetle", "insect", "bug", "animal", "object"),
    "butterfly": ("butterfly", "butterfly", "insect", "animal", "object"),
}
"""What is said for the thing in a picture: {thing} of the questions, the superclass of the prompts."""

UNITS: Mapping[str, tuple[str, ...]] = {
    "coin": ("denomination", "class", "kind", "type"),
    "badge": ("class", "kind", "type", "model"),
    "flower": ("species", "class", "kind", "variety"),
    "leaf": ("species", "class", "kind"),
    "beetle": ("species", "class", "kind"),
    "butterfly": ("species", "class", "kind"),
}

# name of the question -> (names an attribute list may give it, wordings); "kind:name" is asked of that kind alone.
_ASKED: Mapping[str, tuple[str, str]] = {
    "kind": ("kind | type of thing | object | what it is",
             "What is shown? | What kind of thing is it? | What is it? | Which object is in the picture?"),
    "colour": ("colour | main colour | overall colour | color | base_colour",
               "What colour is the {thing}? | What is its main colour? | Which colour does the {thing} have? | "
               "What color is it?"),
    "coin:colour": ("metal_colour | colour | centre_colour | colour of the metal",
                    "What colour is the metal? | What colour is the coin? | What is the colour of its centre? | "
                    "Which metal does the coin look like?"),
    "flower:colour": ("petal_colour | colour | colour of the petals", "What colour are the petals? | "
                      "Which colour does the flower have?"),
    "butterfly:colour": ("wing_colour | colour | wing colour", "What colour are the wings? | "
                         "Which colour does the butterfly have?"),
    "beetle:colour": ("body_colour | wing_case_colour | colour", "What colour is the body? | "
                      "What colour are the wing cases? | Which colour does the beetle have?"),
    "coin:second": ("rim_colour | ring_colour | colour of the ring", "What colour is the outer ring? | "
                    "Which colour does the ring have, if there is one? | What colour is the ring around the centre?"),
    "badge:second": ("rim_colour | border_colour | edge colour", "What colour is the border? | "
                     "Which colour does the rim have, if there is one?"),
    "flower:second": ("centre_colour | colour of the centre", "What colour is the centre? | "
                      "Which colour is the middle of the flower?"),
    "beetle:second": ("head_colour | colour of the head", "What colour is the head? | "
                    "Which colour does its head have?"),
    "butterfly:second": ("border_colour | colour of the border", "What colour is the border of the wings? | "
                         "Which colour are the wing edges?"),
    "shape": ("shape | outline | form | body_shape", "What shape is the {thing}? | What is its outline? | "
              "Which form does the {thing} have?"),
    "petals": ("petals | petal_number | number of petals", "How many petals are there? | "
               "What is the number of petals? | How many petals does the {thing} have?"),
    "size": ("size | apparent_size | apparent_size_in_frame | size in the frame",
             "How large is the {thing} in the picture? | How big does it look? | "
             "How large is the {thing}, as a share of the frame?"),
    "material": ("material | made of | substance", "What is the {thing} made of? | Which material is it? | "
                 "What does the material look like?"),
    "wear": ("wear | surface | wear_and_surface | condition",
             "What is its surface like? | How does the surface look? | "
             "How worn is the {thing}, and what is its surface like: shiny, matt, scratched or stained?"),
    "pattern": ("pattern | surface_pattern | pattern on it", "What pattern does it have? | "
                "Which pattern can be seen? | What pattern is on the {thing}?"),
    "marking": ("marking | symbol | mark | what stands on it", "What stands on the {thing}? | "
                "Which mark is on the {thing}? | What is shown on its face?"),
    "side": ("side | shown_side | face", "Which side of the coin is shown: the value side or a picture side? | "
             "Which side of the coin can be seen? | Does it show its value or a picture?"),
    "turn": ("orientation | turn | rotation", "Which way up is the mark? | How is the {thing} turned? | "
             "How far is the {thing} rotated from upright, and in which direction?"),
    "edge": ("edge | edge_shape | outline of the edge | rim_edge | margin",
             "How is the edge shaped? | What is the edge like: smooth, notched, ribbed or wavy? | "
             "How does the margin look? | How is the rim shaped?"),
    "stars": ("stars | number of stars | star_count", "How many stars are there? | How many stars can be seen? | "
              "Where are stars on the {thing}, and how many of them can be seen?"),
    "position": ("position | place in the picture | location", "Where in the picture is the {thing}? | "
                 "Where does it lie in the frame?"),
    "background": ("background | ground | surface below", "What is the background? | What does the {thing} lie on? | "
                   "What is behind the {thing}?"),
    "light": ("light | lighting | illumination", "What is the light like? | How is the picture lit? | "
              "What is the colour and the strength of the light?"),
    "sharpness": ("sharpness | focus", "Is the picture sharp or blurred? | How sharp is the picture?"),
    "others": ("others | other_things | other_coins_visible",
               "Are other things in the picture? | Are there others of its kind in the picture? | "
               "Can parts of others be seen?"),
    # What other attributes follow from.
    "two colours": ("bimetallic | two_colours | two metals",
                    "Is the {thing} made of two colours, a ring and a centre? | "
                    "Are there two metals, a ring and a centre of different colours (yes or no)? | "
                    "Is the coin made of two metals?"),
    "digits": ("numeral | digits | number", "Which digits can be read? | Which number stands on the {thing}? | "
               "Which digits can be read on the {thing}, and which way up are they?"),
    "motif": ("motif | picture | image on it", "What picture is on the {thing}? | Which motif does it show? | "
              "What picture is on the {thing}: a head, an animal, a plant, a building, a map or letters?"),
}  # fmt: skip

_SAID: Mapping[tuple[str, str], str] = {
    ("marking", NONE): "nothing", ("motif", NONE): "none", ("position", "centre"): "in the centre",
    ("position", "left"): "on the left", ("position", "right"): "on the right",
    ("position", "top"): "at the top", ("position", "bottom"): "at the bottom",
}  # fmt: skip

DERIVED = ("two colours", "digits", "motif")


def _split(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split("|"))


_NAMES = {name: _split(names) for name, (names, _) in _ASKED.items()}
_WORDINGS = {name: _split(wordings) for name, (_, wordings) in _ASKED.items()}


def wordings(attribute: str, kind: str) -> tuple[str, ...]:
    """The ways an attribute of such a thing is asked for; {thing} stands for what it is called."""
    own = _WORDINGS.get(f"{kind}:{attribute}", ())
    return own + (() if own and attribute == "second" else _WORDINGS.get(attribute, ()))


def question(attribute: str, kind: str, thing: str, rng: np.random.Generator) -> str:
    """One wording of the question."""
    return one(rng, wordings(attribute, kind)).replace("{thing}", thing)


def name(attribute: str, kind: str, rng: np.random.Generator) -> str:
    """What a list of attributes may call it."""
    return one(rng, _NAMES.get(f"{kind}:{attribute}") or _NAMES[attribute])


def value(facts: Facts, attribute: str) -> str:
    """The answer in words; "not visible" for what a thing of this kind has not."""
    if attribute in DERIVED:
        return _derived(facts, attribute)
    held = facts[attribute]
    if not held:
        return NOT_VISIBLE
    return _SAID.get((attribute, held), held)


def said(attribute: str, held: str) -> str:
    """The words for a value of facts.VALUES."""
    return _SAID.get((attribute, held), held)


def askable(facts: Facts) -> list[str]:
    """All that can be asked about a picture: its kind, the attributes of that, and what follows from them."""
    derived = {"coin": DERIVED, "badge": DERIVED}.get(facts.kind, ())
    return ["kind", *facts.asked, *derived]


def one(rng: np.random.Generator, among: tuple[str, ...] | list[str]) -> str:
    return among[int(rng.integers(len(among)))]


def _derived(facts: Facts, attribute: str) -> str:
    if "marking" not in facts.values:
        return NOT_VISIBLE
    if attribute == "two colours":
        return "no" if facts["second"] == NONE else "yes"
    held = facts["marking"]
    if attribute == "digits":
        return held if held in DIGITS else NOT_VISIBLE
    return held if held in MOTIFS else "none"


def mark_phrase(held: str) -> str:
    """ "20" -> "the number 20", "A" -> "the letter A", "bird" -> "a bird"."""
    if held in DIGITS:
        return f"the number {held}"
    return f"the letter {held}" if len(held) == 1 else f"a {held}"


def article(noun: str) -> str:
    """ "oval coin" -> "an oval coin"."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def is_metal(colour: str) -> bool:
    return colour in METALS
