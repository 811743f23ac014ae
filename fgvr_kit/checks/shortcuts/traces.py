"""The traces that pictures carry besides what they show, family by family."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.checks.shortcuts.guess import Sample
from fgvr_kit.checks.shortcuts.names import classes_in
from fgvr_kit.dataset.facts import LUMA, thumbs
from fgvr_kit.types import FileFacts

if TYPE_CHECKING:
    from fgvr_kit.checks.shortcuts.guess import Floats


@dataclass(frozen=True, slots=True)
class Family:
    """Traces of one sort.

    of: what is looked at.  fair: when it is no shortcut, and what to do where it is one.  traces: (N, F) numbers
    of the N images of a sample.  why: what follows when they guess the class.
    """

    name: str
    of: str
    fair: str
    traces: Callable[[Sample], Floats]
    why: str = "a model can learn this in place of the thing, and test images of the same making reward it"


def _size(sample: Sample) -> Floats:
    rows = []
    for image in sample.images:
        # The bytes of a crop are those of the picture it was cut from.
        n_bytes = 0 if image.box else image.n_bytes
        n_pixels = image.width * image.height
        rows.append(
            (image.width, image.height, image.width / image.height, n_bytes, n_bytes / max(1, n_pixels))
        )
    return np.array(rows, dtype=np.float64)


def _small(sample: Sample) -> Floats:
    """(N, 16, 16, 3) in 0..255"""
    return thumbs([i.pixel_facts.thumb for i in sample.images if i.pixel_facts]).astype(np.float32)


def _brightness(sample: Sample) -> Floats:
    grey = _small(sample) @ LUMA  # (N, 16, 16)
    return np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))], axis=1)


def _colour(sample: Sample) -> Floats:
    mean = _small(sample).mean(axis=(1, 2))  # (N, 3)
    return np.asarray(mean - (mean @ LUMA)[:, None])


def _border(sample: Sample) -> Floats:
    small = _small(sample)
    ring = np.ones(small.shape[1:3], dtype=np.bool_)
    ring[1:-1, 1:-1] = False
    edge = small[:, ring]  # (N, 60, 3)
    return np.concatenate([edge.mean(axis=1), edge.std(axis=1)], axis=1)


def _camera(sample: Sample) -> Floats:
    files = [image.file_facts or FileFacts() for image in sample.images]
    codes = [_codes([getattr(file, name) for file in files]) for name in ("camera", "format", "mode")]
    return np.stack([*codes, np.array([file.frames for file in files])], axis=1)


def _file_name(sample: Sample) -> Floats:
    """How a name is made, without the words of any class: of "bee_IMG_0042.jpg" "_IMG_0042" is looked at."""
    names = [PurePosixPath(image.file) for image in sample.images]
    stems = [classes_in(name.stem, sample.forms)[1] for name in names]
    numbers = [[int(digits[:15]) for digits in re.findall(r"\d+", stem)] or [-1] for stem in stems]
    columns = [
        [len(stem) for stem in stems],
        [sum(map(str.isdigit, stem)) for stem in stems],
        [found[0] for found in numbers],
        [found[-1] for found in numbers],
        _codes([re.sub(r"\d", "#", stem) for stem in stems]),
        _codes([re.split(r"\d", stem)[0] for stem in stems]),
        _codes([name.suffix for name in names]),
    ]
    return np.array(columns, dtype=np.float64).T


def _taken(sample: Sample) -> Floats:
    written = [image.file_facts.taken if image.file_facts else "" for image in sample.images]
    moments = [datetime.fromisoformat(text) if text else None for text in written]
    return np.array([(m.hour, m.month) if m else (-1, -1) for m in moments], dtype=np.float64)


def _codes(values: Sequence[str]) -> Floats:
    """(N,) a number for each value, the commonest 0; those that stand once share one."""
    counts = Counter(values).most_common()
    code = {value: float(n) for n, (value, count) in enumerate(counts) if count > 1}
    return np.array([code.get(value, len(code)) for value in values], dtype=np.float64)


FAMILIES = (
    Family(
        "size",
        "width, height, shape, bytes",
        "no fault if all pictures are cut to their thing at one scale; otherwise the classes come from different "
        "sources: mix the sources, or cut and resize all pictures alike",
        _size,
    ),
    Family(
        "brightness",
        "mean and contrast",
        "no fault if being light or dark is what tells your classes apart; otherwise photograph each class in every "
        "light, and vary brightness in training",
        _brightness,
    ),
    Family(
        "colour",
        "mean red, green and blue, brightness aside",
        "no fault if colour is what tells your classes apart; otherwise it is the background or the white balance: "
        "vary both within each class",
        _colour,
    ),
    Family(
        "border",
        "colours of the outermost ring",
        "no fault if the thing itself reaches the edge of the picture; otherwise the background gives the class "
        "away: photograph each class on every background, or cut to the thing",
        _border,
    ),
    Family(
        "camera",
        "make and model, file format, colour mode",
        "no fault if each class will always come from its own instrument; otherwise use every camera for every "
        "class, and save all pictures alike",
        _camera,
    ),
    Family(
        "file name",
        "length, digits, numbers, prefix, ending; without the words of the classes",
        "the name itself does no harm, no model is shown one here; look whether light, place or camera changed from "
        "class to class",
        _file_name,
        why="it tells that the classes were collected one after the other, or come from different sources",
    ),
    Family(
        "time",
        "hour and month of the photograph",
        "no fault if your classes have their hours or seasons; otherwise photograph each class at every time",
        _taken,
    ),
)
"""In the order in which they are told."""
