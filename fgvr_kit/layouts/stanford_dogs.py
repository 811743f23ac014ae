"""Stanford Dogs: 120 breeds, 12,000 training and 8,580 test images.

images.tar unpacks Images/n02085620-Chihuahua/n02085620_10074.jpg, lists.tar train_list.mat, test_list.mat and
file_list.mat, each with file_list (n x 1 cells of text) and labels (n x 1, counted from 1).
Known traps: images and breeds are ImageNet's; n02105855_2933.jpg is a PNG; a few dozen pictures lie there
twice. Source: the site of the dataset (Khosla et al., 2011) and the layout of its lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, require_one_to_one, require_same, variables_of, whole, words
from fgvr_kit.types import Entry, Notice, Split

ABOUT = "Stanford Dogs"
N_TEST = 8580

_IMAGES = "Images"
_LISTS: dict[str, Split] = {"train_list.mat": "train", "test_list.mat": "test"}
_WNID = re.compile(r"(n\d{8})-(.+)")
_IN_IMAGENET = Notice(
    "the images of Stanford Dogs are images of ImageNet", code="in-imagenet",
    why="a model that was trained on ImageNet has probably seen the test images with their labels",
    hint="say beside the scores what the model was trained on",
)  # fmt: skip


def sign_of(place: Path) -> str | None:
    """Images/ with folders such as n02085620-Chihuahua, or its two lists; here or in one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every listed image; the class is its breed, the WordNet id a column and a note of the class.

    Raises DatasetError: a list or the image folder is missing, a list is no MATLAB file or its columns are not
    of one length, labels and folders contradict each other.
    """
    home = home_of(source, _signs, ABOUT)
    named = list(_named(_lists(home.folder)))
    ids = {entry.class_name: entry.details["wordnet_id"] for _, entry in named}
    return listing_of(
        home, named, {_IMAGES: "images.tar"}, about=ABOUT, n_test=N_TEST, notices=[_IN_IMAGENET],
        classes={name: {"note": f"WordNet {wordnet_id}"} for name, wordnet_id in ids.items()},
    )  # fmt: skip


def _signs(folder: Path) -> list[str]:
    lists = [name for name in _LISTS if (folder / name).is_file()]
    images = folder / _IMAGES
    names = (child.name for child in images.iterdir()) if images.is_dir() else ()
    if breed := next(filter(_WNID.fullmatch, names), ""):
        return [f"{_IMAGES}/{breed}", *lists]
    return lists if len(lists) > 1 else []


def _lists(folder: Path) -> Path:
    """Where the lists lie: lists.tar has no folder of its own, and some give it one."""
    inside = folder / "lists"
    return inside if any((inside / name).is_file() for name in _LISTS) else folder


def _named(folder: Path) -> Iterator[Named]:
    listed = [(name, *row) for name in _LISTS for row in _rows(folder / name)]
    require_one_to_one(((label, wnid.string) for _, _, label, wnid in listed), folder)
    every = folder / "file_list.mat"
    if every.is_file():
        found = variables_of(every, ["file_list"], "all images", "lists.tar")["file_list"]
        require_same(every, words(found, every), "the other two lists", (file for _, file, _, _ in listed))
    for name, file, _, wnid in listed:
        details = {"wordnet_id": wnid[1]}
        yield name, Entry(f"{_IMAGES}/{file}", class_named(wnid[2]), _LISTS[name], details=details)


def _rows(path: Path) -> Iterator[tuple[str, int, re.Match[str]]]:
    """(file, label, its folder as WordNet id and breed) of every image of a list."""
    found = variables_of(path, ["file_list", "labels"], "the images of its split", "lists.tar")
    files, labels = words(found["file_list"], path), found["labels"]
    if len(files) != len(labels):
        raise broken(
            f"{path.name} holds {len(files):,} files and {len(labels):,} labels", path, code="lists-differ"
        )
    for file, label in zip(files, labels, strict=True):
        folder = _WNID.fullmatch(file.partition("/")[0])
        if not folder:
            raise broken(f"{file!r} in {path.name} lies in no folder of a breed", path, code="list-line")
        yield file, whole(label, path), folder
