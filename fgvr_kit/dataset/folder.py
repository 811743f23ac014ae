"""Find a folder's classes and images: <class>/* or train|val|test/<class>/*. Nothing is written to it.

`find_layout` decides which of the two it is; `scan` reads every file and says why one is left out.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.errors import DatasetError, ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import ScannedImage, Skipped, Split

Layout = Literal["classes", "splits"]

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "train_set": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "test_set": "test",
    "eval": "test",
}

_NOT_IMAGES = {
    ".txt": "a text file",
    ".md": "a text file",
    ".csv": "a table",
    ".tsv": "a table",
    ".json": "a data file",
    ".jsonl": "a data file",
    ".xml": "a data file",
    ".yaml": "a data file",
    ".yml": "a data file",
    ".db": "a system file",
    ".ini": "a system file",
    ".part": "an unfinished download",
    ".crdownload": "an unfinished download",
    ".tmp": "a temporary file",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "an archive",
    ".pdf": "a document",
    ".py": "a program",
    ".mp4": "a video",
    ".mov": "a video",
    ".avi": "a video",
}
_JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be an image. path: relative to the dataset folder, with forward slashes."""

    path: str
    class_name: str
    split: Split | None


def find_layout(folder: Path) -> Layout:
    """ "splits" when every top folder that may hold images is named like a split and one is for training.

    Raises DatasetError when some are and others are not, and it cannot be told what they mean.
    """
    names = [child.name for child in _folders(folder)]
    splits = {name: SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    if "train" not in splits.values():
        return "classes"
    if len(splits) == len(names):
        return "splits"
    others = [name for name in names if name not in splits]
    if len(set(splits.values())) > 1:
        raise DatasetError(
            f"the folder holds {', '.join(map(repr, splits))} and also {others[0]!r}: splits or classes?",
            code="dataset-layout",
            where=str(folder),
            why=f"beside train and test there are {len(others)} other folders that hold images",
            hint=f"move {others[0]!r} elsewhere, or rename the folders if train and test are classes",
        )
    return "classes"


def list_files(folder: Path, layout: Layout) -> tuple[list[Candidate], list[Skipped]]:
    """Candidates by path, and files left out by where they lie or what they are called.

    Raises DatasetError when the folder is missing, is a file, or holds no class folder.
    """
    if not folder.exists():
        raise DatasetError(
            "there is no such folder",
            code="dataset-not-found",
            where=str(folder),
            hint="give the path of the folder that holds one folder for each class",
        )
    if not folder.is_dir():
        raise DatasetError(
            "this is a file, not a folder",
            code="dataset-is-file",
            where=str(folder),
            hint="give the folder that holds one folder for each class",
        )
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    for path in _walk(folder, skipped):
        relative = path.relative_to(folder)
        parts = relative.parts
        depth = 2 if layout == "splits" else 1
        reason = _why_not(relative)
        if reason is None and len(parts) <= depth:
            reason = "outside any class folder"
        if reason is not None:
            skipped.append(Skipped(relative.as_posix(), reason))
            continue
        split = SPLIT_NAMES[parts[0].lower()] if layout == "splits" else None
        class_name = unicodedata.normalize("NFC", parts[depth - 1]).strip()
        candidates.append(Candidate(relative.as_posix(), class_name, split))
    return candidates, skipped


def scan(
    folder: Path, layout: Layout, known: Mapping[str, ScannedImage] | None = None, progress: Progress = SILENT
) -> tuple[list[ScannedImage], list[Skipped]]:
    """Every usable image of the folder by path, and every file left out with its reason.

    known: path -> what an earlier scan found; a file of the same size and time is not read again.
    """
    candidates, skipped = list_files(folder, layout)
    images: list[ScannedImage] = []
    with (
        progress.task("reading images", len(candidates)) as task,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,  # PIL decodes outside the interpreter lock
    ):
        remaining = iter(candidates)
        while chunk := list(islice(remaining, 256)):
            for found in pool.map(lambda candidate: _read(folder, candidate, known or {}), chunk):
                task.advance()
                if isinstance(found, Skipped):
                    skipped.append(found)
                else:
                    images.append(found)
    return images, sorted(skipped, key=lambda s: s.path)


def _read(folder: Path, candidate: Candidate, known: Mapping[str, ScannedImage]) -> ScannedImage | Skipped:
    path = folder / candidate.path
    try:
        status = path.stat()
        old = known.get(candidate.path)
        if old and (old.n_bytes, old.mtime_ns) == (status.st_size, status.st_mtime_ns):
            sha256, width, height = old.sha256, old.width, old.height
        else:
            image = open_image(path)
            sha256, (width, height) = pixel_sha256(image), image.size
    except ImageError as error:
        return Skipped(candidate.path, error.reason)
    except OSError as error:
        return Skipped(candidate.path, f"cannot be read ({error.strerror})")
    return ScannedImage(
        candidate.path,
        candidate.class_name,
        candidate.split,
        sha256,
        width,
        height,
        status.st_size,
        status.st_mtime_ns,
    )


def _folders(folder: Path) -> list[Path]:
    """Folders directly below that hold a file which may be an image."""
    return [
        child
        for child in sorted(folder.iterdir())
        if child.is_dir()
        and not _is_junk(child.name)
        and any(_why_not(path.relative_to(folder)) is None for path in _walk(child))
    ]


def _walk(folder: Path, left_out: list[Skipped] | None = None) -> Iterator[Path]:
    """All files below, sorted, folders before links to folders; no folder twice.

    left_out: gains the folders that cannot be read, and the links to folders that were read already.
    """
    left_out = [] if left_out is None else left_out
    seen: dict[str, Path] = {os.path.realpath(folder): folder}

    def below(here: Path) -> Iterator[Path]:
        try:
            entries = sorted(here.iterdir(), key=lambda path: (path.is_symlink(), path.name))
        except OSError as error:
            left_out.append(
                Skipped(
                    here.relative_to(folder).as_posix(), f"a folder that cannot be read ({error.strerror})"
                )
            )
            return
        yield from (path for path in sorted(entries) if not path.is_dir())
        for path in entries:
            if not path.is_dir():
                continue
            real = os.path.realpath(path)
            if real in seen:
                other = seen[real].relative_to(folder).as_posix()
                left_out.append(
                    Skipped(
                        path.relative_to(folder).as_posix(), f"a link to {other!r}, which is read already"
                    )
                )
                continue
            seen[real] = path
            yield from below(path)

    yield from below(folder)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK_FOLDERS


def _why_not(relative: Path) -> str | None:
    """Why a file is no candidate, judged by its path alone; None when it may be an image."""
    for parent in relative.parts[:-1]:
        if _is_junk(parent):
            return f"in the hidden or system folder {parent!r}"
    if relative.name.startswith("._"):
        return "a macOS resource fork, not an image"
    if relative.name.startswith("."):
        return "a hidden file"
    kind = _NOT_IMAGES.get(relative.suffix.lower())
    return f"{kind}, not an image" if kind else None
