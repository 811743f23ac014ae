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
from fgvr_kit.dataset.attributes import ATTRIBUTE_COLUMNS, attribute_of, check_attributes, is_asked
from fgvr_kit.dataset.classes import CLASS_COLUMNS, class_of, merges_in, refuse_same_names
from fgvr_kit.edited import read_csv, write_text
from fgvr_kit.errors import DatasetError, WorkspaceError
from fgvr_kit.prompts import Prompts
from fgvr_kit.settings import FILE_NAME, HUB, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import Attribute, Image, ImageClass, ImageRef


class Workspace:
    """Settings, prompts, tables and files of one project. Close it, or use it as a context manager."""

    def __init__(self, root: Path, overrides: Sequence[str] = ()) -> None:
        """Open the workspace at root (its fgvr.toml must exist)."""
        self.root = root.resolve()
        self.overrides = tuple(overrides)
        self.spent = 0.0
        """USD that were spent on calls since it was opened."""
        self.settings: Settings = settings_module.load(self.root / FILE_NAME, overrides)
        domain = self.settings.domain
        self.prompts = Prompts(self.root / "prompts", template=domain.template, words=domain.words())

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

    def domain_words(self) -> dict[str, str]:
        """The words of [domain] as prompts get them. workspace.prompts gives them to every rendering by itself."""
        return dict(self.prompts.words)

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

    def in_file(self, key: str) -> Any:
        """What fgvr.toml says of a "section.key", without flags and environment; None where it says nothing."""
        import tomlkit

        document = tomlkit.parse((self.root / FILE_NAME).read_text(encoding="utf-8-sig")).unwrap()
        section, _, name = key.partition(".")
        return document.get(section, {}).get(name)

    # --- the files people edit ------------------------------------------------------------------------------

    def class_rows(self) -> list[ImageClass]:
        """The rows of classes.csv for the classes that have images in use, by name, however they are filled in.

        Raises DatasetError when the file or a row is missing.
        """
        present = {image.class_name for image in self.store.images()}
        found = {
            row["class"]: class_of(row)
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
        refuse_same_names(rows, str(self.root / "classes.csv"))
        return {row.name: row for row in rows}

    def merges(self) -> dict[str, str]:
        """label -> the class it is merged into, as classes.csv says; {} where there is none yet.

        Raises DatasetError for a class that is merged into itself, or into one that is in no row.
        """
        return merges_in(self.root / "classes.csv")

    def attributes(self) -> list[Attribute]:
        """Those of attributes.csv that are asked for, in its order. Raises DatasetError when none is usable."""
        path = self.root / "attributes.csv"
        if not path.is_file():
            raise DatasetError(
                "no attributes yet: there is no attributes.csv",
                code="no-attributes",
                where=str(self.root),
                hint="fgvr-kit attributes discover",
            )
        attributes = [
            attribute_of(row) for row in self._rows("attributes.csv", ATTRIBUTE_COLUMNS) if is_asked(row)
        ]
        check_attributes(attributes, where=str(path))
        return attributes

    def _rows(self, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
        """The rows of a table, their cells without blanks around them; a column it has not is empty."""
        path = self.root / name
        if not path.is_file():
            raise DatasetError(
                f"{name} is missing",
                code="file-missing",
                where=str(self.root),
                hint=f"fgvr-kit init {self.settings.dataset.path} writes it again",
            )
        found, rows = read_csv(path, columns[:2])
        return [{c: row.get(c, "").strip() for c in (*columns, *found)} for row in rows]


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
        name = re.sub(r"[^\w.@-]+", "--", path.removeprefix(HUB)).strip("-")
        # "hf:.." is a folder like any other; its copy must not lie above those of the others.
        return root / ".fgvr" / "hub" / (name if name.strip(".") else f"folder-{len(name)}")
    return (root / path).resolve()


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
