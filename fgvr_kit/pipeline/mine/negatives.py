"""Hard negatives: for each training image, images of the wrong classes that are most like it.

Finedefics (section 3.2) takes three images of the three most similar wrong classes and leaves open how they
are found. Here: classes by the cosine of the image with "an image of a {class}" (as FOCI ranks its options), and
inside each class the image nearest to the anchor.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.pipeline.mine.guards import Pictures, Suspects, copies_of
from fgvr_kit.pipeline.mine.likeness import Draws, Likeness, ToCentres, ToImages
from fgvr_kit.pipeline.mine.mined import (
    GUARDS,
    MOST_EXAMPLES,
    Drop,
    Guard,
    LookAlikes,
    Refused,
    Spread,
    Stray,
)
from fgvr_kit.pipeline.mine.neighbours import Grouped, Vectors, blocks, centres, keys_of
from fgvr_kit.pipeline.mine.search import Found, Refusals, Search, Unwanted
from fgvr_kit.pipeline.mine.texts import ClassTexts
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import MineSettings
from fgvr_kit.types import Image, Negative

if TYPE_CHECKING:
    from fgvr_kit.pipeline.mine.neighbours import Floats, Numbers


@dataclass(frozen=True, slots=True)
class Negatives:
    """What was found for the training images; the fields are those of Mined."""

    negatives: list[Negative]
    drops: tuple[Drop, ...]
    look_alikes: tuple[LookAlikes, ...]
    strays: tuple[Stray, ...]
    n_strays: int
    own_class: Spread | None
    wrong_class: Spread | None
    wrong_image: Spread | None


def find_negatives(
    images: Sequence[Image],
    vectors: Vectors,
    texts: ClassTexts,
    settings: MineSettings,
    *,
    duplicates: Sequence[tuple[str, str, float]] = (),
    suspects: Suspects | None = None,
    progress: Progress = SILENT,
) -> Negatives:
    """At most settings.n_negatives for each image, each of another class, the most similar class first.

    vectors: (N, D) unit rows, in the order of images.  duplicates: pairs of pixel hashes of near copies.  An image
    has fewer negatives, or none, where the guards leave no more classes.
    """
    search = _search(images, vectors, texts, settings, duplicates, suspects or Suspects({}, False))
    found = search.run(progress)
    by_text = settings.kind == "hard" and settings.by == "text"
    closest = (
        found if by_text else replace(search, likeness=ToCentres(vectors, texts.vectors)).rivals(progress)
    )
    is_hard = settings.kind == "hard"
    wrong_class = _with_texts(vectors, found.classes, texts.vectors)  # (N, n)
    taken = found.members >= 0
    n_strays, strays = _strays(images, texts.names, closest)
    return Negatives(
        negatives=_negatives(images, texts.names, found, wrong_class),
        drops=_drops(images, texts.names, found.refusals),
        look_alikes=_look_alikes(texts.names, search.classes, (found if is_hard else closest).best),
        strays=strays,
        n_strays=n_strays,
        own_class=Spread.of(closest.own),
        wrong_class=Spread.of(wrong_class[taken]),
        wrong_image=Spread.of(found.cosines[taken]),
    )


def _search(
    images: Sequence[Image],
    vectors: Vectors,
    texts: ClassTexts,
    settings: MineSettings,
    duplicates: Sequence[tuple[str, str, float]],
    suspects: Suspects,
) -> Search:
    column = texts.columns
    classes = np.array([column[image.class_name] for image in images], dtype=np.intp)
    suspect = np.array([image.path in suspects.looks_like for image in images], dtype=bool)
    pictures = Pictures.of(vectors, *copies_of(images, duplicates), suspect, settings.near_copy)
    candidates = Grouped.of(classes, len(column), ~suspect)
    keys = keys_of(image.sha256 for image in images)
    likeness: Likeness
    if settings.kind == "random":
        likeness = Draws(settings.seed, keys, keys_of(texts.names))
    elif settings.by == "image":
        likeness = ToImages(vectors, candidates, classes, pictures)
    else:
        by_text = settings.by == "text"
        likeness = ToCentres(vectors, texts.vectors if by_text else centres(vectors, candidates))
    return Search(
        vectors,
        classes,
        Grouped.of(classes, len(column)),
        likeness,
        pictures,
        _unwanted(images, texts, suspects),
        settings.n_negatives,
        settings.seed,
        keys if "random" in (settings.kind, settings.pick) else None,
    )


def _unwanted(images: Sequence[Image], texts: ClassTexts, suspects: Suspects) -> Unwanted:
    column = texts.columns
    of_class = {
        column[name]: [(column[other], why) for other, why in related.items() if other in column]
        for name, related in texts.related.items()
        if name in column
    }
    of_anchor: dict[int, tuple[int, Guard]] = {}
    for number, image in enumerate(images):
        looks_like = suspects.looks_like.get(image.path, "")
        if looks_like in column and looks_like != image.class_name:
            of_anchor[number] = column[looks_like], "likely wrong label"
    return Unwanted(of_class, of_anchor)


# --- what is told of them -------------------------------------------------------------------------------------


def _negatives(
    images: Sequence[Image], names: Sequence[str], found: Found, wrong_class: Floats
) -> list[Negative]:
    anchors, ranks = np.nonzero(found.members >= 0)
    order = np.lexsort((ranks, np.array([images[n].id for n in anchors.tolist()], dtype=np.intp)))
    anchors, ranks = anchors[order], ranks[order]
    parts = (anchors, ranks, found.members[anchors, ranks], found.classes[anchors, ranks],
             wrong_class[anchors, ranks], found.cosines[anchors, ranks])  # fmt: skip
    rows = zip(*(part.tolist() for part in parts), strict=True)
    return [
        Negative(images[anchor].id, rank, images[member].id, names[c], round(to_class, 6), round(to_image, 6))
        for anchor, rank, member, c, to_class, to_image in rows
    ]


def _with_texts(vectors: Vectors, classes: Numbers, texts: Floats) -> Floats:
    """(N, n) cosines of each anchor with the texts of its classes; 0 where there is none."""
    cosines = np.zeros(classes.shape, dtype=np.float32)
    for block in blocks(len(classes), classes.shape[1] * texts.shape[1]):
        cosines[block] = np.einsum("bd,bnd->bn", vectors[block], texts[classes[block]])
    cosines[classes < 0] = 0
    return cosines


def _drops(images: Sequence[Image], names: Sequence[str], refusals: Refusals) -> tuple[Drop, ...]:
    found = []
    for guard in GUARDS:
        if n := refusals.counts.get(guard, 0):
            examples = tuple(
                Refused(
                    images[anchor].id, names[c], images[other].id if other >= 0 else None, round(value, 6)
                )
                for value, anchor, c, other in refusals.examples[guard]
            )
            found.append(Drop(guard, n, examples))
    return tuple(found)


def _strays(images: Sequence[Image], names: Sequence[str], closest: Found) -> tuple[int, tuple[Stray, ...]]:
    """How many images are closer to the text of a wrong class, and the farthest of them."""
    margins = closest.rival - closest.own
    astray = np.flatnonzero((margins > 0) & (closest.best >= 0))
    farthest = astray[np.argsort(-margins[astray], kind="stable")][:MOST_EXAMPLES]
    return len(astray), tuple(
        Stray(images[n].id, names[closest.best[n]], round(float(margins[n]), 6)) for n in farthest.tolist()
    )


def _look_alikes(names: Sequence[str], classes: Numbers, best: Numbers) -> tuple[LookAlikes, ...]:
    """Pairs of classes of which each is the other's most frequent first choice, the surest first."""
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for own, other in zip(classes.tolist(), best.tolist(), strict=True):
        if other >= 0:
            counts[own][other] += 1
    first = {own: min(some, key=lambda c: (-some[c], c)) for own, some in counts.items()}
    sizes = np.bincount(classes, minlength=len(names)).tolist()
    found = [
        LookAlikes(names[a], names[b], counts[a][b], sizes[a], counts[b][a], sizes[b])
        for a, b in first.items()
        if a < b and first.get(b) == a
    ]
    return tuple(sorted(found, key=lambda pair: (-(pair.n_first + pair.n_second), pair.first)))
