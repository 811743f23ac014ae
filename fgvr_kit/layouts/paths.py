"""The files of a dataset, found by what a table calls them: other slashes, other accents, no extension."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from fgvr_kit.dataset.files import class_folders, is_junk, walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Source
from fgvr_kit.types import Notice, Skipped

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
_DRIVE = re.compile(r"[A-Za-z]:/")
_Ends = dict[str, tuple[str, ...]]
_OFFERS = 10
"""Missing files for which the closest one is looked up: more reasons of their own nobody reads."""
_MOST_FOLDERS = 200
"""Folders of one place that are asked for files which a table names."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a cell names no file."""

    reason: str


def root_of(source: Source, usual: Path) -> Path:
    """The folder that paths start from: as the settings say, or the usual one.

    Raises DatasetError when there is no such folder.
    """
    root = Path(source.settings.root).expanduser() if source.settings.root else usual
    if not root.is_dir():
        raise DatasetError(
            "there is no such folder for the paths of the table to start from", code="dataset-root",
            where=str(root), hint="name it: --root FOLDER, or [dataset] root in fgvr.toml",
        )  # fmt: skip
    return root.absolute()


class Files:
    """The files below a folder, the root.  home: where the table lies that names them; a path such as "../a.jpg" that
    leads out of the root is followed from there.  left_out: what could not be looked into."""

    def __init__(self, root: Path, home: Path | None = None) -> None:
        self.root, self.home = root, (home or root).absolute()
        self.left_out: list[Skipped] = []
        self.all = dict.fromkeys(walk(root, self.left_out))
        self._bases = sorted(
            {f"{base.as_posix().rstrip('/')}/" for base in (root.absolute(), root.resolve())}
        )
        self._images = [path for path in self.all if why_not(path) is None]
        self._names: _Ends = {}
        self._stems: _Ends = {}
        self._offers = _OFFERS

    def images(self, below: str = "") -> Iterator[str]:
        """Every file that may be an image, in a folder ("" for all, else with a slash at its end)."""
        return (path for path in self._images if path.startswith(below))

    def find(self, cell: str, prefix: str = "") -> str | Missing:
        """The file that a cell means, relative to the root; prefix: what stands before it ("train/").

        Tried in turn: the very name; other slashes, letter case and accents; without extension, if one file
        has that stem; and without prefix, the same in any folder below.
        """
        plain = cell.strip().replace("\\", "/")
        if not plain:
            return Missing("no file is named")
        if _URL.match(plain):
            return Missing("a URL: fetch the picture, and name its file")
        for text in (cell, plain):
            path = self._inside(text, prefix)
            if path in self.all:
                reason = why_not(path)
                return Missing(reason) if reason else path
        if path is None:
            return Missing("outside the folder of the dataset")
        return self._alike(path, "" if prefix else plain) or self._by_link(path) or self._missing(path)

    def unnamed(self, named: Iterable[str], by: str, below: str = "") -> list[Notice]:
        """A notice about the images in a folder that nothing names, if there are any."""
        known = set(named)
        rest = [path for path in self.images(below) if path not in known]
        if not rest:
            return []
        more = ", ..." if len(rest) > 3 else ""
        return [
            Notice(
                f"{len(rest):,} files that may be images are not named by {by}, and left out",
                code="files-unnamed", where=str(self.root), why=", ".join(map(repr, rest[:3])) + more,
                hint="name them with a class, or let them be",
            )
        ]  # fmt: skip

    def _inside(self, text: str, prefix: str) -> str | None:
        """The path relative to the root, None when it leads out of it."""
        path = posixpath.normpath(prefix + text)
        if path == ".." or path.startswith("../"):
            text = f"{self.home.as_posix()}/{prefix}{text}"
        elif not text.startswith("/") and not _DRIVE.match(text):
            return path
        text = posixpath.normpath(text)
        above = next((base for base in self._bases if text.startswith(base)), None)
        return None if above is None else text[len(above) :]

    def _alike(self, path: str, end: str) -> str | Missing | None:
        """The file of that name but for case, accents and extension, or else the one whose path ends so."""
        if not self._names:
            self._learn()
        for key in ("/" + _plain(path), _plain(posixpath.normpath(end)) if end else ""):
            for names in (self._names, self._stems):
                if len(found := names.get(key, ())) > 1:
                    return Missing(f"several files could be meant{self._named(found)}")
                if found:
                    return found[0]
        return None

    def _learn(self) -> None:
        """Every file under each end of its path: "/a/b.jpg" (anchored), "a/b.jpg", "b.jpg"; and without ".jpg"."""
        for path in self.images():
            name = _plain(path)
            dot = name.rpartition("/")[2].rfind(".")
            cut = len(name.rpartition("/")[2]) - dot if dot > 0 else 0
            for end in ("/" + name, name, *(name[at.end() :] for at in re.finditer("/", name))):
                _remember(self._names, end, path)
                if cut:
                    _remember(self._stems, end[:-cut], path)

    def _by_link(self, path: str) -> str | None:
        """The file behind a link to a folder that is walked already."""
        if not os.path.isfile(self.root / path):  # noqa: PTH113 (Path's raises where a name is too long)
            return None
        real = os.path.relpath(os.path.realpath(self.root / path), os.path.realpath(self.root))
        return real if real in self.all else path

    def _missing(self, path: str) -> Missing:
        return Missing(f"there is no such file{self._named(self._closest(path), 'did you mean ')}")

    def _closest(self, path: str) -> list[str]:
        if self._offers <= 0:
            return []
        stem = _plain(PurePosixPath(path).stem)
        if same := self._names.get(_plain(PurePosixPath(path).name)) or self._stems.get(stem):
            return [same[0]]
        nearby = islice(self.images(), 10_000)
        return difflib.get_close_matches(path, nearby, n=1, cutoff=0.8)

    def _named(self, paths: Iterable[str], word: str = "") -> str:
        """The first paths in brackets; nothing once enough have been named."""
        first = list(islice(paths, 2))
        if not first or self._offers <= 0:
            return ""
        self._offers -= 1
        return f" ({word}{', '.join(map(repr, first))})"


def _remember(ends: _Ends, end: str, path: str) -> None:
    """A second file of one end is worth knowing, a third is not."""
    known = ends.get(end, ())
    if len(known) < 2:
        ends[end] = (*known, path)


def _plain(path: str) -> str:
    """A path as its spellings share it: no letter case, accents typed in one way."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def rooted(files: Files, cells: Sequence[str]) -> Path | None:
    """The folder from which most of the cells lead to files, near the root: as --root should have it.

    Looked at are the files that cells name as seen from where the table lies, then the folders above the root and
    those beside it.
    """
    plain = [cell.strip().replace("\\", "/") for cell in cells]
    named = [Path(os.path.normpath(files.home / cell)) for cell in plain]
    if there := _mostly(named):
        return Path(os.path.commonpath([path.parent for path in there]))
    for above in list(files.root.parents)[:2]:
        for folder in (above, *_folders(above)):
            if _mostly([folder / cell for cell in plain if not cell.startswith(("/", "../"))], len(plain)):
                return folder
    return None


def wrapped(folder: Path) -> Path | None:
    """The folder that holds several folders with images, if the way down to it is a single folder at each step."""
    names = class_folders(folder)
    while len(names) == 1:
        folder = folder / names[0]
        names = class_folders(folder)
        if len(names) > 1:
            return folder
    return None


def _mostly(paths: Sequence[Path], n: int | None = None) -> list[Path]:
    """The paths of files, if they are at least half of n."""
    found = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 (Path's raises where a name is too long)
    return found if found and 2 * len(found) >= (n or len(paths)) else []


def _folders(place: Path) -> list[Path]:
    try:
        found = sorted(path for path in place.iterdir() if path.is_dir() and not is_junk(path.name))
    except OSError:
        return []
    return found[:_MOST_FOLDERS]
