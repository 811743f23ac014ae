"""Open every image that a dataset lists, once, and tell why one is left out. Nothing is written to its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

from PIL import Image

from fgvr_kit.dataset.facts import pixel_facts, shrunk
from fgvr_kit.dataset.images import crop, pixel_sha256, read_image
from fgvr_kit.errors import ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Entry, FileFacts, ScannedImage, SkipCode, Skipped

_Read = tuple[ScannedImage, bytes | None]
"""An image, and what its pixel facts are made of; None where they are stored."""

_CHUNK = 256  # files handed to the pool at once: enough to keep it busy, few enough to hold


def scan(
    root: Path,
    entries: Sequence[Entry],
    known: Mapping[str, ScannedImage] | None = None,
    progress: Progress = SILENT,
    *,
    keep: Callable[[list[ScannedImage]], None] | None = None,
) -> tuple[list[ScannedImage], list[Skipped]]:
    """Every usable image of the entries, in their order, and every one left out with its reason.

    known: path -> what an earlier scan found; a file of the same size and time is not read again. A file is
    read once however many boxes lie in it, when its entries stand next to each other.
    keep: called with the images that were read, a few hundred at a time.
    """
    images: list[ScannedImage] = []
    skipped: list[Skipped] = []
    known = known or {}
    with (
        progress.task("reading images", len(entries)) as task,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,  # PIL decodes outside the interpreter lock
    ):
        for chunk in _chunks([list(of_file) for _, of_file in groupby(entries, key=lambda e: e.file)]):
            read: list[_Read] = []
            for found in pool.map(lambda of_file: _read(root, of_file, known), chunk):
                task.advance(len(found))
                skipped += [one for one in found if isinstance(one, Skipped)]
                read += [one for one in found if not isinstance(one, Skipped)]
            done = _with_pixel_facts(read)
            images += done
            new = [image for image, (_, small) in zip(done, read, strict=True) if small is not None]
            if keep and new:
                keep(new)
    return images, skipped


def _chunks(files: list[list[Entry]]) -> Iterator[list[list[Entry]]]:
    remaining = iter(files)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _read(root: Path, entries: list[Entry], known: Mapping[str, ScannedImage]) -> list[_Read | Skipped]:
    """What became of the entries of one file."""
    path = os.path.join(root, entries[0].file)  # noqa: PTH118 (a Path costs as much as the stat of its file)
    try:
        status = os.stat(path)  # noqa: PTH116
        stamp = (status.st_size, status.st_mtime_ns)
        old = [known.get(entry.path) for entry in entries]
        if all(one and _same(one, e, stamp) for e, one in zip(entries, old, strict=True)):
            return [(_as_stored(e, one), None) for e, one in zip(entries, old, strict=True) if one]
        picture, facts = read_image(Path(path))
    except ImageError as error:
        return [_skipped(entry, error.reason, "image-unreadable") for entry in entries]
    except FileNotFoundError:
        return [
            _skipped(entry, "the file is gone, or a link that leads nowhere", "image-gone")
            for entry in entries
        ]
    except OSError as error:
        return [
            _skipped(entry, f"cannot be read ({error.strerror})", "image-unreadable") for entry in entries
        ]
    return [_looked_at(entry, picture, Path(path), facts, stamp) for entry in entries]


def _looked_at(
    entry: Entry, picture: Image.Image, path: Path, facts: FileFacts, stamp: tuple[int, int]
) -> _Read | Skipped:
    if entry.size and entry.size != picture.size:
        return _skipped(
            entry,
            f"its box was drawn on a picture of {entry.size[0]}x{entry.size[1]} pixels,"
            f" this one has {picture.width}x{picture.height}",
            "box-unusable",
        )
    try:
        image = crop(picture, entry.box, path) if entry.box else picture
    except ImageError as error:
        return _skipped(entry, error.reason, "box-unusable")
    looked_at = ScannedImage(
        entry.path, entry.class_name, entry.split, pixel_sha256(image), image.width, image.height, *stamp,
        box=entry.box, label=entry.class_name, group=entry.group, details=entry.details, file_facts=facts,
    )  # fmt: skip
    return looked_at, shrunk(image)


def _skipped(entry: Entry, reason: str, code: SkipCode) -> Skipped:
    return Skipped(entry.path, reason, code, entry.class_name)


def _with_pixel_facts(read: list[_Read]) -> list[ScannedImage]:
    """The images of a chunk, those that were read now with their pixel facts."""
    facts = iter(pixel_facts([small for _, small in read if small is not None]))
    return [image if small is None else replace(image, pixel_facts=next(facts)) for image, small in read]


def _same(old: ScannedImage, entry: Entry, stamp: tuple[int, int]) -> bool:
    return (old.n_bytes, old.mtime_ns) == stamp and old.box == entry.box and old.pixel_facts is not None


def _as_stored(entry: Entry, old: ScannedImage) -> ScannedImage:
    return replace(
        old, class_name=entry.class_name, split=entry.split, label=entry.class_name, group=entry.group,
        set_aside=None, details=entry.details,
    )  # fmt: skip
