"""Which files of a folder may be images, judged by where they lie and what they are called. Opens none."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fgvr_kit.errors import DatasetError
from fgvr_kit.types import Skipped, Split

SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trainset", "train set", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "valset", "val set", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "test set", "tst", "eval", "evaluation"), "test"),
}
"""What people call their splits, in lower case, "_" and "-" as blanks."""

_NOT_IMAGES = {
    **dict.fromkeys((".txt", ".md", ".rst", ".log", ".rtf"), "a text file"),
    **dict.fromkeys((".csv", ".tsv", ".xls", ".xlsx", ".ods", ".parquet", ".arrow"), "a table"),
    **dict.fromkeys(
        (".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".mat", ".npy", ".npz", ".pkl", ".h5", ".pt"),
        "a data file",
    ),
    **dict.fromkeys((".db", ".ini", ".lnk", ".url"), "a system file"),
    **dict.fromkeys((".part", ".crdownload", ".download", ".partial"), "an unfinished download"),
    **dict.fromkeys((".tmp", ".bak", ".swp"), "a temporary file"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), "an archive"),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".ppt", ".pptx", ".html", ".htm"), "a document"),
    **dict.fromkeys((".py", ".ipynb", ".sh", ".m", ".js", ".exe", ".bat"), "a program"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".wmv"), "a video"),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".m4a"), "a sound"),
}
_JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}


def split_named(name: str) -> Split | None:
    """The split that a folder, or a cell of a table, names: "Validation" is val."""
    return SPLIT_NAMES.get(" ".join(name.lower().replace("_", " ").replace("-", " ").split()))


def class_named(name: str) -> str:
    """A label as it is kept: NFC, line breaks and runs of blanks as one blank, nothing else changed."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def require_folder(folder: Path) -> None:
    """Raise DatasetError when it is missing or a file."""
    if not folder.exists():
        raise DatasetError(
            "there is no such folder",
            code="dataset-not-found",
            where=str(folder),
            hint="give the path of the folder that holds one folder for each class",
        )
    if not folder.is_dir():
        raise DatasetError(
            "this is a file, not a folder",
            code="dataset-is-file",
            where=str(folder),
            hint="give the folder that holds one folder for each class, or a table of them (.csv, .tsv, .jsonl)",
        )


def why_not(path: str) -> str | None:
    """Why a file is no candidate, judged by its path (relative, forward slashes); None when it may be one."""
    *folders, name = path.split("/")
    for folder in folders:
        if is_junk(folder):
            return f"in the hidden or system folder {folder!r}"
    if name.startswith("._"):
        return "a macOS resource fork, not an image"
    if name.startswith("."):
        return "a hidden file"
    kind = _NOT_IMAGES.get(PurePosixPath(name).suffix.lower())
    return f"{kind}, not an image" if kind else None


def is_junk(folder_name: str) -> bool:
    return folder_name.startswith(".") or folder_name.lower() in _JUNK_FOLDERS


def walk(folder: Path, left_out: list[Skipped] | None = None) -> Iterator[str]:
    """The path (relative, forward slashes) of every file below, sorted; no folder twice.

    left_out: gains the folders that cannot be read, and the links to folders that were read already.
    Folders come before links to folders, so that a link never hides the folder it leads to.
    """
    left_out = [] if left_out is None else left_out
    seen: dict[str, str] = {os.path.realpath(folder): ""}

    def below(here: str) -> Iterator[str]:
        try:
            with os.scandir(folder / here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            left_out.append(
                Skipped(
                    here.rstrip("/") or ".",
                    f"a folder that cannot be read ({error.strerror})",
                    "folder-unreadable",
                )
            )
            return
        folders = []
        for entry in entries:
            if not _is_text(entry.name):
                left_out.append(
                    Skipped(_as_text(f"{here}{entry.name}"), "a name that is not UTF-8", "name-unreadable")
                )
            elif _is_folder(entry):
                folders.append(entry)
            else:
                yield f"{here}{entry.name}"
        for entry in sorted(folders, key=lambda entry: entry.is_symlink()):
            path = f"{here}{entry.name}"
            real = os.path.realpath(entry.path)
            if real in seen:
                left_out.append(
                    Skipped(path, f"a link to {seen[real] or '.'!r}, which is read already", "not-an-image")
                )
                continue
            seen[real] = path
            yield from below(f"{path}/")

    yield from below("")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_text(name: str) -> bool:
    return name.isascii() or _as_text(name) == name


def _as_text(name: str) -> str:
    """A file name without the stand-ins that Python puts for bytes which are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def class_folders(folder: Path) -> list[str]:
    """Names of the folders directly below that hold a file which may be an image, sorted."""
    return [
        child.name
        for child in sorted(folder.iterdir())
        if child.is_dir()
        and not is_junk(child.name)
        and any(why_not(f"{child.name}/{path}") is None for path in walk(child))
    ]
