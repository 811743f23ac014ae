"""Few images of each class, drawn as a user with few images would have them: from as many groups as there are."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np

from fgvr_kit.evaluation.baselines.material import Labelled

N_DRAWS = 5
"""Draws whose results are averaged: one image of each class may be a good or a bad one."""


def drawn(labelled: Labelled, n: int, *, seed: int, draw: int) -> Labelled:
    """At most n training images of each class, and no validation image: few shots are few in all.

    One image of each group in a drawn order, then a second one of each. Draws are nested: the images of
    a draw of 1 are among those of the same draw of 4. A class of fewer images gives what it has.
    """
    groups: dict[tuple[int, int], list[tuple[bytes, int]]] = defaultdict(list)
    for row in np.flatnonzero(labelled.is_train).tolist():
        place = _hash(seed, draw, labelled.images[row].sha256)
        groups[int(labelled.labels[row]), int(labelled.groups[row])].append((place, row))
    in_order: list[tuple[int, bytes, int, int]] = []
    for (label, _), members in groups.items():
        members.sort()
        first = members[0][0]
        in_order += [(turn, first, label, row) for turn, (_, row) in enumerate(members)]
    taken: Counter[int] = Counter()
    rows = []
    for _, _, label, row in sorted(in_order):
        if taken[label] < n:
            taken[label] += 1
            rows.append(row)
    return labelled.part(np.array(sorted(rows), dtype=np.intp))


def _hash(seed: int, draw: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}:{draw}:{sha256}".encode()).digest()
