"""What baselines are made of: images with their labels and groups, and their vectors, read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.embedding import Clip
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Image
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images that a classifier may look at while it learns.

    images: N of them.  labels: (N,) numbers of their classes, of n_classes in all.  groups: (N,) numbers; the
    images of a group are no independent evidence of each other.  is_train: (N,) what it learns from; the others
    are validation images, which only help to choose its settings.
    """

    images: tuple[Image, ...]
    labels: Numbers
    groups: Numbers
    is_train: NDArray[np.bool_]
    n_classes: int

    @property
    def n_train(self) -> int:
        return int(self.is_train.sum())

    @property
    def sizes(self) -> Numbers:
        """(C,) training images of each class."""
        return np.bincount(self.labels[self.is_train], minlength=self.n_classes)

    @property
    def largest_class(self) -> int:
        return int(self.sizes.max())

    @cached_property
    def digest(self) -> str:
        """Of all that a classifier learns from it: pixels, labels, who is alike, what is only looked at."""
        kept = sorted(
            (image.sha256, int(label), bool(learnt))
            for image, label, learnt in zip(self.images, self.labels, self.is_train, strict=True)
        )
        together: dict[int, list[str]] = {}
        for image, group in zip(self.images, self.groups.tolist(), strict=True):
            together.setdefault(group, []).append(image.sha256)
        return fingerprint(kept, sorted(sorted(one) for one in together.values() if len(one) > 1))

    def part(self, rows: Numbers) -> Labelled:
        return Labelled(
            tuple(self.images[n] for n in rows.tolist()),
            self.labels[rows],
            self.groups[rows],
            self.is_train[rows],
            self.n_classes,
        )


class Material:
    """The workspace's images as one CLIP model sees them. names: its C classes; a label is a place among them."""

    def __init__(self, workspace: Workspace, clip: Clip) -> None:
        self.workspace = workspace
        self.clip = clip
        self.names = tuple(workspace.classes())
        self._of: dict[str, Floats] = {}

    @cached_property
    def labelled(self) -> Labelled:
        """All training and validation images, by pixel hash: the order decides nothing but ties."""
        store = self.workspace.store
        number = {name: n for n, name in enumerate(self.names)}
        images = [*store.images("train"), *store.images("val")]
        images.sort(key=lambda image: (image.sha256, image.path))
        groups = store.groups()
        return Labelled(
            tuple(images),
            np.array([number[image.class_name] for image in images], dtype=np.intp),
            np.unique([groups[image.id] for image in images], return_inverse=True)[1].astype(np.intp),
            np.array([image.split == "train" for image in images], dtype=bool),
            len(self.names),
        )

    def embed(self, images: Sequence[Image], progress: Progress = SILENT) -> None:
        """Have the vectors of these images ready."""
        missing = [image for image in images if image.sha256 not in self._of]
        if missing:
            vectors = self.clip.images(
                self.workspace.store,
                [self.workspace.ref_of(image) for image in missing],
                batch_size=self.workspace.settings.mine.batch_size,
                progress=progress,
            )
            self._of |= {image.sha256: row for image, row in zip(missing, vectors, strict=True)}

    def vectors(self, images: Sequence[Image]) -> Floats:
        """(N, D) unit rows of images that are ready."""
        return np.stack([self._of[image.sha256] for image in images])
