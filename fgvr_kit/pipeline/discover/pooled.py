"""Several lists of attributes as one: names of the same meaning are one attribute, and what more lists name goes first.

Two names mean the same when they are made of the same words: "colour of the wing" and "wing colors". Vectors of CLIP
are not asked: for them "wing colour" is as close to "wing shape" as to "hue of the wings".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fgvr_kit.pipeline.discover.proposed import MAX_OPTIONS, Meaning
from fgvr_kit.pipeline.discover.singular import singular
from fgvr_kit.types import Attribute

_SMALL_WORDS = {
    "": "a an and at by for from in is its of on the their to with",
    "Dutch": "de het een van op in en met bij aan der des",
    "French": "au aux avec d de des du en et l la le les sur un une à",
    "German": "am an auf bei das dem den der des die ein eine im in mit und von vom zu zum zur",
    "Italian": "a al con d da dei del della delle di e gli i il in l la le lo su un una",
    "Portuguese": "a as com da das de do dos e em na no o os um uma",
    "Spanish": "a al con de del e el en la las lo los su un una y",
}
"""Of names in a language, words that carry no meaning of their own; "" is English."""
_EMPTY = frozenset({"dominant", "general", "main", "overall", "predominant", "primary", "visible"})
_SAME = {
    "amount": "number", "color": "colour", "coloration": "colour", "colouration": "colour", "coloring": "colour",
    "colouring": "colour", "count": "number", "form": "shape", "gray": "grey", "hue": "colour",
    "patterning": "pattern", "quantity": "number",
}  # fmt: skip


def meaning_in(language: str) -> Meaning:
    """Names in snake_case -> what those of one meaning share. language: as prompts are told, "" for English."""
    small = frozenset(_SMALL_WORDS.get(language, "").split())

    def english(name: str) -> Hashable:
        words = frozenset(_SAME.get(word, word) for word in map(singular, name.split("_")))
        return words - small - _EMPTY or words

    def other(name: str) -> Hashable:
        words = frozenset(name.split("_"))
        return words - small or words

    return other if language else english


@dataclass(frozen=True, slots=True)
class Pooled:
    """An attribute. replies: numbers of the lists that name it.  place: its mean place in these.

    others: what else it was called.
    """

    attribute: Attribute
    replies: frozenset[int]
    place: float
    others: tuple[str, ...] = ()


def pool(lists: Sequence[Sequence[Attribute]], meaning: Meaning) -> list[Pooled]:
    """One list of all, what most lists name first. Within a list no meaning stands twice."""
    found: dict[Hashable, list[Pooled]] = {}
    for number, attributes in enumerate(lists):
        for place, attribute in enumerate(attributes):
            one = Pooled(attribute, frozenset({number}), place)
            found.setdefault(meaning(attribute.name), []).append(one)
    return in_order(map(as_one, found.values()))


def in_order(pooled: Iterable[Pooled]) -> list[Pooled]:
    return sorted(pooled, key=lambda one: (-len(one.replies), one.place))


def as_one(named: Sequence[Pooled]) -> Pooled:
    """The first of them, for all. It is a closed question where at least half of the replies made it one."""
    first = named[0]
    names = dict.fromkeys(name for one in named for name in (one.attribute.name, *one.others))
    closed = [one.attribute.options for one in named if one.attribute.options]
    options = closed[0] if 2 * len(closed) >= len(named) and closed else ()
    return Pooled(
        replace(first.attribute, options=options),
        frozenset().union(*(one.replies for one in named)),
        fmean(one.place for one in named),
        tuple(name for name in names if name != first.attribute.name),
    )


def merged(pooled: Sequence[Pooled], groups: Iterable[Sequence[str]]) -> list[Pooled]:
    """The list with each group of names as one attribute. What no list names, or an earlier group, is left out."""
    left = {one.attribute.name: one for one in pooled}
    done: list[Pooled] = []
    for names in groups:
        group = [left.pop(name) for name in dict.fromkeys(names) if name in left]
        done += [as_one(in_order(group))] if group else []
    return in_order([*left.values(), *done])


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of attributes.csv to be. named: for each superclass ("" where there is one list), by how many replies."""

    attribute: Attribute
    named: tuple[tuple[str, int], ...]
    others: tuple[str, ...] = ()


def entries_of(lists: Mapping[str, Sequence[Pooled]], meaning: Meaning) -> list[Entry]:
    """The lists of all superclasses as one, in which every name is unique.

    What all of them name is asked of every image; the others only below their superclass. Where two of several name
    the same, the superclass is put before the name.
    """
    if len(lists) == 1:
        return [Entry(p.attribute, (("", len(p.replies)),), p.others) for p in next(iter(lists.values()))]
    by_meaning: dict[Hashable, dict[str, Pooled]] = {}
    for superclass, pooled in lists.items():
        for one in pooled:
            by_meaning.setdefault(meaning(one.attribute.name), {})[superclass] = one
    shared = [_shared(of) for of in by_meaning.values() if len(of) == len(lists)]
    used = {entry.attribute.name for entry in shared}
    own: list[Entry] = []
    for of in by_meaning.values():
        if len(of) < len(lists):
            for superclass, one in of.items():
                own.append(_own(superclass, one, used, is_lone=len(of) == 1))
                used.add(own[-1].attribute.name)
    order = list(lists)
    own.sort(key=lambda entry: order.index(entry.attribute.superclass))
    return [*shared, *own]


def _shared(of: Mapping[str, Pooled]) -> Entry:
    first = next(iter(of.values()))
    lists = [one.attribute.options for one in of.values()]
    union = tuple({option.casefold(): option for options in lists for option in options}.values())
    options = union if all(lists) and len(union) <= MAX_OPTIONS else ()
    named = tuple((superclass, len(one.replies)) for superclass, one in of.items())
    return Entry(replace(first.attribute, options=options, superclass=""), named, first.others)


def _own(superclass: str, one: Pooled, used: set[str], *, is_lone: bool) -> Entry:
    name = one.attribute.name
    if not is_lone or name in used:
        name = f"{'_'.join(superclass.casefold().split())}_{name}"
    attribute = replace(one.attribute, name=name, superclass=superclass)
    return Entry(attribute, ((superclass, len(one.replies)),), one.others)
