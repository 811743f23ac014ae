"""FOCI's option files: {label: [{"image": path, "options": [truth, w3, w2, w1], "groundtruth": label}]}.

The wrong options stand by rising similarity, the hardest last. In which order they are shown is not in the file:
FOCI draws it anew in every run; here options.py gives them their places.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.dataset.names import folded
from fgvr_kit.edited import write_text
from fgvr_kit.errors import DatasetError
from fgvr_kit.pipeline.leaks import names_of
from fgvr_kit.pipeline.spellings import numbered, without_number
from fgvr_kit.types import Image, ImageClass, Option

MOST_OPTIONS = 26
"""As many as there are letters."""

_Dropped = tuple[tuple[str, int, str], ...]


def write(
    path: Path,
    images: Iterable[Image],
    classes: Mapping[str, ImageClass],
    options: Mapping[int, Sequence[Option]],
) -> int:
    """Write the options of test images; how many questions. Every class is a label, also one without an image:
    FOCI's CLIP baseline takes the labels of the file for all there are. Raises DatasetError "foci-unwritable"."""
    document: dict[str, list[dict[str, Any]]] = {c.display_name: [] for c in classes.values()}
    n = 0
    for image in images:
        if image.id not in options:
            continue
        truth, *wrong = (classes[option.class_name].display_name for option in options[image.id])
        entry = {"image": image.path, "options": [truth, *reversed(wrong)], "groundtruth": truth}
        document[truth].append(entry)
        n += 1
    if path.is_dir():
        raise _unwritable(path, "it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(document, ensure_ascii=False) + "\n")
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    return n


def _unwritable(path: Path, why: str) -> DatasetError:
    return DatasetError(
        "the option file cannot be written", code="foci-unwritable", where=str(path), why=why,
        hint="name another file; what was mined is kept",
    )  # fmt: skip


def read(
    path: Path, images: Sequence[Image], classes: Mapping[str, ImageClass]
) -> tuple[dict[int, list[str]], _Dropped]:
    """Image id -> its classes by rank, the truth first, the hardest wrong one next; and what was left out, and why.

    images: all of the workspace; only test images get questions. A label is a class's name, display name, synonym,
    scientific or common name, in any spelling. An image is told by as much of the end of its path as there is.
    Raises DatasetError for a file that is none of FOCI's ("foci-file"), or has no question that can be asked here
    ("foci-none").
    """
    labels, paths = _Labels.of(classes), _Paths.of(images)
    found: dict[int, list[str]] = {}
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for label, entry in _entries(path):
        try:
            image, names = _question(label, entry, labels, paths)
            if image.id in found:
                raise _LeftOut("the image stands in the file once more", image.path)
            found[image.id] = names
        except _LeftOut as one:
            left_out[one.reason] += 1
            examples.setdefault(one.reason, one.example)
    told = [(reason, n, f"{reason}, such as {examples[reason]!r}") for reason, n in left_out.most_common()]
    if not found:
        raise DatasetError(
            f"{path.name} holds no question that can be asked here", code="foci-none", where=str(path),
            why=told[0][2] if told else "it holds no images",
            hint="its images must be test images of this workspace, its labels names of classes in classes.csv",
        )  # fmt: skip
    rows = [(f"questions of {path.name}", n, why) for _, n, why in told]
    absent = sum(image.split == "test" and image.id not in found for image in images)
    rows += [("test images", absent, f"not in {path.name}: they get no question")] if absent else []
    return found, tuple(rows)


class _LeftOut(Exception):
    def __init__(self, reason: str, example: str) -> None:
        super().__init__(reason)
        self.reason, self.example = reason, example


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, entry) of every image. Raises DatasetError "foci-not-found", "foci-file"."""
    if not path.is_file():
        raise DatasetError(
            "there is no such option file", code="foci-not-found", where=str(path),
            hint="[mine] options_file names it, as seen from the workspace; without it options are chosen here",
        )  # fmt: skip
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise _no_file_of_foci(path, f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _no_file_of_foci(path, "it holds no labels")
    for label, entries in document.items():
        if not isinstance(entries, list):
            raise _no_file_of_foci(path, f"behind the label {label!r} there is no list of images")
        for number, entry in enumerate(entries, 1):
            if why := _fault(entry):
                raise _no_file_of_foci(path, f"image {number} of the label {label!r} {why}")
            yield label, entry


def _fault(entry: Any) -> str:
    if not isinstance(entry, dict):
        return "is no object"
    if missing := [key for key in ("image", "options", "groundtruth") if key not in entry]:
        return f"has no {missing[0]!r}"
    options = entry["options"]
    if not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        return "has options that are not texts"
    return "" if isinstance(entry["image"], str) else "has an image that is no path"


def _no_file_of_foci(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path.name} is no option file of FOCI", code="foci-file", where=str(path), why=why,
        hint='{"LABEL": [{"image": "PATH", "options": ["LABEL", ...], "groundtruth": "LABEL"}]}',
    )  # fmt: skip


def _question(
    label: str, entry: Mapping[str, Any], labels: _Labels, paths: _Paths
) -> tuple[Image, list[str]]:
    """The image, and its classes by rank. Raises _LeftOut."""
    told, where = entry["options"], entry["image"]
    if entry["groundtruth"] != label:
        raise _LeftOut("the true label is not the one that it stands under", where)
    if label not in told:
        raise _LeftOut("the true label is none of the options", where)
    names = [labels.class_of(one) for one in told]
    if len(set(names)) < len(names):
        raise _LeftOut("an option stands twice", where)
    if not 2 <= len(names) <= MOST_OPTIONS:
        raise _LeftOut(f"it has not 2 to {MOST_OPTIONS} options", where)
    image = paths.image_of(where)
    truth = labels.class_of(label)
    if image.class_name != truth:
        raise _LeftOut("the image has another label here", where)
    return image, [truth, *(name for name in reversed(names) if name != truth)]


@dataclass(frozen=True, slots=True)
class _Labels:
    """Text -> the classes that are called so, the surest way of being called so first."""

    levels: tuple[Mapping[str, set[str]], ...]

    @classmethod
    def of(cls, classes: Mapping[str, ImageClass]) -> _Labels:
        counted = numbered(classes.values())
        levels: tuple[dict[str, set[str]], ...] = tuple(defaultdict(set) for _ in range(4))
        for name, image_class in classes.items():
            levels[0][name].add(name)
            levels[1][image_class.display_name].add(name)
            for shown in (name, image_class.display_name):
                levels[2][folded(without_number(shown) if name in counted else shown)].add(name)
            for called in (name, *names_of(image_class)):
                levels[3][folded(called)].add(name)
        return cls(levels)

    def class_of(self, label: str) -> str:
        for level, text in zip(self.levels, (label, label, folded(label), folded(label)), strict=True):
            if bearers := level.get(text):
                if len(bearers) > 1:
                    raise _LeftOut("a label is the name of several classes here", label)
                return next(iter(bearers))
        raise _LeftOut("a label is the name of no class here", label)


@dataclass(frozen=True, slots=True)
class _Paths:
    """The end of a path, as a tuple of its parts -> the images whose paths end so."""

    ends: Mapping[tuple[str, ...], list[Image]]

    @classmethod
    def of(cls, images: Iterable[Image]) -> _Paths:
        ends: dict[tuple[str, ...], list[Image]] = defaultdict(list)
        for image in images:
            parts = _parts(image.path)
            for n in range(1, len(parts) + 1):
                ends[parts[-n:]].append(image)
        return cls(ends)

    def image_of(self, path: str) -> Image:
        """The test image whose path has the longest end in common with this one."""
        parts = _parts(path)
        for n in range(len(parts), 0, -1):
            if not (alike := self.ends.get(parts[-n:])):
                continue
            test = [image for image in alike if image.split == "test"]
            if not test:
                raise _LeftOut("the image is no test image here", path)
            if len(test) > 1:
                raise _LeftOut("the path fits several test images", path)
            return test[0]
        raise _LeftOut("there is no such image here", path)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
