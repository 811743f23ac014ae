"""Clip: the vectors of images and texts, each computed once."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit import toy
from fgvr_kit.embedding import loading, told
from fgvr_kit.embedding.model import Model, preprocessing_versions
from fgvr_kit.embedding.specs import Precision, clip_key, parse
from fgvr_kit.embedding.vectors import Rows, VectorFile, read_about, write_about
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

log = logging.getLogger(__name__)

_UNIT = 1e-3
"""How far the length of a unit vector may be from 1."""

_TEXTS_AT_ONCE = 256


class Clip:
    """An open_clip model with its own preprocessing, fed by our one image opener.

    spec: "ARCHITECTURE:PRETRAINED", "ARCHITECTURE:FILE", "hf-hub:...", "local-dir:FOLDER" or "toy-clip".
    precision: what the model computes in; vectors are float32 always.  workers: threads that open pictures,
    0 for as many as there are cores; they change no vector.
    note: what must stand beside everything that rests on it ("untrained toy model"), or None.
    Weights are loaded at the first vector that is not stored yet.
    """

    def __init__(
        self, spec: str, *, device: str = "auto", precision: Precision = "fp32", workers: int = 0
    ) -> None:
        self.spec = spec
        self.precision = precision
        self._parsed = parse(spec)
        self.name, self.pretrained = self._parsed.name, self._parsed.pretrained
        folder = self._parsed.folder
        self.note = toy.note_of(folder) if folder else None
        self._device = device
        self._workers = workers
        self._model: Model | None = None
        self._files: dict[Path, VectorFile] = {}

    @property
    def key(self) -> str:
        """What vectors are stored under: everything that decides their values but preprocessing and pixels."""
        return clip_key(self.spec, self.precision)

    def images(
        self, store: Store, images: Sequence[ImageRef], *, batch_size: int, progress: Progress = SILENT
    ) -> Floats:
        """(N, D) unit rows, in the order of images; all in memory. Otherwise as `rows`."""
        return self.rows(store, images, batch_size=batch_size, progress=progress)[:]

    def rows(
        self, store: Store, images: Sequence[ImageRef], *, batch_size: int, progress: Progress = SILENT
    ) -> Rows:
        """(N, D) unit rows, in the order of images; they stay in their file until they are asked for.

        Batches are cut from the whole list, so that a run that was killed goes on with the same batches and
        ends with the same vectors. Raises ImageError for a picture that cannot be opened, ModelError when a
        vector is not finite; what was embedded before stays stored.
        """
        file = self._file(store)
        unique = {image.sha256: image for image in images}
        shas = list(unique)
        places = file.places(store, shas)
        missing = np.flatnonzero(places < 0)
        with progress.task("embedding images", len(shas), done=len(shas) - len(missing)) as task:
            for batch, vectors in self._embedded([unique[sha] for sha in shas], _cut(missing, batch_size)):
                subjects = [shas[n] for n in batch]
                self._refuse_broken(vectors, [str(unique[sha].path) for sha in subjects])
                places[batch] = file.append(store, subjects, vectors)
                task.advance(len(batch))
        log.info("%d of %d images embedded with %s", len(missing), len(shas), self.spec)
        row = dict(zip(shas, places.tolist(), strict=True))
        return Rows(file, np.array([row[image.sha256] for image in images], dtype=np.int64))

    def _embedded(
        self, images: Sequence[ImageRef], batches: Sequence[Numbers]
    ) -> Iterator[tuple[Numbers, Floats]]:
        """Each batch with its vectors; of a GPU one batch behind, so that it works on while they are stored."""
        if not batches:
            return
        model = self._load()
        is_gpu = model.device.startswith("cuda")
        wanted = ([images[n] for n in batch] for batch in batches)
        opened = loading.batches(wanted, model.preparation, workers=self._workers, is_pinned=is_gpu)
        done: deque[tuple[Numbers, Tensor]] = deque()
        with closing(opened):
            try:
                for batch, pictures in zip(batches, opened, strict=True):
                    done.append((batch, self._encode_images(pictures)))
                    if len(done) > int(is_gpu):
                        yield _fetched(*done.popleft())
            except (Exception, KeyboardInterrupt):  # what is done stays done
                yield from (_fetched(*each) for each in done)
                raise
        yield from (_fetched(*each) for each in done)

    def texts(self, store: Store, texts: Sequence[str]) -> Floats:
        """(N, D) unit rows, in the order of texts."""
        file = self._file(store)
        unique = list(dict.fromkeys(texts))
        subjects = [f"text:{text}" for text in unique]
        places = file.places(store, subjects)
        for batch in _cut(np.flatnonzero(places < 0), _TEXTS_AT_ONCE):
            vectors = self._encode_texts([unique[n] for n in batch])
            self._refuse_broken(vectors, [repr(unique[n]) for n in batch])
            places[batch] = file.append(store, [subjects[n] for n in batch], vectors)
        row = dict(zip(unique, places.tolist(), strict=True))
        return file.read(np.array([row[text] for text in texts], dtype=np.int64))

    def classes(self, store: Store, texts: Sequence[Sequence[str]]) -> Floats:
        """(C, D) unit rows: for each class the mean of the unit vectors of its texts (an ensemble of templates)."""
        flat = self.texts(store, [text for of_class in texts for text in of_class])
        ends = np.cumsum([len(of_class) for of_class in texts])
        means = np.stack([piece.mean(axis=0) for piece in np.split(flat, ends[:-1])])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)

    def scale(self, store: Store) -> float:
        """What cosines are multiplied with before the softmax."""
        return float(self._file(store).about["scale"])

    def _file(self, store: Store) -> VectorFile:
        """The file of this model beside a store; known without loading the model, where it is there already."""
        root = store.path.parent / "vectors"
        if root not in self._files:
            key, versions = self.key, preprocessing_versions()
            abouts = (read_about(folder) for folder in sorted(root.glob("*/")))
            fit = (a for a in abouts if a and a["key"] == key and versions in a["seen_with"])
            about = next(fit, None) or self._describe(root, key, versions)
            self._files[root] = VectorFile(self._folder(root, about), _full_key(about), about)
        return self._files[root]

    def _describe(self, root: Path, key: str, versions: str) -> dict[str, Any]:
        """Load the model and write model.json."""
        model = self._load()
        about = {
            "spec": self.spec,
            "key": key,
            "dimension": model.dimension,
            "precision": self.precision,
            "preprocessing": model.preparation.name,
            "scale": model.scale,
            "note": self.note,
            "seen_with": [versions],
        }
        folder = self._folder(root, about)
        if (before := read_about(folder)) and _full_key(before) == _full_key(about):
            about["seen_with"] = sorted({versions, *before["seen_with"]})
        write_about(folder, about)
        return about

    def _folder(self, root: Path, about: dict[str, Any]) -> Path:
        return root / f"{self._parsed.readable}-{fingerprint(_full_key(about))[:8]}"

    def _refuse_broken(self, vectors: Floats, subjects: Sequence[str]) -> None:
        is_unit = np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT
        if not is_unit.all():
            raise told.not_finite(self._parsed, self.precision, subjects[int(np.argmin(is_unit))])

    def _encode_images(self, pictures: Tensor) -> Tensor:
        return self._load().encode_images(pictures)

    def _encode_texts(self, texts: Sequence[str]) -> Floats:
        return np.asarray(self._load().encode_texts(texts).cpu().numpy())

    def _load(self) -> Model:
        if self._model is None:
            self._model = Model(self._parsed, self.precision, self._device)
        return self._model


def _full_key(about: dict[str, Any]) -> str:
    """What rows stand under in the store: short, since each row repeats it."""
    return fingerprint(about["key"], about["preprocessing"])


def _fetched(batch: Numbers, vectors: Tensor) -> tuple[Numbers, Floats]:
    return batch, np.asarray(vectors.cpu().numpy())


def _cut(missing: Numbers, size: int) -> list[Numbers]:
    """Numbers in ascending order, by the batch of the whole list that each falls into."""
    if not len(missing):
        return []
    return np.split(missing, np.flatnonzero(np.diff(missing // size)) + 1)
