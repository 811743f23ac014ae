"""Vectors of one model in one file: float32 rows, appended, read through a memory map.

The file is written first, its rows are told to the store afterwards, both in one transaction: a kill between them
leaves rows that nobody knows, which the next ones are written over. The store knows a sum of each row besides: what
a damaged disk or another database has done to the file is seen, and that vector is computed again.
"""

from __future__ import annotations

import json
import logging
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.errors import StoreError
from fgvr_kit.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

log = logging.getLogger(__name__)

_AT_ONCE = 4096  # rows looked up, read and summed in one go
_TOUCHED = 256 << 20  # bytes of the map that may be resident before they are given back
_PAGE = 4096


class VectorFile:
    """The vectors of one model below the folder of a store.

    key: what the rows are stored under; everything that decides a vector but its subject.
    about: what model.json says ("dimension", "scale", ...).
    """

    def __init__(self, folder: Path, key: str, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.key = key
        self.about = dict(about)
        self.dimension = int(about["dimension"])
        self._path = folder / "vectors.f32"
        self._map: mmap.mmap | None = None
        self._rows = np.empty((0, self.dimension), dtype=np.float32)
        self._touched = 0

    def places(self, store: Store, subjects: Sequence[str]) -> Numbers:
        """(N,) row of each subject's vector, -1 where there is none. Rows that are not whole are forgotten."""
        found = np.full(len(subjects), -1, dtype=np.int64)
        n_lost = 0
        for start in range(0, len(subjects), _AT_ONCE):
            piece = subjects[start : start + _AT_ONCE]
            known = store.vector_rows(self.key, piece)
            asked = [n for n, subject in enumerate(piece) if subject in known]
            rows = np.array([known[piece[n]][0] for n in asked], dtype=np.int64)
            sums = np.array([known[piece[n]][1] for n in asked], dtype=np.int64)
            whole = self._are_whole(rows, sums)
            found[start + np.array(asked, dtype=np.intp)[whole]] = rows[whole]
            lost = {piece[asked[n]]: int(rows[n]) for n in np.flatnonzero(~whole)}
            store.forget_vector_rows(self.key, lost)
            n_lost += len(lost)
        if n_lost:
            log.warning("%s lost %d of its vectors; they are computed again", self._path, n_lost)
        return found

    def append(self, store: Store, subjects: Sequence[str], vectors: Floats) -> Numbers:
        """Keep (N, D) vectors and return their rows. What another process kept meanwhile stays as it is."""
        vectors = np.ascontiguousarray(vectors, dtype="<f4")
        with store.transaction():  # its lock is what keeps two processes off the same rows
            known = {s: row for s, (row, _) in store.vector_rows(self.key, subjects).items()}
            new = [n for n, subject in enumerate(subjects) if subject not in known]
            first = store.n_vector_rows(self.key)
            self._write(first, vectors[new])
            sums = _sums(vectors[new])
            rows = {subjects[n]: (first + k, int(sums[k])) for k, n in enumerate(new)}
            store.put_vector_rows(self.key, rows)
        return np.array([known[s] if s in known else rows[s][0] for s in subjects], dtype=np.int64)

    def read(self, rows: Numbers) -> Floats:
        """(N, D) copy of these rows, in that order. Raises IndexError for one that is not in the file."""
        if not len(rows):
            return np.empty((0, self.dimension), dtype=np.float32)
        if int(rows.max()) >= len(self._rows):
            self._open()
        first = int(rows[0])
        is_run = first >= 0 and bool((np.diff(rows) == 1).all())
        taken = self._rows[first : first + len(rows)].copy() if is_run else self._rows[rows]
        if len(taken) != len(rows):
            raise IndexError(f"{self._path} has no row {first + len(rows) - 1}")
        self._give_back(len(rows) * max(_PAGE, 4 * self.dimension))
        return np.asarray(taken, dtype=np.float32)

    def _are_whole(self, rows: Numbers, sums: Numbers) -> NDArray[np.bool_]:
        whole = np.zeros(len(rows), dtype=bool)
        if len(rows) and (self._path.is_file()):
            self._open()
            inside = np.flatnonzero((rows >= 0) & (rows < len(self._rows)))
            whole[inside] = _sums(self.read(rows[inside])) == sums[inside]
        return whole

    def _write(self, first: int, vectors: Floats) -> None:
        if not len(vectors):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            with os.fdopen(handle, "r+b") as file:
                file.seek(first * 4 * self.dimension)
                file.write(vectors.tobytes())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _open(self) -> None:
        """Map the whole rows that are in the file by now."""
        n = self._path.stat().st_size // (4 * self.dimension)
        if n in (0, len(self._rows)):
            return
        with self._path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), n * 4 * self.dimension, access=mmap.ACCESS_READ)
        self._rows = np.frombuffer(self._map, dtype="<f4").reshape(n, self.dimension)
        self._touched = 0

    def _give_back(self, n_bytes: int) -> None:
        """Pages that were read stay in the system's cache, but need not count as memory of this process."""
        self._touched += n_bytes
        if self._touched > _TOUCHED and self._map is not None and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


class Rows:
    """(N, D) unit rows that stay in their file until they are asked for: rows[10:20], rows[[3, 1]].

    Everything that is taken is a copy in memory, as float32.
    """

    def __init__(self, file: VectorFile, places: Numbers) -> None:
        self._file = file
        self._places = places
        self.shape = (len(places), file.dimension)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: int | slice | Sequence[int] | NDArray[Any]) -> Floats:
        places = self._places[which]
        return self._file.read(places) if np.ndim(places) else self._file.read(np.array([places]))[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.float32, copy=False)


def _sums(vectors: Floats) -> Numbers:
    """(N,) sum of the bits of each row, read as whole numbers."""
    bits = np.ascontiguousarray(vectors, dtype="<f4").view("<u4")
    return np.asarray(bits.sum(axis=1, dtype=np.int64))


def read_about(folder: Path) -> dict[str, Any] | None:
    """What a model.json says, None where there is none that can be read."""
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        is_whole = (
            int(about["dimension"]) > 0 and 0 < float(about["scale"]) < math.inf and list(about["seen_with"])
        )
        return about if is_whole and about["key"] and about["preprocessing"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write model.json whole or not at all. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".model.{os.getpid()}.json"
        draft.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(folder / "model.json")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"vectors cannot be written: {error.strerror}",
        code="vectors-unwritable",
        where=str(path),
        hint="is the disk full or read-only? What was written before is kept",
    )
