"""init: look at the images, split them, and make the workspace around them. Running it again is safe."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError, SettingsError, WorkspaceError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.layouts.base import Found, Listing, Source, find_layout, no_images
from fgvr_kit.pipeline.classes import spelling_merges, write_classes
from fgvr_kit.pipeline.fresh import copy_prompts, write_settings
from fgvr_kit.pipeline.notices import dropped_files, notices_of
from fgvr_kit.pipeline.sides import Alike, find_alike, grouped, sided
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME, HUB, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import SPLITS, Notice, ScannedImage, Side, Skipped, Summary
from fgvr_kit.workspace import Workspace, busy, merges_of, place_of

KEEP_FROM = 2_000
"""A scan of more files than this is written down while it runs, so that a kill costs nothing that was read."""


def init(
    images: str | Path,
    root: Path,
    overrides: Sequence[str] = (),
    progress: Progress = SILENT,
    *,
    resplit: bool = False,
    merge_spellings: bool = False,
) -> Summary:
    """Make (or bring up to date) the workspace at root for the images in a folder, a table, or "hf:...".

    overrides: "section.key=value" pairs; written into a new fgvr.toml, and into one that is there where it has
    only the default. Files that people edit are written once; classes.csv gains rows for new classes. The
    stored side of an image never changes, unless resplit, which draws it anew.
    merge_spellings: labels that are one name in two spellings become one class, in classes.csv.
    Raises DatasetError when the images are not usable, SettingsError for a column that is not there,
    WorkspaceError when root lies inside the folder or belongs to other images. Nothing is written before the
    images have been read to the end (but what a long scan has read).
    """
    root = root.resolve()
    name, place = _named(images, root)
    is_new = not (root / FILE_NAME).is_file()
    overrides, refused = ([*overrides], []) if is_new else _applicable(root, name, place, overrides)
    settings = settings_module.load(None if is_new else root / FILE_NAME, overrides)
    with ExitStack() as stack:
        if not is_new:
            stack.enter_context(stack.enter_context(Workspace(root)).busy())
        stored = _Stored.of(root, str(place), resplit=resplit)
        found, listing = _listed(name, place, root, settings, progress)
        _refuse_unused_root(settings.dataset.root, root, listing.root)
        scanned, skipped = _scan(listing, stored, root, str(place), progress)
        merges = _merges(root, [i.label for i in scanned], merge_spellings)
        scanned = [replace(i, class_name=merges.get(i.label, i.label)) for i in scanned]
        _refuse_unusable(scanned, [*listing.skipped, *skipped], place)
        alike = find_alike(
            scanned, listing.root, known=stored.alike, compared=stored.compared, progress=progress
        )
        groups = grouped(scanned, settings.dataset, [*stored.alike, *alike])
        scanned, notices = _without_lone_train(found.name, scanned, settings)
        used = frozenset() if resplit else stored.used
        ready, sides = sided(scanned, groups, settings.dataset, stored.sides, stored.quarantined, used)
        if is_new:
            stack.enter_context(busy(root))
            _refuse_overtaken(root)
            _write_settings(root, name, place, listing.root, overrides)
        n_prompts = copy_prompts(root)
        if not is_new:
            with Workspace(root) as standing:
                standing.keep(settings_module.chosen(overrides))
        with Workspace(root) as workspace:  # with what was kept: the fingerprint is over it
            write_classes(root / "classes.csv", (i.label for i in ready), listing.classes, merges)
            with workspace.store.transaction():
                if resplit:
                    workspace.store.forget_sides()
                n_removed = workspace.store.put_images(ready, [*listing.skipped, *skipped])
                workspace.store.put_sides(sides)
                workspace.store.put_duplicates(alike)
            done = {"workspace": "made" if is_new else "brought up to date", "layout": found.module.ABOUT,
                    "recognised by": found.sign}  # fmt: skip
            brought = {i.path for i in scanned if i.split}
            told = done | _told(ready, len(brought), len(groups.members()), merges, n_removed, n_prompts)
            summary = Summary(
                "init", told, dropped_files([*listing.skipped, *skipped]),
                notices=(*refused, *listing.notices, *notices, *notices_of(ready)),
            )  # fmt: skip
            workspace.store.finish("init", fingerprint_of(workspace), summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """What `init` stands on: its settings, the merges in classes.csv, and the images as stored (a new scan is
    the only way to see a changed folder)."""
    return fingerprint(
        "init",
        workspace.settings.dataset.model_dump(exclude={"path"}),
        sorted(workspace.merges().items()),
        workspace.store.digest_images(["path", "class", "split", "sha256"]),
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What an earlier `init` knows: images by path, hashes that were compared, near-duplicates, sides, what is
    set aside, and the hashes of the images in use."""

    known: Mapping[str, ScannedImage]
    compared: frozenset[str]
    alike: list[Alike]
    sides: Mapping[str, Side]
    quarantined: Mapping[str, str]
    used: frozenset[str]

    @classmethod
    def of(cls, root: Path, place: str, *, resplit: bool) -> _Stored:
        path = root / ".fgvr" / "fgvr.db"
        if not path.is_file():
            return cls({}, frozenset(), [], {}, {}, frozenset())
        with Store(path) as store:
            images = store.scanned()
            known = {i.path: i for i in (*images, *store.scans(place))}
            compared = frozenset(i.sha256 for i in images if i.pixel_facts)
            sides = {} if resplit else store.sides() or {i.sha256: _old_side(i) for i in images if i.split}
            used = frozenset(i.sha256 for i in images if not i.set_aside)
            return cls(known, compared, store.duplicates(), sides, store.quarantined(), used)


def _old_side(image: ScannedImage) -> Side:
    """The side of an image in a workspace that is older than table `splits`."""
    assert image.split is not None
    return Side(image.split, image.sha256, "draw")


def _named(images: str | Path, root: Path) -> tuple[str, Path]:
    """(as the user wrote it, where it lies). Raises WorkspaceError when root lies inside the image folder."""
    name = str(images)
    place = place_of(name, root) if name.startswith(HUB) else Path(name).expanduser().resolve()
    if place.is_dir() and root.is_relative_to(place):
        raise WorkspaceError(
            "the workspace would lie inside the image folder, which is never written to",
            code="workspace-in-dataset",
            where=str(root),
            hint=f"go elsewhere, or name a place: -w DIR (not below {place})",
        )
    return name, place


def _applicable(
    root: Path, name: str, place: Path, overrides: Sequence[str]
) -> tuple[list[str], list[Notice]]:
    """The overrides that fgvr.toml has no value of its own for, and a notice about the others.

    Raises WorkspaceError when the workspace belongs to other images.
    """
    file = root / FILE_NAME
    standing, default = settings_module.load(file, environ={}), Settings()
    present = place_of(standing.dataset.path, root)
    if present != place:
        raise WorkspaceError(
            f"there is a workspace here already, for other images: {present}",
            code="workspace-exists",
            where=str(root),
            hint=f"use another directory (-w DIR), or change [dataset] path in {file} if they have moved",
        )
    wanted = settings_module.load(file, overrides, environ={})
    free = [
        text for text in overrides
        for key in settings_module.chosen([text])
        if _value(standing, key) in (_value(default, key), _value(wanted, key))
    ]  # fmt: skip
    kept = [text for text in overrides if text not in free]
    notice = Notice(
        f"fgvr.toml is there already and was kept, without {', '.join(kept)}",
        code="settings-kept", where=str(file), hint="edit it, and run init again",
    )  # fmt: skip
    return free, [notice] if kept else []


def _value(settings: Settings, key: str) -> Any:
    section, _, name = key.partition(".")
    own = getattr(settings, section, None)
    return getattr(own, name, None) if own is not None else settings.plugins.get(section, {}).get(name)


def _listed(
    name: str, place: Path, root: Path, settings: Settings, progress: Progress
) -> tuple[Found, Listing]:
    dataset = settings.dataset
    if dataset.root:
        dataset = dataset.model_copy(update={"root": str(root / dataset.root)})
    source = Source(name, place, dataset, progress)
    found = find_layout(source)
    listing: Listing = found.module.read(source)
    return found, listing


def _scan(
    listing: Listing, stored: _Stored, root: Path, place: str, progress: Progress
) -> tuple[list[ScannedImage], list[Skipped]]:
    """Read every image; a long scan is written down while it runs."""
    if len(listing.entries) < KEEP_FROM:
        return scan(listing.root, listing.entries, stored.known, progress)
    with Store(root / ".fgvr" / "fgvr.db") as store:
        keep: Callable[[list[ScannedImage]], None] = partial(store.put_scans, place)
        return scan(listing.root, listing.entries, stored.known, progress, keep=keep)


def _merges(root: Path, labels: Sequence[str], merge_spellings: bool) -> dict[str, str]:
    """label -> class, of labels that are merged: as classes.csv says, then two spellings of what is left."""
    old = merges_of(root)
    if not merge_spellings:
        return old
    new = spelling_merges(old.get(label, label) for label in labels)
    return {label: new.get(target, target) for label, target in old.items()} | new


def _refuse_overtaken(root: Path) -> None:
    if (root / FILE_NAME).is_file():
        raise WorkspaceError(
            "another fgvr-kit has made a workspace here meanwhile",
            code="workspace-exists",
            where=str(root),
            hint="run init again to bring it up to date, or use another directory (-w DIR)",
        )


def _refuse_unused_root(wanted: str, root: Path, base: Path) -> None:
    """Paths would start somewhere else in every later step."""
    if wanted and (root / wanted).resolve() != base.resolve():
        raise SettingsError(
            "this layout has no use for dataset.root (--root)",
            code="root-not-used",
            where=wanted,
            why=f"its paths start from {base}",
            hint="leave it out; tables and COCO files use it",
        )


def _without_lone_train(
    layout: str, images: list[ScannedImage], settings: Settings
) -> tuple[list[ScannedImage], list[Notice]]:
    """Images whose dataset brings a split, but nothing to test on: its training images are drawn from."""
    if not any(i.split for i in images) or any(i.split == "test" for i in images):
        return images, []
    notice = Notice(
        "the dataset brings no test split; one is held out of its training images",
        code="split-no-test",
        why="accuracy needs images that were not trained on",
        hint=f"[dataset] test = {settings.dataset.test} says how many",
    )
    return [replace(i, split=None) if i.split == "train" else i for i in images], [notice]


def _refuse_unusable(images: Sequence[ScannedImage], skipped: Sequence[Skipped], place: Path) -> None:
    if not images:
        raise no_images(place, skipped)
    classes = sorted({image.class_name for image in images})
    if len(classes) == 1:
        raise DatasetError(
            f"there is only one class, {classes[0]!r}; telling classes apart needs two",
            code="dataset-one-class",
            where=str(place),
            hint="give the folder that holds all class folders, not one of them",
        )


def _write_settings(root: Path, name: str, place: Path, base: Path, overrides: Sequence[str]) -> None:
    """A new fgvr.toml; the folder that paths start from is named where it is not the obvious one."""
    path = name if name.startswith(HUB) else _relative(place, root)
    values = {"dataset.path": path}
    if base != (place if place.is_dir() else place.parent):
        values["dataset.root"] = _relative(base, root)
    write_settings(root, overrides, values)


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root) if path.is_relative_to(root) else str(path)


def _told(
    images: Sequence[ScannedImage],
    n_brought: int,
    n_groups: int,
    merges: Mapping[str, str],
    n_removed: int,
    n_prompts: int,
) -> dict[str, Any]:
    used = [image for image in images if not image.set_aside]
    counts = Counter(image.split for image in used)
    done: dict[str, Any] = {"classes": len({image.class_name for image in used}), "images": len(used)}
    done |= {split: counts[split] for split in SPLITS if counts[split]}
    drawn = "stratified, seeded, stored"
    done["split"] = (
        drawn
        if not n_brought
        else "from the dataset"
        if n_brought == len(images)
        else f"from the dataset; the rest {drawn}"
    )
    if merged := {label for label in merges if any(i.label == label for i in images)}:
        done["labels merged into another class"] = len(merged)
    done["set aside"] = len(images) - len(used)
    if together := len(images) - n_groups:
        done["kept on one side of the split"] = f"{together:,} images with another of their group"
    done["removed (gone, changed or moved)"] = n_removed
    done["prompt files written"] = n_prompts
    return {key: value for key, value in done.items() if value}
