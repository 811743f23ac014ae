"""Which image, and which attribute, somebody means by what he typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from fgvr_kit.errors import UsageError
from fgvr_kit.types import GENERAL, Image
from fgvr_kit.workspace import Workspace


def image_called(workspace: Workspace, text: str) -> Image:
    """An image by its path in the dataset, its file on disk, or an end of its path that no other has.

    A box is named behind its file ("a.jpg#12"). Raises UsageError "unknown-image" with what may be meant, or with
    the reason why the file is not in use.
    """
    images = {image.path: image for image in workspace.store.images()}
    if not images:
        raise workspace.no_images()
    folder = workspace.dataset.resolve()
    names = [text, *_inside(folder, text)]
    for name in names:
        if name in images:
            return images[name]
    ends = [path for path in images if f"/{path}".endswith(f"/{text}")]
    if len(ends) == 1:
        return images[ends[0]]
    boxes = [path for path, image in images.items() if image.box and image.file in names]
    raise UsageError(
        f"{len(ends)} images are called {text!r}" if ends
        else f"{text!r} holds {len(boxes)} images: name one of its boxes" if boxes
        else f"no image of this workspace is called {text!r}",
        code="unknown-image",
        where=str(folder),
        why=None if ends or boxes else _why_not_used(workspace, names),
        hint=_hint(ends or boxes, text, images),
    )  # fmt: skip


def attribute_called(names: Iterable[str], text: str) -> str:
    """The one of names that is meant by text, written with blanks or underscores.

    Raises UsageError "unknown-attribute".
    """
    known = list(names)
    for wanted in (text, text.replace(" ", "_")):
        if wanted in known:
            return wanted
    close = [name for name in known if text.casefold() in name.casefold()]
    close = close or difflib.get_close_matches(text, known, n=1)
    raise UsageError(
        f"there is no attribute {text!r}",
        code="unknown-attribute",
        hint=f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}, {GENERAL}",
    )


def _inside(folder: Path, text: str) -> list[str]:
    """The path in the dataset of a file as it is called from here, if it lies in it."""
    file = Path(text).resolve()
    return [file.relative_to(folder).as_posix()] if file.is_relative_to(folder) else []


def _why_not_used(workspace: Workspace, names: Iterable[str]) -> str | None:
    wanted = set(names)
    skipped = next((file.reason for file in workspace.store.skipped() if file.path in wanted), None)
    if skipped:
        return f"it was left out: {skipped}"
    aside = next((image.set_aside for image in workspace.store.scanned() if image.path in wanted), None)
    return f"it is set aside: {aside}" if aside else None


def _hint(found: list[str], text: str, paths: Iterable[str]) -> str:
    known = list(paths)
    close = found[:3] or difflib.get_close_matches(text, known, n=1, cutoff=0.4)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"for example {known[0]!r}"
