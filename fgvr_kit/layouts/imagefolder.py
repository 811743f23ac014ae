"""The ImageFolder of Hugging Face: images with a metadata.csv or metadata.jsonl, at the top or in any folder.

A metadata file names the images of its own folder and of those below it, in the column file_name. A label
column is the class; without one the class is the folder, and the metadata only adds columns.
Source: https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from fgvr_kit.dataset.files import class_named, is_junk, require_folder, split_named
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.columns import guessed, roles_of
from fgvr_kit.layouts.entries import Part, listed
from fgvr_kit.layouts.paths import Files
from fgvr_kit.layouts.rows import TABLES, Table, read_table
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry, Notice, Skipped

ABOUT = "ImageFolder with metadata.csv or metadata.jsonl"

_NAMES = tuple(f"metadata{suffix}" for suffix in TABLES)
_FILE_NAME = ("filename", "imagefilename")


def sign_of(place: Path) -> str | None:
    """A metadata file with a column file_name, at the top, in a folder of it, or in train/<class>/."""
    if not place.is_dir():
        return None
    tops = _folders(place)
    deeper = [folder for top in tops if split_named(top.name) for folder in _folders(top)]
    for path in (folder / name for folder in (place, *tops, *deeper) for name in _NAMES):
        if path.is_file() and _names_files(path):
            return f"{path.relative_to(place).as_posix()} has a column file_name"
    return None


def read(source: Source) -> Listing:
    """Every image that a metadata file names; where the folders are the classes, every image in them.

    Raises DatasetError when there is no metadata file, or it tells no class and there is no class folder;
    SettingsError for a column that is not there.
    """
    require_folder(source.place)
    files = Files(source.place.absolute())
    parts = [_part(files, path, source.settings) for path in files.all if _is_metadata(path)]
    if not parts:
        raise DatasetError(
            "the folder holds no metadata.csv or metadata.jsonl", code="dataset-not-found",
            where=str(source.place), hint="choose another --layout, or leave it away",
        )  # fmt: skip
    splits = _split_folders(files)
    listing, mentioned = listed(files, parts, lambda entry: _completed(entry, splits))
    names = " or ".join(part.name for part in parts[:3])
    if any(part.roles.label is not None for part in parts):
        listing.notices.extend(files.unnamed(mentioned, names))
        return listing
    _add_unnamed(listing, files, mentioned, splits, names)
    if not listing.entries:
        roles_of(
            parts[0].table, _columns(parts[0].table, source.settings)
        )  # raises: no column tells the class
    return listing


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and not is_junk(child.name))
    except OSError:
        return []


def _names_files(path: Path) -> bool:
    try:
        return guessed(read_table(path, 1).columns, _FILE_NAME) is not None
    except DatasetError:
        return False


def _is_metadata(path: str) -> bool:
    *folders, name = path.split("/")
    return name in _NAMES and not any(map(is_junk, folders))


def _part(files: Files, path: str, settings: DatasetSettings) -> Part:
    table = read_table(files.root / path)
    roles = roles_of(table, _columns(table, settings), needs_label=False)
    base = PurePosixPath(path).parent.as_posix()
    return Part(table, roles, path, "" if base == "." else f"{base}/")


def _columns(table: Table, settings: DatasetSettings) -> DatasetSettings:
    """The settings, with the column of the files as the convention calls it."""
    number = guessed(table.columns, _FILE_NAME)
    if settings.path_col or number is None:
        return settings
    return settings.model_copy(update={"path_col": table.columns[number]})


def _split_folders(files: Files) -> set[str]:
    """Top folders that are splits: those named like one, where one of them is for training."""
    tops = {path.partition("/")[0] for path in files.images() if "/" in path}
    named = {top: split for top in tops if (split := split_named(top))}
    return set(named) if "train" in named.values() else set()


def _completed(entry: Entry, splits: set[str]) -> Entry | str:
    """The entry with split and class of its folders, where no column tells them."""
    *folders, _ = entry.file.split("/")
    split = split_named(folders.pop(0)) if folders and folders[0] in splits else None
    if not entry.class_name and not folders:
        return "outside any class folder"
    name = entry.class_name or class_named(folders[0])
    return replace(entry, class_name=name, split=entry.split or split)


def _add_unnamed(listing: Listing, files: Files, mentioned: set[str], splits: set[str], names: str) -> None:
    """The images in class folders that no row names: their class is known all the same."""
    rest = [(path, _completed(Entry(path, ""), splits)) for path in files.images() if path not in mentioned]
    added = [entry for _, entry in rest if isinstance(entry, Entry)]
    listing.entries.extend(added)
    listing.skipped.extend(Skipped(path, why) for path, why in rest if isinstance(why, str))
    if added:
        listing.notices.append(
            Notice(
                f"{len(added):,} images have no row in {names}, only the class of their folder",
                code="files-unnamed", where=str(files.root), why=f"the first is {added[0].file!r}",
                hint="add their rows, or let them be",
            )
        )  # fmt: skip
