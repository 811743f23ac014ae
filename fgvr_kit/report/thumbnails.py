"""Small copies of pictures, as text that stands inside a page."""

from __future__ import annotations

import base64
import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image, Resampling

from fgvr_kit.dataset.images import crop, open_image
from fgvr_kit.errors import ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Box, ImageRef

SIZE = (168, 128)
"""Most pixels across and down; the shape is kept."""

MOST_BYTES = 3_600
"""Of one JPEG, so that 2,000 of them fit into ten megabytes; busy pictures are saved with a lower quality for it."""

_QUALITIES = (70, 55, 40, 25, 10)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small copy as a data URI.  reason: why there is none, "" if there is one."""

    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def thumbnails(refs: Mapping[str, ImageRef], progress: Progress = SILENT) -> dict[str, Thumbnail]:
    """name -> thumbnail. Every file is opened once, however many boxes of it are shown, several at a time."""
    boxes: dict[Path, list[tuple[str, Box | None]]] = defaultdict(list)
    for name, ref in refs.items():
        boxes[ref.path].append((name, ref.box))
    found: dict[str, Thumbnail] = {}
    with (
        progress.task("making thumbnails", len(boxes)) as task,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,  # half a gigabyte each at worst
    ):
        for made in pool.map(_of_file, boxes, boxes.values()):
            found |= made
            task.advance()
    return found


def _of_file(path: Path, boxes: Sequence[tuple[str, Box | None]]) -> dict[str, Thumbnail]:
    try:
        whole = open_image(path)
    except ImageError as error:
        return {name: Thumbnail(reason=error.reason) for name, _ in boxes}
    found = {}
    for name, box in boxes:
        try:
            found[name] = _small(crop(whole, box, path) if box else whole)
        except ImageError as error:
            found[name] = Thumbnail(reason=error.reason)
    return found


def _small(image: Image) -> Thumbnail:
    scale = min(1.0, SIZE[0] / image.width, SIZE[1] / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize((width, height), Resampling.LANCZOS, reducing_gap=2.0)
    small.info = {}  # comments and profiles of the file are nobody's business here
    for quality in _QUALITIES:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(), width, height)
