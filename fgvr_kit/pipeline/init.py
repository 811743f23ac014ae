"""init: look at the image folder, split it, and make the workspace around it. Running it again is safe."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit import shipped
from fgvr_kit.dataset.folder import Layout, find_layout, scan
from fgvr_kit.dataset.splits import assign_splits
from fgvr_kit.edited import read_csv, write_csv, write_text
from fgvr_kit.errors import DatasetError, WorkspaceError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME
from fgvr_kit.types import SPLITS, Notice, ScannedImage, Skipped, Split, Summary
from fgvr_kit.workspace import CLASS_COLUMNS, Workspace

MOST_FILES_NAMED = 100
"""Files left out that a summary names one by one; `fgvr-kit status --skipped` names all of them."""


def init(
    folder: Path,
    root: Path,
    overrides: Sequence[str] = (),
    progress: Progress = SILENT,
    *,
    resplit: bool = False,
) -> Summary:
    """Make (or bring up to date) the workspace at root for the images in folder.

    overrides: "section.key=value" pairs that are written into a new fgvr.toml. Files that people edit are
    written once; classes.csv gains rows for new classes. The stored split of an image never changes, unless
    resplit, which draws it anew.
    Raises DatasetError when the folder is not usable, WorkspaceError when root lies inside it or belongs to
    another folder. Nothing is written before the folder has been read to its end.
    """
    folder, root = folder.resolve(), root.resolve()
    if folder.is_dir() and root.is_relative_to(folder):
        raise WorkspaceError(
            "the workspace would lie inside the image folder, which is never written to",
            code="workspace-in-dataset",
            where=str(root),
            hint=f"go elsewhere, or name a place: -w DIR (not below {folder})",
        )
    file = root / FILE_NAME
    is_new = not file.is_file()
    settings = settings_module.load(None if is_new else file, overrides)
    if not is_new:
        _same_folder(settings.dataset.path, folder, root, file)
    layout = find_layout(folder) if folder.is_dir() else "classes"
    known = _known_images(root)
    images, skipped = scan(folder, layout, {i.path: i for i in known}, progress)
    stored = {} if resplit else {i.sha256: i.split for i in known if i.split}
    images, notices = _split(images, layout, settings.dataset, stored)
    _refuse_unusable(images, skipped, folder)
    if overrides and not is_new:
        notices.append(
            Notice(
                f"fgvr.toml is there already and was kept, without {', '.join(overrides)}",
                code="settings-kept",
                where=str(file),
                hint="edit it",
            )
        )
    if is_new:
        root.mkdir(parents=True, exist_ok=True)
        _write_settings(file, folder, root, overrides)
    copied = _copy_prompts(root)
    with Workspace(root) as workspace:
        n_removed = workspace.store.put_images(images, skipped)
        _write_classes(root / "classes.csv", images)
        summary = _summary(images, skipped, layout, notices, n_removed, is_new, copied)
        workspace.store.finish("init", fingerprint_of(workspace), summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """What `init` stands on: the images as stored (a new scan is the only way to see a changed folder)."""
    return workspace.store.digest("images", ["path", "class", "split", "sha256"])


def _same_folder(path: str, folder: Path, root: Path, file: Path) -> None:
    present = (root / path).resolve()
    if present != folder:
        raise WorkspaceError(
            f"there is a workspace here already, for another image folder: {present}",
            code="workspace-exists",
            where=str(root),
            hint=f"use another directory (-w DIR), or change [dataset] path in {file} if the folder has moved",
        )


def _known_images(root: Path) -> list[ScannedImage]:
    if not (root / ".fgvr" / "fgvr.db").is_file():
        return []
    with Workspace(root) as workspace:
        return workspace.store.scanned()


def _split(
    images: list[ScannedImage],
    layout: Layout,
    dataset: settings_module.DatasetSettings,
    stored: Mapping[str, Split],
) -> tuple[list[ScannedImage], list[Notice]]:
    notices: list[Notice] = []
    if layout == "splits" and images and not any(image.split == "test" for image in images):
        notices.append(
            Notice(
                "the folder brings no test split; one is held out of its training images",
                code="split-no-test",
                why="accuracy needs images that were not trained on",
                hint=f"[dataset] test = {dataset.test} says how many",
            )
        )
        images = [replace(i, split=None) if i.split == "train" else i for i in images]
    if layout == "splits":
        per_sha: dict[str, set[str]] = defaultdict(set)
        for image in images:
            per_sha[image.sha256].add(image.split or "")
        if leaks := [i for i in images if i.split == "test" and len(per_sha[i.sha256]) > 1]:
            notices.append(
                Notice(
                    f"{len(leaks)} test images have the very same pixels as a training image",
                    code="split-leak",
                    where=leaks[0].path,
                    why="accuracy measured on them is too high",
                    hint="remove them from one side and run init again",
                )
            )
    return assign_splits(
        images, test=dataset.test, val=dataset.val, seed=dataset.seed, stored=stored
    ), notices


def _refuse_unusable(images: Sequence[ScannedImage], skipped: Sequence[Skipped], folder: Path) -> None:
    classes = sorted({image.class_name for image in images})
    if not images:
        reasons = Counter(s.reason for s in skipped).most_common(1)
        raise DatasetError(
            "there is no usable image in the folder",
            code="dataset-no-images",
            where=str(folder),
            why=f"{len(skipped)} files were left out, most often because: {reasons[0][0]}"
            if reasons
            else "it is empty",
            hint="expected: one folder for each class with its images inside, such as beetle/1.jpg",
        )
    if len(classes) == 1:
        raise DatasetError(
            f"there is only one class, {classes[0]!r}; telling classes apart needs two",
            code="dataset-one-class",
            where=str(folder),
            hint="give the folder that holds all class folders, not one of them",
        )


def _write_settings(file: Path, folder: Path, root: Path, overrides: Sequence[str]) -> None:
    path = os.path.relpath(folder, root) if folder.is_relative_to(root) else str(folder)
    chosen = settings_module.load(None, [*overrides], environ={})
    write_text(file, render_settings({"dataset.path": path}, chosen))


def render_settings(values: Mapping[str, Any], chosen: settings_module.Settings) -> str:
    """fgvr.toml as text: every section and key, with the words that stand under the field."""
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment("The settings of this workspace. `fgvr-kit settings` tells where each value in")
    )
    document.add(
        tomlkit.comment("force comes from; --set section.key=value changes one for a single command.")
    )
    for name, section in settings_module.sections(chosen):
        table = tomlkit.table()
        for key, field in type(section).model_fields.items():
            table.add(tomlkit.nl())
            for line in (field.description or "").splitlines():
                table.add(tomlkit.comment(line.strip()))
            table.add(key, values.get(f"{name}.{key}", getattr(section, key)))
        document.add(name, table)
    return tomlkit.dumps(document)


def _copy_prompts(root: Path) -> int:
    """Copy the shipped prompts that the workspace does not have yet; return how many."""
    copied = 0
    source = shipped.folder("prompts")
    for file in sorted(source.glob("*/*.md")):
        target = root / "prompts" / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            copied += 1
    return copied


def _write_classes(path: Path, images: Sequence[ScannedImage]) -> None:
    """Write classes.csv, or add the rows that are missing; rows that stand are never touched."""
    names = sorted({image.class_name for image in images})
    if not path.is_file():
        write_csv(path, CLASS_COLUMNS, ([name, display_name(name), "", ""] for name in names))
        return
    columns, rows = read_csv(path, CLASS_COLUMNS[:2])
    have = {row["class"] for row in rows}
    if new := [name for name in names if name not in have]:
        added = [{"class": name, "display_name": display_name(name)} for name in new]
        write_csv(path, columns, ([row.get(c) or "" for c in columns] for row in [*rows, *added]))


def display_name(class_name: str) -> str:
    """How a label is first written in prompts: "10_cent" -> "10 cent". Edited in classes.csv."""
    return " ".join(class_name.replace("_", " ").split())


def _summary(
    images: Sequence[ScannedImage],
    skipped: Sequence[Skipped],
    layout: Layout,
    notices: Sequence[Notice],
    n_removed: int,
    is_new: bool,
    n_prompts: int,
) -> Summary:
    counts = Counter(image.split for image in images)
    done: dict[str, Any] = {
        "workspace": "made" if is_new else "brought up to date",
        "layout": "<class>/*" if layout == "classes" else "train|val|test/<class>/*",
        "classes": len({image.class_name for image in images}),
        "images": len(images),
    }
    done |= {split: counts[split] for split in SPLITS if counts[split]}
    done["split"] = (
        "from the folder"
        if layout == "splits" and not any(n.code == "split-no-test" for n in notices)
        else "stratified, seeded, stored"
    )
    if n_removed:
        done["removed (gone, changed or moved)"] = n_removed
    if n_prompts:
        done["prompt files written"] = n_prompts
    return Summary("init", done, _dropped(skipped), notices=(*notices, *_class_notices(images)))


def _dropped(skipped: Sequence[Skipped]) -> tuple[tuple[str, int, str], ...]:
    """Every file with its reason; where they are too many to read, every reason with its first file."""
    if len(skipped) <= MOST_FILES_NAMED:
        return tuple((file.path, 1, file.reason) for file in skipped)
    first: dict[str, str] = {}
    for file in skipped:
        first.setdefault(file.reason, file.path)
    counts = Counter(file.reason for file in skipped)
    return tuple((f"{first[reason]}, ...", n, reason) for reason, n in counts.most_common())


def _class_notices(images: Sequence[ScannedImage]) -> list[Notice]:
    notices: list[Notice] = []
    per_class: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        per_class[image.class_name][image.split or ""] += 1
    if singles := sorted(name for name, counts in per_class.items() if counts.total() == 1):
        notices.append(
            Notice(
                f"{_some(singles)} has only one image: it is trained on and cannot be tested",
                code="class-one-image",
                why="a test image must not be a training image",
                hint="add images, or remove the class, and run init again",
            )
        )
    for split, verb in (("train", "trained on"), ("test", "tested")):
        lacking = sorted(n for n, c in per_class.items() if not c[split] and c.total() > 1)
        if lacking:
            notices.append(
                Notice(
                    f"{_some(lacking)} has no {split} image and is never {verb}",
                    code=f"class-no-{split}",
                    hint="add images to that split, or remove the class, and run init again",
                )
            )
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in sorted(per_class):
        spellings[_folded(name)].append(name)
    for names in spellings.values():
        if len(names) > 1:
            notices.append(
                Notice(
                    f"{' and '.join(map(repr, names))} look like one class under {len(names)} spellings",
                    code="class-spellings",
                    why="a model cannot tell two names of one thing apart",
                    hint="put their images into one folder and run init again, or edit display_name in classes.csv",
                )
            )
    labels: dict[str, set[str]] = defaultdict(set)
    for image in images:
        labels[image.sha256].add(image.class_name)
    if torn := sorted(sha for sha, names in labels.items() if len(names) > 1):
        notices.append(
            Notice(
                f"{len(torn)} pictures lie under two classes with the very same pixels",
                code="image-two-classes",
                where="; ".join(
                    " = ".join(sorted(i.path for i in images if i.sha256 == sha)) for sha in torn[:5]
                ),
                why="one of the two labels must be wrong",
                hint="remove the wrong one and run init again",
            )
        )
    return notices


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return (
        f"class {shown}"
        if len(names) == 1
        else (f"each of the classes {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    )


def _folded(name: str) -> str:
    return " ".join(
        unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("-", " ").split()
    )
