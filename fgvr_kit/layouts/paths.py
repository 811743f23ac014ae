"""The files of a dataset, found by what a table calls them: other slashes, other accents, no extension."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from fgvr_kit.dataset.files import walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Source
from fgvr_kit.types import Notice, Skipped

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
_DRIVE = re.compile(r"[A-Za-z]:/")
_Ends = dict[str, tuple[str, ...]]
_OFFERS = 10
"""Missing files for which the closest one is looked up: more reasons of their own nobody reads."""


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
    """The files below a folder. left_out: what could not be looked into."""

    def __init__(self, root: Path) -> None:
        self.root = root
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

    def find(self, cell: str, base: str = "") -> str | Missing:
        """The file that a cell means, relative to the root; base: the folder it starts from ("train/").

        Tried in turn: the very name; other slashes, letter case and accents; without extension, if one file
        has that stem; and without base, the same in any folder below.
        """
        plain = cell.strip().replace("\\", "/")
        if not plain:
            return Missing("no file is named")
        if _URL.match(plain):
            return Missing("a URL: fetch the picture, and name its file")
        for text in (cell, plain):
            path = self._inside(text, base)
            if path in self.all:
                reason = why_not(path)
                return Missing(reason) if reason else path
        if path is None:
            return Missing("outside the folder of the dataset")
        return self._alike(path, "" if base else plain) or self._by_link(path) or self._missing(path)

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

    def _inside(self, text: str, base: str) -> str | None:
        """The path relative to the root, None when it leads out of it."""
        if text.startswith("/") or _DRIVE.match(text):
            text = posixpath.normpath(text)
            above = next((base for base in self._bases if text.startswith(base)), None)
            return None if above is None else text[len(above) :]
        path = posixpath.normpath(base + text)
        return None if path == ".." or path.startswith("../") else path

    def _alike(self, path: str, end: str) -> str | Missing | None:
        """The file of that name but for case, accents and extension, or else the one whose path ends so."""
        if not self._names:
            self._learn()
        for key in ("/" + folded(path), folded(posixpath.normpath(end)) if end else ""):
            for names in (self._names, self._stems):
                if len(found := names.get(key, ())) > 1:
                    return Missing(f"several files could be meant{self._named(found)}")
                if found:
                    return found[0]
        return None

    def _learn(self) -> None:
        """Every file under each end of its path: "/a/b.jpg" (anchored), "a/b.jpg", "b.jpg"; and without ".jpg"."""
        for path in self.images():
            name = folded(path)
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
        stem = folded(PurePosixPath(path).stem)
        if same := self._names.get(folded(PurePosixPath(path).name)) or self._stems.get(stem):
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


def folded(path: str) -> str:
    """What spellings of one path share: no letter case, accents typed in one way."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
