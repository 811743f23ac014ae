"""Names of classes that are everyday words too: "orange" is a fruit and a colour, "fly" an insect and what birds do."""

from __future__ import annotations

import re

COLOURS = frozenset({
    "amber", "apricot", "aqua", "auburn", "beige", "black", "blue", "bronze", "brown", "buff",
    "burgundy", "cherry", "chestnut", "chocolate", "copper", "coral", "cream", "crimson", "fawn",
    "gold", "golden", "gray", "green", "grey", "hazel", "indigo", "ivory", "jade", "khaki", "lavender",
    "lemon", "lilac", "lime", "magenta", "mahogany", "maroon", "mint", "mustard", "navy", "ochre",
    "olive", "orange", "peach", "pearl", "pink", "plum", "purple", "red", "rose", "ruby", "rust",
    "salmon", "sand", "scarlet", "silver", "tan", "teal", "turquoise", "violet", "walnut", "white",
    "yellow",
})  # fmt: skip
"""They stand before a noun as often as they are one."""
OTHERS = frozenset({
    "bark", "bear", "bend", "bolt", "bow", "break", "bug", "chip", "clear", "cod", "crack", "crane",
    "cut", "dent", "dive", "duck", "fall", "flat", "fly", "good", "hole", "kite", "light", "mark",
    "normal", "open", "park", "perch", "plain", "plane", "ray", "rock", "round", "ruff", "scratch",
    "seal", "skate", "smooth", "spot", "square", "squash", "stain", "star", "stripe", "swallow",
    "swift", "tear", "turkey", "twist", "wear",
})  # fmt: skip
ORDINARY = COLOURS | OTHERS

_ARTICLE = r"(?:a|an|the|this|that|one|each|every|another|ein|eine|einen|einer|der|die|das|den|dem)"
_NO_ADJECTIVE = (
    r"(?!(?:and|are|be|can|cannot|could|did|do|does|has|have|is|may|might|must|of|or|should|that|to|was|were|will|"
    r"would)\b)"
)
_AT_ONCE = re.compile(rf"\b{_ARTICLE}[\s*_\"'(]+$")
# "a small black fly", not "the wings fly" and not "the bee can fly".
_BEFORE = re.compile(rf"\b{_ARTICLE}\s+(?:{_NO_ADJECTIVE}[^\W\d_]*[^\W\d_s][\s,]+){{0,2}}[*_\"'(]*$")
_NO_NOUN_BEHIND = re.compile(
    r"\s*(?:$|[^\w\s\-/]|(?:and|are|as|at|behind|beside|by|for|from|has|in|is|lies|near|next|of|on|or|sits|stands|that|"
    r"under|was|which|with)\b)"
)


def is_noun(folded: str, start: int, end: int) -> bool:
    """Whether the ordinary word in the singular at this place of a folded text stands where a noun does.

    That is: the text is nothing but the word; or an article is before it, at most two adjectives between, and
    behind a colour no other noun. "An orange beetle" is no orange, "an orange on a plate" is.
    """
    if not folded[:start].strip(" \"'(*_") and not folded[end:].strip(" \"')*_.!?"):
        return True
    before = folded[max(0, start - 60) : start]
    if folded[start:end] in COLOURS:
        return bool(_AT_ONCE.search(before) and _NO_NOUN_BEHIND.match(folded, end))
    return bool(_BEFORE.search(before))
