"""A workspace: the folder with fgvr.toml, found from the current directory upwards, as git does.

fgvr.toml  classes.csv  attributes.csv  prompts/  .fgvr/fgvr.db  .fgvr/runs/
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO

from fgvr_kit import settings as settings_module
from fgvr_kit.edited import read_csv, write_text
from fgvr_kit.errors import DatasetError, WorkspaceError
from fgvr_kit.prompts import Prompts
from fgvr_kit.settings import FILE_NAME, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import GENERAL, Attribute, Image, ImageClass, ImageRef

CLASS_COLUMNS = ("class", "display_name", "synonyms", "note")
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

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While a command writes here. Raises WorkspaceError when another process does; a kill lets go."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a+") as file:
            if not _try_lock(file):
                raise WorkspaceError(
                    "another fgvr-kit is at work in this workspace",
                    code="workspace-busy",
                    where=str(self.root),
                    hint="wait until it has ended; what it has done by then is not done again",
                )
            yield

    @property
    def state(self) -> Path:
        """What the tool keeps for itself; everything in it can be made again, at the price of asking again."""
        return self.root / ".fgvr"

    @property
    def dataset(self) -> Path:
        """The image folder. Raises DatasetError when it is not there any more."""
        folder = (self.root / self.settings.dataset.path).resolve()
        if not folder.is_dir():
            raise DatasetError(
                "the image folder of this workspace is gone",
                code="dataset-not-found",
                where=str(folder),
                hint=f"bring it back, or change [dataset] path in {self.root / FILE_NAME}",
            )
        return folder

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
        """Where an image's pixels lie. A crop's path is that of its picture, "#" and which box."""
        path = image.path.rpartition("#")[0] if image.box else image.path
        return ImageRef(self.dataset / path, image.sha256, image.box)

    def keep(self, choices: Mapping[str, str]) -> list[str]:
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
            if table.get(name, "") in ("", _default(section, name)):
                table[name] = value
                kept.append(key)
        if kept:
            write_text(path, tomlkit.dumps(document))
        return kept

    # --- the files people edit ------------------------------------------------------------------------------

    def classes(self) -> dict[str, ImageClass]:
        """classes.csv by class name, for the classes that have images."""
        rows = self._rows("classes.csv", CLASS_COLUMNS)
        present = {image.class_name for image in self.store.images()}
        found: dict[str, ImageClass] = {}
        for row in rows:
            name = row["class"]
            if name not in present:
                continue
            synonyms = tuple(s.strip() for s in row["synonyms"].split(";") if s.strip())
            found[name] = ImageClass(name, row["display_name"].strip() or name, synonyms)
        if missing := sorted(present - set(found)):
            raise DatasetError(
                f"classes.csv has no row for the class {missing[0]!r}",
                code="classes-missing",
                where=str(self.root / "classes.csv"),
                hint="fgvr-kit init adds the rows that are missing",
            )
        _refuse_same_names(list(found.values()), str(self.root / "classes.csv"))
        return dict(sorted(found.items()))

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
