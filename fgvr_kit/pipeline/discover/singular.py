"""English words in the singular; only for comparing them."""

from __future__ import annotations

_IRREGULAR = {
    "antennae": "antenna", "elytra": "elytron", "feet": "foot", "fungi": "fungus", "geese": "goose", "halves": "half",
    "hooves": "hoof", "larvae": "larva", "leaves": "leaf", "lice": "louse", "men": "man", "mice": "mouse",
    "pupae": "pupa", "stigmata": "stigma", "teeth": "tooth", "wolves": "wolf", "women": "woman",
}  # fmt: skip


def singular(word: str) -> str:
    """A folded word without the s of a plural: "wings" -> "wing", "antennae" -> "antenna"."""
    if known := _IRREGULAR.get(word):
        return known
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
