"""Fetch a dataset through the `datasets` library, and keep each image's own bytes in a folder.

The folder holds <split>/<number>.jpg, rows.jsonl (the file and the other columns of every row) and source.json
(what it is a copy of), which is finished last: a killed fetch goes on where it stopped.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from fgvr_kit import plugins
from fgvr_kit.dataset.files import walk
from fgvr_kit.edited import write_text
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.layouts.columns import PATHS, guessed, unknown_column
from fgvr_kit.layouts.download import Wanted, commit_of, loaded
from fgvr_kit.progress import Progress
from fgvr_kit.settings import HUB

FILE = "fgvr:file"
"""Column of rows.jsonl that names the file; no dataset has one of that name."""
ROWS, SOURCE = "rows.jsonl", "source.json"


@dataclass(frozen=True, slots=True)
class Copy:
    """What the folder is a copy of, as source.json tells.

    resolved: the commit of the revision; of a local folder what its files looked like; as given when it cannot
    be asked.  features: as `datasets` writes them.  image, labels: the column of the pictures, and those of
    type ClassLabel.  rows: split -> how many.
    """

    name: str
    config: str
    revision: str
    resolved: str
    features: dict[str, Any]
    image: str
    labels: list[str]
    rows: dict[str, int]
    finished: bool


def kept(place: Path, asked: Wanted) -> Copy | None:
    """The copy in a folder, finished or not, when it is one of what is asked for."""
    try:
        found = Copy(**json.loads((place / SOURCE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    same = (found.name, found.config) == (asked.name, asked.config)
    if not same or asked.revision not in (found.revision, found.resolved):
        return None
    folder = Path(asked.name)
    return found if not folder.is_dir() or _stamp(folder) == found.resolved else None


def fetch(asked: Wanted, place: Path, path_col: str, progress: Progress) -> Copy:
    """Keep every image in the folder; those that are there already are not written again.

    path_col: the image column, "" where there is one only.  Raises DatasetError when the dataset cannot be had
    or has no image column, SettingsError for a column that is not there, MissingExtra without `datasets`.
    """
    plugins.require("datasets", f"{HUB}{asked.name}")
    resolved = _stamp(Path(asked.name)) if Path(asked.name).is_dir() else commit_of(asked) or asked.revision
    with progress.task(f"fetching {asked.name}", None):
        splits = loaded(asked, resolved)
    copy = _copy_of(asked, resolved, splits, path_col)
    before = kept(place, asked)
    place.mkdir(parents=True, exist_ok=True)
    _write(copy, place)
    _keep_rows(splits, copy, place, before is not None and replace(before, finished=False) == copy, progress)
    copy = replace(copy, finished=True)
    _write(copy, place)
    return copy


def folder_of(split: str) -> str:
    """The name of the folder of a split, below the place; never one that leads elsewhere."""
    name = re.sub(r"[^\w.-]+", "_", split)
    return name if name.strip(".") else f"split-{len(name)}"


def _copy_of(asked: Wanted, resolved: str, splits: Mapping[str, Any], path_col: str) -> Copy:
    import datasets

    features = next(iter(splits.values())).features
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    image = _image_column(images, list(features), path_col, asked.name)
    counts = {name: len(split) for name, split in splits.items()}
    return Copy(
        asked.name, asked.config, asked.revision, resolved, features.to_dict(), image, labels, counts, False
    )


def _image_column(images: list[str], columns: list[str], wanted: str, where: str) -> str:
    if wanted and wanted not in columns:
        raise unknown_column(wanted, columns, "path_col", where)
    if not images or (wanted and wanted not in images):
        raise DatasetError(
            f"its column {wanted!r} holds no images" if wanted else "the dataset has no column of images",
            code="hub-no-images", where=where, why=f"its columns: {', '.join(columns)}",
            hint=f"--path-col {images[0]!r}" if images else "give a dataset with a column of type Image",
        )  # fmt: skip
    number = guessed(images, PATHS) if len(images) > 1 else 0
    if not wanted and number is None:
        raise DatasetError(
            f"the dataset has {len(images)} columns of images: {', '.join(images)}", code="hub-several-images",
            where=where, hint=f"name the one to look at: --path-col {images[0]!r}",
        )  # fmt: skip
    return wanted or images[number or 0]


def _keep_rows(
    splits: Mapping[str, Any], copy: Copy, place: Path, is_same: bool, progress: Progress
) -> None:  # fmt: skip
    """Write the images, and rows.jsonl when all are there. is_same: what was begun before is the same copy."""
    part = place / f"{ROWS}.part"
    total = sum(copy.rows.values())
    with part.open("w", encoding="utf-8") as rows, progress.task("keeping images", total) as task:
        for name, split in splits.items():
            folder = place / folder_of(name)
            folder.mkdir(exist_ok=True)
            tellers = _tellers(split.features)
            for number, row in enumerate(_undecoded(split, copy.image, tellers)):
                file = _keep(row.pop(copy.image), folder / f"{number:06d}", is_same)
                told = {name: tellers[name](value) for name, value in row.items()}
                rows.write(
                    json.dumps({FILE: f"{folder.name}/{file}" if file else "", **told}, default=str) + "\n"
                )
                task.advance()
    part.replace(place / ROWS)


def _undecoded(split: Any, image: str, others: Iterable[str]) -> Any:
    """The rows of a split: the bytes of the image, and the other columns that can be told as text."""
    import datasets

    return split.select_columns([image, *others]).cast_column(image, datasets.Image(decode=False))


def _tellers(features: Mapping[str, Any]) -> dict[str, Callable[[Any], Any]]:
    """column -> how a value of it is told; pictures, sounds and bytes are not. -1 is a label that is not known."""
    import datasets

    def name_of(label: Any) -> Callable[[Any], Any]:
        return lambda number: label.int2str(number) if number is not None and number >= 0 else ""

    return {
        name: name_of(feature) if isinstance(feature, datasets.ClassLabel) else lambda value: value
        for name, feature in features.items() if _is_plain(feature)
    }  # fmt: skip


def _is_plain(feature: Any) -> bool:
    """Whether values of a feature are texts, numbers, or lists and dicts of them."""
    import datasets

    if isinstance(feature, datasets.Value):
        return "binary" not in feature.dtype
    if isinstance(feature, (datasets.List, datasets.LargeList)):
        return _is_plain(feature.feature)
    if isinstance(feature, dict):
        return all(map(_is_plain, feature.values()))
    return isinstance(feature, datasets.ClassLabel)


def _keep(value: Mapping[str, Any] | None, stem: Path, is_same: bool) -> str:
    """The name of the file that now holds an image, "" when the row has none. Its own bytes, whatever they are."""
    if value is None or (value.get("bytes") is None and value.get("path") is None):
        return ""
    name = value.get("path") or ""
    content = value.get("bytes")
    if content is None and Path(name).is_file():
        content = Path(name).read_bytes()
    if content is None:  # inside an archive: what it decodes to
        content, name = _as_png(value), ".png"
    path = stem.with_name(stem.name + _suffix(name, content))
    if not path.is_file() or not (is_same or path.read_bytes() == content):
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.replace(path)
    return path.name


def _as_png(value: Mapping[str, Any]) -> bytes:
    import datasets

    content = io.BytesIO()
    datasets.Image().decode_example(dict(value)).save(content, "PNG")
    return content.getvalue()


def _suffix(name: str, content: bytes) -> str:
    """The extension that its name has, or else that its bytes ask for."""
    known = Image.registered_extensions()
    if (suffix := PurePosixPath(name).suffix.lower()) in known:
        return suffix
    try:
        with Image.open(io.BytesIO(content)) as image:
            format_ = image.format
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ".img"
    usual = {"JPEG": ".jpg", "TIFF": ".tif"}
    return usual.get(format_ or "") or next((s for s, f in known.items() if f == format_), ".img")


def _stamp(folder: Path) -> str:
    """Changes when a file of a folder does: their names, sizes and times."""
    found = []
    for path in walk(folder):
        try:
            status = (folder / path).stat()
        except OSError:
            continue
        found.append([path, status.st_size, status.st_mtime_ns])
    return f"files {fingerprint(found)}"


def _write(copy: Copy, place: Path) -> None:
    write_text(place / SOURCE, json.dumps(asdict(copy), indent=2, default=str) + "\n")
