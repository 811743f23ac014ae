"""The twenty classes of the synthetic benchmark, and what is kept out of training because of them.

Kept out is every picture whose kind and identity (facts.IDENTITY: for a coin its colour, its ring, what stands on
it and its edge) are those of one of these classes, whatever its size, light, background or other values. The
values themselves, and every other combination of them, do occur in training.
"""

from __future__ import annotations

from collections.abc import Mapping

from fgvr_kit.toy.world.facts import IDENTITY

_Group = tuple[str, tuple[tuple[str, ...], ...]]

# Look-alikes stand together: within a group classes differ in one or two values.
_GROUPS: Mapping[str, _Group] = {
    "coppers": ("coin", (
        ("copper", "none", "5", "smooth"), ("copper", "none", "2", "smooth"),
        ("copper", "none", "5", "notched"), ("copper", "none", "2", "notched"),
    )),
    "two metals": ("coin", (
        ("silver", "gold", "1", "smooth"), ("gold", "silver", "2", "smooth"),
        ("silver", "gold", "bird", "smooth"), ("gold", "silver", "bird", "smooth"),
    )),
    "badges": ("badge", (
        ("hexagon", "blue", "striped", "star"), ("hexagon", "blue", "spotted", "star"),
        ("hexagon", "purple", "striped", "star"), ("round", "blue", "striped", "star"),
    )),
    "flowers": ("flower", (
        ("pink", "yellow", "five"), ("pink", "yellow", "eight"),
        ("pink", "white", "five"), ("purple", "yellow", "five"),
    )),
    "beetles": ("beetle", (
        ("red", "black", "spotted"), ("red", "black", "striped"),
        ("orange", "black", "spotted"), ("red", "green", "spotted"),
    )),
}  # fmt: skip


def benchmark_classes() -> dict[str, dict[str, str]]:
    """Name -> its fixed values, `kind` among them; twenty, in groups of four look-alikes."""
    found: dict[str, dict[str, str]] = {}
    for group, (kind, classes) in _GROUPS.items():
        for n, values in enumerate(classes):
            name = _NAMES[group][n]
            found[name] = {"kind": kind, **dict(zip(IDENTITY[kind], values, strict=True))}
    return found


# Invented names, so that nothing about a class can be told by its name.
_NAMES: Mapping[str, tuple[str, str, str, str]] = {
    "coppers": ("pellin", "darro", "suvet", "okkum"),
    "two metals": ("velmar", "tisk", "aurenne", "bolvit"),
    "badges": ("kessel", "murrow", "fendal", "quillon"),
    "flowers": ("lissenwort", "amberel", "harrowbloom", "ninefold"),
    "beetles": ("rubbok", "skarn", "tolleth", "vimmer"),
}

KEPT_OUT: frozenset[tuple[str, ...]] = frozenset(
    (kind, *values) for kind, classes in _GROUPS.values() for values in classes
)
