"""A workspace: the folder with fgvr.toml, found from the current directory upwards, as git does.

fgvr.toml  classes.csv  attributes.csv  prompts/  .fgvr/fgvr.db  .fgvr/runs/
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from fgvr_kit import settings as settings_module
from fgvr_kit.edited import read_csv, write_text
from fgvr_kit.errors import DatasetError, WorkspaceError
from fgvr_kit.prompts import Prompts
from fgvr_kit.settings import FILE_NAME, HUB, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import GENERAL, Attribute, Image, ImageClass, ImageRef

CLASS_COLUMNS = (
    "class", "display_name", "synonyms", "scientific", "common", "parent", "merged_into", "note",
)  # fmt: skip
ATTRIBUTE_COLUMNS = ("attribute", "question", "note")


class Workspace:
    """Settings, prompts, tables and files of one project. Close it, or use it as a context manager."""

    def __init__(self, root: Path, overrides: Sequence[str] = ()) -> None:
        """Open the workspace at root (its fgvr.toml must exist)."""
        self.root = root.resolve()
        self.settings: Settings = settings_module.load(self.root / FILE_NAME, overrides)
        self.prompts = Prompts(self.root / "prompts")

    @classmethod
    def find(cls, start: Path | None = None, overrides: Sequence[str] = ()) -> Workspace:
        """The workspace of the current directory or of one above it; of `start` alone when that is given."""
        if start is not None:
            if not (start / FILE_NAME).is_file():
                raise WorkspaceError(
                    f"{start} is not a workspace: it holds no {FILE_NAME}",
                    code="no-workspace",
                    hint=f"fgvr-kit init IMAGES -w {start}",
                )
            return cls(start, overrides)
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / FILE_NAME).is_file():
                return cls(folder, overrides)
        raise WorkspaceError(
            f"there is no workspace here: no {FILE_NAME} in this folder or above it",
            code="no-workspace",
            where=str(here),
            hint="fgvr-kit init IMAGES makes one here; -w DIR names one elsewhere",
        )

    @cached_property
    def store(self) -> Store:
        return Store(self.state / "fgvr.db")

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def busy(self) -> AbstractContextManager[None]:
        """While a command writes here. Raises WorkspaceError when another process does; a kill lets go."""
        return busy(self.root)

    @property
    def state(self) -> Path:
        """What the tool keeps for itself; everything in it can be made again, at the price of asking again."""
        return self.root / ".fgvr"

    @property
    def dataset(self) -> Path:
        """The folder that the paths of images start from. Raises DatasetError when it is not there any more."""
        folder = self.place
        if self.settings.dataset.root:
            folder = (self.root / self.settings.dataset.root).resolve()
        elif folder.suffix and folder.is_file():
            folder = folder.parent
        if not folder.is_dir():
            raise DatasetError(
                "the image folder of this workspace is gone",
                code="dataset-not-found",
                where=str(folder),
                hint=f"bring it back, or change [dataset] path in {self.root / FILE_NAME}",
            )
        return folder

    @property
    def place(self) -> Path:
        """What `init` was pointed at: a folder, a table, a COCO file; of "hf:..." the folder it is kept in."""
        return place_of(self.settings.dataset.path, self.root)

    @property
    def base_model(self) -> str:
        """[train] model as it is opened: a folder as seen from here, or else from the workspace, or a hub id."""
        name = self.settings.train.model
        beside = self.root / name
        return str(beside) if name and not Path(name).is_dir() and beside.is_dir() else name

    def no_images(self) -> DatasetError:
        """The error of a step that finds none: .fgvr is new, or was removed."""
        return DatasetError(
            "this workspace knows no images",
            code="no-images",
            where=str(self.root),
            hint=f"fgvr-kit init {shlex.quote(str(self.root / self.settings.dataset.path))}",
        )

    def ref_of(self, image: Image) -> ImageRef:
        """Where an image's pixels lie."""
        return ImageRef(self.dataset / image.file, image.sha256, image.box)

    def keep(self, choices: Mapping[str, Any]) -> list[str]:
        """Write those "section.key" -> value into fgvr.toml that stand at their default; comments stay.

        Returns the keys written. Any other value is the user's: it is never changed.
        """
        import tomlkit

        path = self.root / FILE_NAME
        document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
        kept = []
        for key, value in choices.items():
            section, _, name = key.partition(".")
            table = document.setdefault(section, tomlkit.table())
            if table.get(name, "") in ("", _default(section, name)) and value != table.get(name):
                table[name] = value
                kept.append(key)
        if kept:
            write_text(path, tomlkit.dumps(document))
        return kept

    # --- the files people edit ------------------------------------------------------------------------------

    def class_rows(self) -> list[ImageClass]:
        """The rows of classes.csv for the classes that have images in use, by name, however they are filled in.

        Raises DatasetError when the file or a row is missing.
        """
        present = {image.class_name for image in self.store.images()}
        found = {
            row["class"]: _image_class(row)
            for row in self._rows("classes.csv", CLASS_COLUMNS)
            if row["class"] in present
        }
        if missing := sorted(present - set(found)):
            raise DatasetError(
                f"classes.csv has no row for the class {missing[0]!r}",
                code="classes-missing",
                where=str(self.root / "classes.csv"),
                hint="fgvr-kit init adds the rows that are missing",
            )
        return [found[name] for name in sorted(found)]

    def classes(self) -> dict[str, ImageClass]:
        """class_rows by name. Raises DatasetError, also when two classes are shown under one name."""
        rows = self.class_rows()
        _refuse_same_names(rows, str(self.root / "classes.csv"))
        return {row.name: row for row in rows}

    def merges(self) -> dict[str, str]:
        """label -> the class it is merged into, as classes.csv says; {} where there is none yet.

        Raises DatasetError for a class that is merged into itself, or into one that is in no row.
        """
        return merges_of(self.root)

    def attributes(self) -> list[Attribute]:
        """attributes.csv, in its order. Raises DatasetError when there is none or it is not usable."""
        path = self.root / "attributes.csv"
        if not path.is_file():
            raise DatasetError(
                "no attributes yet: there is no attributes.csv",
                code="no-attributes",
                where=str(self.root),
                hint="fgvr-kit attributes discover",
            )
        attributes = [
            Attribute(row["attribute"].strip(), row["question"].strip())
            for row in self._rows("attributes.csv", ATTRIBUTE_COLUMNS)
            if row["attribute"].strip()
        ]
        check_attributes(attributes, where=str(path))
        return attributes

    def _rows(self, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
        path = self.root / name
        if not path.is_file():
            raise DatasetError(
                f"{name} is missing",
                code="file-missing",
                where=str(self.root),
                hint=f"fgvr-kit init {self.settings.dataset.path} writes it again",
            )
        found, rows = read_csv(path, columns[:2])
        return [{c: row.get(c, "") for c in (*columns, *found)} for row in rows]


@contextmanager
def busy(root: Path) -> Iterator[None]:
    """As Workspace.busy, of the workspace at root, which need not be there yet."""
    state = root / ".fgvr"
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as file:
        if not _try_lock(file):
            raise WorkspaceError(
                "another fgvr-kit is at work in this workspace",
                code="workspace-busy",
                where=str(root),
                hint="wait until it has ended; what it has done by then is not done again",
            )
        yield


def place_of(path: str, root: Path) -> Path:
    """Where the images that [dataset] path names lie, for the workspace at root."""
    if path.startswith(HUB):
        return root / ".fgvr" / "hub" / re.sub(r"[^\w.@-]+", "--", path.removeprefix(HUB)).strip("-")
    return (root / path).resolve()


def merges_of(root: Path) -> dict[str, str]:
    """As Workspace.merges, of the workspace at root, which need not be there yet."""
    path = root / "classes.csv"
    if not path.is_file():
        return {}
    found = {
        row["class"]: (row.get("merged_into") or "").strip() for row in read_csv(path, CLASS_COLUMNS[:1])[1]
    }
    return {name: _end_of_merges(name, found, str(path)) for name in found if found[name]}


def _try_lock(file: IO[str]) -> bool:
    """Lock an open file for this process, if nobody else has. Where there is no flock (Windows): always."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _default(section: str, key: str) -> object:
    model = dict(settings_module.describe_sections()).get(section)
    return model.model_fields[key].default if model and key in model.model_fields else ""


def _end_of_merges(name: str, rows: Mapping[str, str], where: str) -> str:
    passed = [name]
    while target := rows[passed[-1]]:
        if target not in rows or target in passed:
            raise DatasetError(
                f"{name!r} cannot be merged into {target!r}",
                code="classes-merge",
                where=where,
                why="that is itself" if target in passed else "no row is called that",
                hint="write the name of another class, as it stands in column class, into merged_into",
            )
        passed.append(target)
    return passed[-1]


def _image_class(row: Mapping[str, str]) -> ImageClass:
    name = row["class"]
    synonyms = tuple(s.strip() for s in row["synonyms"].split(";") if s.strip())
    more = (row[column].strip() for column in ("scientific", "common", "parent"))
    return ImageClass(name, row["display_name"].strip() or name, synonyms, *more)


def _refuse_same_names(classes: Sequence[ImageClass], where: str) -> None:
    """Two classes under one name in a question: it could not be answered."""
    shown: dict[str, ImageClass] = {}
    for image_class in classes:
        name = " ".join(image_class.display_name.casefold().split())
        if other := shown.get(name):
            raise DatasetError(
                f"the classes {other.name!r} and {image_class.name!r} are both shown as {image_class.display_name!r}",
                code="classes-same-name",
                where=where,
                hint="give one another display_name; or put their images into one folder and run fgvr-kit init again",
            )
        shown[name] = image_class


def check_attributes(attributes: Sequence[Attribute], where: str) -> None:
    """Raise DatasetError when there is none, a name stands twice, or a name is reserved."""
    names = [a.name for a in attributes]
    twice = next((n for n in names if names.count(n) > 1), None)
    problem = (
        "there is no attribute in the list"
        if not names
        else f"the attribute {twice!r} stands twice"
        if twice
        else f"{GENERAL!r} is taken by the free description"
        if GENERAL in names
        else None
    )
    if problem:
        raise DatasetError(problem, code="attributes-unusable", where=where, hint="edit the list")
