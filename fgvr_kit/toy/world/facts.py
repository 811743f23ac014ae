"""What can be true of a picture of the synthetic world, and the draw of what is true of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

KINDS = ("coin", "badge", "flower", "leaf", "beetle", "butterfly")
_SHARE = (0.42, 0.24, 0.1, 0.06, 0.09, 0.09)

METALS = ("gold", "silver", "copper")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
DIGITS = ("1", "2", "5", "10", "20", "50")
LETTERS = ("A", "B", "E", "K", "R", "T")
MOTIFS = ("map", "head", "bird", "tree", "building", "star", "cross", "heart", "crown")
NONE = "none"

VALUES: Mapping[str, tuple[str, ...]] = {
    "kind": KINDS,
    "colour": (*METALS, *COLOURS),
    "second": (*METALS, *COLOURS, NONE),
    "shape": ("round", "oval", "square", "triangle", "hexagon", "star", "heart", "diamond", "cross",
              "pointed", "lobed"),
    "petals": ("four", "five", "six", "eight"),
    "size": ("small", "medium", "large"),
    "material": ("metal", "wood", "stone", "plastic"),
    "wear": ("shiny", "matt", "scratched", "stained"),
    "pattern": ("plain", "striped", "spotted", "chequered", "ringed"),
    "marking": (*DIGITS, *LETTERS, *MOTIFS, NONE),
    "side": ("value side", "picture side"),
    "turn": ("upright", "turned left", "upside down", "turned right"),
    "edge": ("smooth", "notched", "ribbed", "wavy"),
    "stars": (NONE, "three", "five", "twelve"),
    "position": ("centre", "left", "right", "top", "bottom"),
    "background": ("wood", "cloth", "grass", "stone", "paper", "sand"),
    "light": ("neutral", "warm", "cool", "dim", "bright"),
    "sharpness": ("sharp", "blurred"),
    "others": ("yes", "no"),
}  # fmt: skip
"""Every attribute with its values. Chance is one in their number, where values are drawn alike often."""

_SCENE = ("size", "position", "background", "light", "sharpness", "others")
HAS: Mapping[str, tuple[str, ...]] = {
    "coin": ("colour", "second", "wear", "marking", "side", "turn", "edge", "stars", *_SCENE),
    "badge": ("colour", "second", "shape", "material", "pattern", "marking", "turn", "stars", *_SCENE),
    "flower": ("colour", "second", "petals", "edge", *_SCENE),
    "leaf": ("colour", "shape", "pattern", "edge", *_SCENE),
    "beetle": ("colour", "second", "pattern", "shape", *_SCENE),
    "butterfly": ("colour", "second", "pattern", "edge", *_SCENE),
}
"""The attributes that something of each kind has, beside its kind."""

IDENTITY: Mapping[str, tuple[str, ...]] = {
    "coin": ("colour", "second", "marking", "edge"),
    "badge": ("shape", "colour", "pattern", "marking"),
    "flower": ("colour", "second", "petals"),
    "leaf": ("colour", "shape", "pattern", "edge"),
    "beetle": ("colour", "second", "pattern"),
    "butterfly": ("colour", "second", "pattern"),
}
"""The attributes that make a class of its kind: what is kept out of training is kept out by these."""

_ALLOWED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("coin", "colour"): METALS,
    ("leaf", "colour"): ("green", "yellow", "red", "brown", "orange"),
    ("leaf", "shape"): ("oval", "pointed", "heart", "lobed"),
    ("leaf", "pattern"): ("plain", "striped", "spotted"),
    ("leaf", "edge"): ("smooth", "notched", "wavy"),
    ("badge", "shape"): ("round", "oval", "square", "triangle", "hexagon", "star", "heart", "diamond", "cross"),
    ("beetle", "shape"): ("round", "oval"),
    ("beetle", "pattern"): ("plain", "striped", "spotted"),
    ("butterfly", "pattern"): ("plain", "striped", "spotted", "ringed"),
    ("butterfly", "edge"): ("smooth", "wavy"),
    ("flower", "edge"): ("smooth", "notched"),
}  # fmt: skip

_UPRIGHT = frozenset({*DIGITS, *LETTERS, "head", "bird", "tree", "building", "heart", "crown"})


EASY: Mapping[str, str] = {
    "size": "large", "position": "centre", "sharpness": "sharp", "light": "neutral", "others": "no",
    "turn": "upright",
}  # fmt: skip
"""A thing that fills the picture, in sharp focus: what learning begins with."""


@dataclass(frozen=True, slots=True)
class Facts:
    """values: what is true of one picture, for the attributes that its kind has (and `kind` itself)."""

    values: Mapping[str, str]

    def __getitem__(self, attribute: str) -> str:
        """The value, "" where things of this kind have no such attribute."""
        return self.values.get(attribute, "")

    @property
    def kind(self) -> str:
        return self.values["kind"]

    @property
    def identity(self) -> tuple[str, ...]:
        """Its kind and the values that make its class."""
        return (self.kind, *(self[name] for name in IDENTITY[self.kind]))

    @property
    def asked(self) -> list[str]:
        """The attributes that can be answered by looking at this picture."""
        return [name for name in HAS[self.kind] if self[name]]


def draw(rng: np.random.Generator, fixed: Mapping[str, str] | None = None) -> Facts:
    """What is true of a new picture. fixed: values that are not drawn, `kind` among them."""
    fixed = fixed or {}
    kind = fixed.get("kind") or str(rng.choice(KINDS, p=_SHARE))
    values = {"kind": kind}
    for name in HAS[kind]:
        free = name not in fixed or (name == "turn" and values["marking"] not in _UPRIGHT)
        values[name] = _value(rng, values, kind, name) if free else fixed[name]
    return Facts({name: value for name, value in values.items() if value})


def _value(rng: np.random.Generator, so_far: Mapping[str, str], kind: str, name: str) -> str:
    if name == "colour":
        return _pick(rng, _ALLOWED.get((kind, name), VALUES[name] if kind == "badge" else COLOURS))
    if name == "second":
        return _second(rng, so_far["colour"], kind)
    if name == "marking":
        return _marking(rng, kind)
    if name == "side":
        return "value side" if so_far["marking"] in DIGITS else "picture side"
    if name == "turn" and so_far["marking"] not in _UPRIGHT:
        return ""
    if name == "material" and so_far["colour"] in METALS:
        return "metal"
    if name == "material":
        return _pick(rng, ("wood", "stone", "plastic"))
    if name == "stars" and so_far.get("shape", "round") not in ("round", "square", "hexagon"):
        return ""  # they would lie beside the thing
    if name == "stars" and rng.random() < 0.4:
        return NONE
    if name == "position" and rng.random() < 0.5:
        return "centre"
    if name == "sharpness":  # what is small and blurred shows nothing
        return "sharp" if so_far["size"] == "small" or rng.random() < 0.7 else "blurred"
    return _pick(rng, _ALLOWED.get((kind, name), VALUES[name]))


def _second(rng: np.random.Generator, colour: str, kind: str) -> str:
    if kind in ("coin", "badge") and rng.random() < 0.5:
        return NONE
    known = METALS if kind == "coin" else COLOURS
    return _pick(rng, tuple(name for name in known if name != colour))


def _marking(rng: np.random.Generator, kind: str) -> str:
    chance = rng.random()
    if chance < (0.05 if kind == "coin" else 0.25):
        return NONE
    if chance < (0.55 if kind == "coin" else 0.5):
        return _pick(rng, DIGITS)
    return _pick(rng, MOTIFS if kind == "coin" or chance < 0.75 else LETTERS)


def _pick(rng: np.random.Generator, among: tuple[str, ...]) -> str:
    return among[int(rng.integers(len(among)))]
