"""Who trains and who tests: stratified, seeded, and never moved once stored."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fgvr_kit.types import ScannedImage, Split


def assign_splits(
    images: Sequence[ScannedImage], *, test: float, val: float, seed: int, stored: Mapping[str, Split]
) -> list[ScannedImage]:
    """The images with a split each; those that bring one from their folder keep it.

    test, val: shares of each class.  stored: pixel hash -> split of an earlier call, which stays.
    Within a class, images are ordered by a seeded hash of their pixels, and the first ones are held out:
    at least one test and one training image for a class of two or more; a single image is trained on. Files of
    identical pixels share a split, also when they lie under two classes.
    """
    by_sha: dict[str, Split] = dict(stored)
    per_class: dict[str, list[str]] = defaultdict(list)
    for image in images:
        if image.split is None and image.sha256 not in per_class[image.class_name]:
            per_class[image.class_name].append(image.sha256)
    for name in sorted(per_class):
        shas = sorted(per_class[name], key=lambda sha: _rank(seed, sha))
        most = len(shas) - 1  # one is left to train on
        n_test = min(most, max(1, round(len(shas) * test)))
        n_val = min(most - n_test, round(len(shas) * val))
        quota: dict[Split, int] = {"test": n_test, "val": n_val}
        for sha in shas:
            if sha in by_sha and (held := by_sha[sha]) in quota:
                quota[held] -= 1
        for sha in shas:
            if sha in by_sha:
                continue
            split: Split = next((s for s in ("test", "val") if quota[s] > 0), "train")
            if split in quota:
                quota[split] -= 1
            by_sha[sha] = split
    return [image if image.split else replace(image, split=by_sha[image.sha256]) for image in images]


def _rank(seed: int, sha256: str) -> str:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()
