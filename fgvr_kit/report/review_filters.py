"""Which pictures the review page shows, in which order, and where a model doubts what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fgvr_kit.asking import parse
from fgvr_kit.store import Store
from fgvr_kit.types import Image

UNSURE = 0.7
"""Confidence below which an answer counts as low, unless the page asks for another bound."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which images are shown, and in which order.

    doubt: "disagree": only where samples do; "unsure": where a confidence is below `below`; "": all.  finding: a
    kind that `check` found.  seed: of the random order; None: by path.
    """

    doubt: str = ""
    below: float = UNSURE
    attribute: str = ""
    class_name: str | None = None
    finding: str = ""
    seed: str | None = None


def chosen(
    store: Store, images: Iterable[Image], names_of: Callable[[Image], Collection[str]], filters: Filters
) -> list[Image]:
    """The images that the filters let through, in order. names_of: the attributes that are asked of an image."""
    found = [image for image in images if filters.class_name in (None, image.class_name)]
    if filters.attribute:
        found = [image for image in found if filters.attribute in names_of(image)]
    if filters.doubt:
        doubted = {number for number, name in _doubted(store, filters) if filters.attribute in ("", name)}
        found = [image for image in found if image.id in doubted]
    if filters.finding:
        named = store.findings(filters.finding)
        paths = {path for finding in named for path in (finding.path, finding.other)}
        found = [image for image in found if image.path in paths]
    if filters.seed is not None:
        seed = filters.seed
        found.sort(key=lambda image: _drawn(seed, image))
    return found


def said_again(row: Mapping[str, Any]) -> str:
    """The value in another sample's reply, a row of `Store.samples`; "" where it holds none."""
    if row["is_joint"]:
        return parse.answers(row["text"], [row["attribute"]]).get(row["attribute"], "")
    return (parse.option(row["text"], row["options"]) or "") if row["options"] else parse.value(row["text"])


def differ(one: str, other: str) -> bool:
    """Whether two values are not the same, whatever their case, blanks and last full stop."""
    return _folded(one) != _folded(other)


def _doubted(store: Store, filters: Filters) -> Iterator[tuple[int, str]]:
    """(image id, attribute) of the answers that are in doubt."""
    if filters.doubt == "unsure":
        yield from store.unsure(filters.below)
        return
    for row in store.samples():
        if differ(row["value"], said_again(row)):
            yield row["image_id"], row["attribute"]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _drawn(seed: str, image: Image) -> bytes:
    """The place of an image in a random order: the same also when others come or go."""
    return hashlib.sha256(f"{seed}\0{image.sha256}\0{image.path}".encode("utf-8", "surrogatepass")).digest()
