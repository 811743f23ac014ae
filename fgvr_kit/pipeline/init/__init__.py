"""init: look at the images, split them, and make the workspace around them. Running it again is safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit.dataset.classes import merges_in
from fgvr_kit.dataset.folder import scan
from fgvr_kit.dataset.licences import NOT_STATED, counted
from fgvr_kit.dataset.names import as_text
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.layouts.base import Found, Listing, Source, find_layout, no_images
from fgvr_kit.pipeline.init.aside import licence_notices, of_licence, refuse_licences
from fgvr_kit.pipeline.init.classes import spelling_merges, write_classes
from fgvr_kit.pipeline.init.fresh import write_settings
from fgvr_kit.pipeline.init.notices import dropped_files, notices_of, split_notices
from fgvr_kit.pipeline.init.places import named, refuse_among_images, refuse_unused_root
from fgvr_kit.pipeline.init.sides import Alike, find_alike, grouped, sided
from fgvr_kit.pipeline.init.standing import Stored, applicable, other_draw, refuse_overtaken
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import SPLITS, Notice, ScannedImage, Side, Skipped, Summary
from fgvr_kit.workspace import Workspace, busy

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
    name, place = named(images, root)
    is_new = not (root / FILE_NAME).is_file()
    overrides, refused = ([*overrides], []) if is_new else applicable(root, name, place, overrides)
    flags = other_draw(root, overrides)
    settings = settings_module.load(None if is_new else root / FILE_NAME, overrides)
    with ExitStack() as stack:
        if not is_new:
            stack.enter_context(stack.enter_context(Workspace(root)).busy())
        stored = Stored.of(root, str(place), resplit=resplit)
        seen = _look(name, place, root, settings, stored, merge_spellings, progress)
        split = _split(seen, settings, stored, progress)
        if is_new:
            stack.enter_context(busy(root))
            refuse_overtaken(root)
            write_settings(root, name, place, seen.listing.root, overrides)
        else:
            with Workspace(root) as standing:
                standing.keep(settings_module.chosen(overrides))
        with Workspace(root) as workspace:  # with what was kept: the fingerprint is over it
            n_removed = _store(workspace, seen, split, resplit=resplit)
            done = {"workspace": f"{'made' if is_new else 'brought up to date'} in {root}",
                    "layout": seen.found.module.ABOUT, "recognised by": as_text(seen.found.sign)}  # fmt: skip
            stands = split_notices(flags, split.images, split.n_brought, stands=bool(stored.sides))
            summary = Summary(
                "init", done | _told(split, seen.merges, n_removed), dropped_files(seen.left_out),
                notices=(*refused, *seen.listing.notices, *split.notices, *stands,
                         *licence_notices(split.images), *notices_of(split.images)),
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
class _Seen:
    """What a look at the dataset has found.  merges: label -> class of the labels that are merged."""

    found: Found
    listing: Listing
    images: list[ScannedImage]
    left_out: list[Skipped]
    merges: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Split:
    """The images with their sides.  sides: as they are to be stored.  n_brought: of the dataset's own split."""

    images: list[ScannedImage]
    sides: Mapping[str, Side]
    alike: list[Alike]
    n_groups: int
    n_brought: int
    notices: list[Notice]


def _look(
    name: str, place: Path, root: Path, settings: Settings, stored: Stored, merge_spellings: bool,
    progress: Progress,
) -> _Seen:  # fmt: skip
    """Read every image of the dataset. Raises DatasetError when they are not usable."""
    found, listing = _listed(name, place, root, settings, progress)
    scanned, skipped = _scan(listing, stored, root, str(place), progress)
    merges = _merges(root, [i.label for i in scanned], merge_spellings)
    images = [replace(i, class_name=merges.get(i.label, i.label)) for i in scanned]
    left_out = [*listing.skipped, *skipped]
    _refuse_unusable(images, left_out, place)
    refuse_licences(images, settings.dataset.only_licence, place)
    return _Seen(found, listing, images, left_out, merges)


def _split(seen: _Seen, settings: Settings, stored: Stored, progress: Progress) -> _Split:
    """Group the images, and give each its side."""
    alike = find_alike(
        seen.images, seen.listing.root, known=stored.alike, compared=stored.compared, progress=progress
    )
    groups = grouped(seen.images, settings.dataset, [*stored.alike, *alike])
    images, notices = _without_lone_train(seen.images, settings)
    ready, sides = sided(images, groups, settings.dataset, stored.sides, stored.quarantined, stored.used)
    n_brought = len({i.path for i in images if i.split})
    return _Split(ready, sides, alike, len(groups.members()), n_brought, notices)


def _store(workspace: Workspace, seen: _Seen, split: _Split, *, resplit: bool) -> int:
    """Write classes.csv and the database; returns how many images are gone."""
    labels = (image.label for image in split.images)
    write_classes(workspace.root / "classes.csv", labels, seen.listing.classes, seen.merges)
    with workspace.store.transaction():
        if resplit:
            workspace.store.forget_sides()
        n_removed = workspace.store.put_images(split.images, seen.left_out)
        workspace.store.put_sides(split.sides)
        workspace.store.put_duplicates(split.alike)
    return n_removed


def _listed(
    name: str, place: Path, root: Path, settings: Settings, progress: Progress
) -> tuple[Found, Listing]:
    dataset = settings.dataset
    if dataset.root:
        dataset = dataset.model_copy(update={"root": str(root / dataset.root)})
    source = Source(name, place, dataset, progress)
    found = find_layout(source)
    listing: Listing = found.module.read(source)
    refuse_unused_root(settings.dataset.root, root, listing.root)
    if not (root / FILE_NAME).is_file():
        refuse_among_images(root, listing)
    return found, listing


def _scan(
    listing: Listing, stored: Stored, root: Path, place: str, progress: Progress
) -> tuple[list[ScannedImage], list[Skipped]]:
    """Read every image; a long scan is written down while it runs."""
    if len(listing.entries) < KEEP_FROM:
        return scan(listing.root, listing.entries, stored.known, progress)
    with Store(root / ".fgvr" / "fgvr.db") as store:
        keep: Callable[[list[ScannedImage]], None] = partial(store.put_scans, place)
        return scan(listing.root, listing.entries, stored.known, progress, keep=keep)


def _merges(root: Path, labels: Sequence[str], merge_spellings: bool) -> dict[str, str]:
    """label -> class, of labels that are merged: as classes.csv says, then two spellings of what is left."""
    old = merges_in(root / "classes.csv")
    if not merge_spellings:
        return old
    new = spelling_merges(old.get(label, label) for label in labels)
    return {label: new.get(target, target) for label, target in old.items()} | new


def _without_lone_train(
    images: list[ScannedImage], settings: Settings
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


def _told(split: _Split, merges: Mapping[str, str], n_removed: int) -> dict[str, Any]:
    images = split.images
    used = [image for image in images if not image.set_aside]
    counts = Counter(image.split for image in used)
    done: dict[str, Any] = {"classes": len({image.class_name for image in used}), "images": len(used)}
    done |= {side: counts[side] for side in SPLITS if counts[side]}
    drawn = "stratified, seeded, stored"
    done["split"] = (
        drawn
        if not split.n_brought
        else "from the dataset"
        if split.n_brought == len(images)
        else f"from the dataset; the rest {drawn}"
    )
    if merged := {label for label in merges if any(i.label == label for i in images)}:
        done["labels merged into another class"] = len(merged)
    done["licences"] = counted(used)
    done["set aside"] = len(images) - len(used)
    if held := of_licence(images):
        done["set aside for their licence"] = f"{len(held):,} ({counted(held) or NOT_STATED})"
    if together := len(images) - split.n_groups:
        done["kept on one side of the split"] = f"{together:,} images with another of their group"
    done["removed (gone, changed or moved)"] = n_removed
    return {key: value for key, value in done.items() if value}
