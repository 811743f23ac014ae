"""Oxford-IIIT Pet: 37 breeds of cats and dogs, 3,680 training and 3,669 test images.

images.tar.gz unpacks images/Abyssinian_201.jpg, annotations.tar.gz annotations/{list,trainval,test}.txt with
lines "image class species breed": class 1 to 37, species 1 for cats and 2 for dogs.
Known traps: of the .jpg files 4 are PNG and 6 are GIF inside, beagle_116 and chihuahua_121 are damaged; images/
also holds .mat files and pictures that no list names. Source: the header of list.txt (Parkhi et al., 2012).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, require_one_to_one, rows_of, whole
from fgvr_kit.types import Entry, Split

ABOUT = "Oxford-IIIT Pet"
N_TEST = 3669

_LISTS: dict[str, Split] = {"trainval.txt": "train", "test.txt": "test"}
_LINE = re.compile(r"\S+_\d+ \d+ [12] \d+")
_SPECIES = {1: "cat", 2: "dog"}


def sign_of(place: Path) -> str | None:
    """annotations/ with a list of its kind, in the folder or in one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every listed image, its class the breed; the species is a column, and the parent of the breed.

    Raises DatasetError: a list or the image folder is missing, a line is not as above, or breeds and classes
    contradict each other.
    """
    home = home_of(source, _signs, ABOUT)
    named = list(_named(home.folder / "annotations"))
    return listing_of(
        home, named, {"images": "images.tar.gz"}, about=ABOUT, n_test=N_TEST,
        classes={entry.class_name: {"parent": entry.details["species"]} for _, entry in named},
    )  # fmt: skip


def _signs(folder: Path) -> list[str]:
    paths = [folder / "annotations" / name for name in ("list.txt", *_LISTS)]
    return [f"annotations/{path.name}" for path in paths if path.is_file() and _is_list(path)]


def _is_list(path: Path) -> bool:
    try:
        rows = rows_of(path, 4, "", "")
    except DatasetError:
        return False
    return bool(rows) and _LINE.fullmatch(" ".join(rows[0].cells)) is not None


def _named(folder: Path) -> Iterator[Named]:
    labels: list[tuple[int, str]] = []
    for name, split in _LISTS.items():
        path = folder / name
        for row in rows_of(path, 4, "the images of its split", "annotations.tar.gz"):
            image, label, species, _ = row.cells
            breed = re.fullmatch(r"(.+)_\d+", image)
            if not breed:
                raise broken(f"{image!r} is no breed and number", path, row.line, code="list-line")
            kind = _SPECIES.get(whole(species, path, row.line))
            if kind is None:
                raise broken(
                    f"species {species} is neither 1 (cat) nor 2 (dog)", path, row.line, code="label-range"
                )
            labels.append((whole(label, path, row.line), breed[1]))
            entry = Entry(f"images/{image}.jpg", class_named(breed[1]), split, details={"species": kind})
            yield name, entry
    require_one_to_one(labels, folder)
