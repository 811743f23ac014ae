"""The choices of each test image: its class and wrong ones, and where each is shown.

As FOCI: the wrong classes whose texts are most similar to the image. Over the test set the true class stands
equally often at each place, so that a model that likes a letter gains nothing by it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fgvr_kit.pipeline.mine.neighbours import Vectors, blocks, drawn, keys_of, top
from fgvr_kit.pipeline.mine.texts import ClassTexts
from fgvr_kit.types import Image, Option

OptionKind = Literal["hard", "random", "mixed"]


def find_options(
    images: Sequence[Image],
    vectors: Vectors,
    texts: ClassTexts,
    *,
    n: int,
    kind: OptionKind = "hard",
    seed: int = 0,
) -> list[Option]:
    """For each image its class and at most n - 1 wrong ones, by rank, each with its place.

    vectors: (N, D) unit rows.  kind: "hard" wrong classes are the most similar ones, "random" ones are drawn by seed
    and pixels, of "mixed" ones the first half (of three: two) is hard. Classes are ranked by cosine in any case.
    """
    column, right = texts.columns, texts.right_answers()
    truths = np.array([column[image.class_name] for image in images], dtype=np.intp)
    keys, of_classes = keys_of(image.sha256 for image in images), keys_of(texts.names)
    chosen: list[list[tuple[str, float]]] = []
    for block in blocks(len(images), len(texts.names)):
        cosines = vectors[block] @ texts.vectors.T  # (B, C)
        hard = cosines.copy()
        for row, truth in enumerate(truths[block].tolist()):
            hard[row, right[truth]] = -np.inf
        n_hard = {"hard": n - 1, "random": 0, "mixed": n // 2}[kind]
        wrong = top(hard, n_hard)[0]  # (B, n_hard)
        if n_hard < n - 1:
            rows, slots = np.nonzero(wrong >= 0)
            hard[rows, wrong[rows, slots]] = -np.inf
            draws = np.where(np.isneginf(hard), -np.inf, drawn(seed, keys[block], of_classes))
            wrong = np.concatenate([wrong, top(draws, n - 1 - n_hard)[0]], axis=1)
        for row, truth in enumerate(truths[block].tolist()):
            columns = [c for c in wrong[row].tolist() if c >= 0]
            columns.sort(key=lambda c: (-cosines[row, c], -c))
            chosen.append([(texts.names[c], float(cosines[row, c])) for c in (truth, *columns)])
    return placed(images, chosen, seed=seed)


def placed(
    images: Sequence[Image], chosen: Sequence[Sequence[tuple[str, float]]], *, seed: int
) -> list[Option]:
    """The options of each image, each with its place.  chosen: (class, cosine) by rank, the truth first.

    Each image has an order of places of its own, drawn by seed and pixels. The truth gets the first of them that
    has room left, in an order of images that is drawn likewise: only the last ones do not get what they want, so
    that another image moves hardly any. Over all images with as many options, numbers of truths differ by one at most.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, options in enumerate(chosen):
        by_size[len(options)].append(number)
    places: dict[int, list[int]] = {}
    for size, numbers in by_size.items():
        places |= _places(images, numbers, size, seed)
    return [
        Option(image.id, rank, name, round(cosine, 6), places[number][rank])
        for number, (image, options) in enumerate(zip(images, chosen, strict=True))
        for rank, (name, cosine) in enumerate(options)
    ]


def _places(images: Sequence[Image], numbers: Sequence[int], size: int, seed: int) -> dict[int, list[int]]:
    """Number of an image -> the place of each rank."""
    favoured = random.Random(f"{seed} {size}").sample(range(size), size)
    room = {place: (len(numbers) + size - 1 - nth) // size for nth, place in enumerate(favoured)}
    drawn_by = {n: random.Random(f"{seed} {images[n].sha256}") for n in numbers}
    turn = {n: (drawn_by[n].random(), images[n].sha256, images[n].path) for n in numbers}
    found = {}
    for number in sorted(numbers, key=turn.__getitem__):
        order = drawn_by[number].sample(range(size), size)
        first = next(place for place in order if room[place])
        room[first] -= 1
        found[number] = [first, *(place for place in order if place != first)]
    return found
