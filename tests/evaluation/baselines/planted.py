"""Images with vectors of the test's own making, and no files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgvr_kit.evaluation.baselines.classifier import centred
from fgvr_kit.evaluation.baselines.material import Labelled
from fgvr_kit.types import Image


def labelled(
    labels: Sequence[int], groups: Sequence[int] | None = None, *, n_classes: int = 0, n_val: int = 0
) -> Labelled:
    """n_val: the last so many are validation images."""
    n = len(labels)
    is_train = np.arange(n) < n - n_val
    images = tuple(
        Image(i, f"{i}.png", str(label), "train" if is_train[i] else "val", f"{i:064x}")
        for i, label in enumerate(labels)
    )
    numbers = np.asarray(groups if groups is not None else range(n), dtype=np.intp)
    return Labelled(
        images, np.asarray(labels, dtype=np.intp), numbers, is_train, n_classes or max(labels) + 1
    )


def clouds(labels: Sequence[int], spread: float, *, seed: int = 0, width: int = 16) -> np.ndarray:
    """(N, D) unit rows around a centre for each class."""
    centres = np.random.default_rng(99).standard_normal((max(labels) + 1, width))
    noise = np.random.default_rng(seed).standard_normal((len(labels), width))
    vectors = centres[list(labels)] + spread * noise
    return centred(vectors.astype(np.float32), vectors.mean(axis=0))
