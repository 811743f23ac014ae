"""mine: look-alike images of wrong classes for training, and options for the multiple-choice questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fgvr_kit import toy
from fgvr_kit.embedding import Clip, Rows, clip_key
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import digest_files, fingerprint
from fgvr_kit.pipeline.mine import foci
from fgvr_kit.pipeline.mine.guards import Suspects, same_or_related
from fgvr_kit.pipeline.mine.mined import GUARDS, Drop, LookAlikes, Mined, Refused, Spread, Stray
from fgvr_kit.pipeline.mine.negatives import Negatives, find_negatives
from fgvr_kit.pipeline.mine.options import find_options, placed
from fgvr_kit.pipeline.mine.texts import ClassTexts, nameless, texts_of
from fgvr_kit.pipeline.mine.told import Told
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import MineSettings
from fgvr_kit.types import Image, ImageClass, Option
from fgvr_kit.workspace import Workspace

__all__ = [
    "CLASS_PROMPT",
    "GUARDS",
    "Drop",
    "LookAlikes",
    "Mined",
    "Refused",
    "Spread",
    "Stray",
    "fingerprint_of",
    "mine",
    "prompts_used",
    "write_foci",
]

CLASS_PROMPT = "mine/class"


def mine(workspace: Workspace, progress: Progress = SILENT) -> Mined:
    """Fill tables `negatives` (training images) and `options` (test images).

    Raises DatasetError where there is nothing to mine, or where the guards leave no negative at all; tables stay as
    they were then.
    """
    settings, store = workspace.settings.mine, workspace.store
    if not store.images():
        raise workspace.no_images()
    clip = Clip(
        settings.model, device=workspace.settings.train.device, precision=settings.precision, workers=settings.workers
    )  # fmt: skip
    classes = workspace.classes()
    train, test = store.images("train"), store.images("test")
    made_from = fingerprint_of(workspace)  # before the work: what is edited meanwhile makes the step stale
    _refuse_unusable(workspace, train, test, len(classes))
    lines = texts_of(workspace, classes)
    read, dropped = _read_options(workspace, classes)
    texts = ClassTexts(list(lines), clip.classes(store, list(lines.values())), same_or_related(classes))
    of_train, of_test = (_embedded(workspace, clip, images, progress) for images in (train, test))

    suspects = Suspects.of(store, store.images())
    found = find_negatives(
        train, of_train, texts, settings, duplicates=store.duplicates(), suspects=suspects, progress=progress
    )
    if not found.negatives:
        raise _nothing_left(workspace, found)
    options = _options(test, of_test, texts, settings, read)
    store.put_mined(found.negatives, options)
    summary = Told(
        settings, clip.note, train, test, len(classes), found, options, suspects.was_checked,
        settings.model in toy.NAMES, settings.options_file, dropped, nameless(lines, classes, settings.prompt),
    ).summary()  # fmt: skip
    store.finish("mine", made_from, summary)
    return Mined(
        found.negatives, options, found.drops, found.look_alikes, found.strays, found.n_strays,
        found.own_class, found.wrong_class, found.wrong_image, suspects.was_checked, summary,
    )  # fmt: skip


def fingerprint_of(workspace: Workspace) -> str:
    settings, store = workspace.settings.mine, workspace.store
    file = _options_file(workspace)
    return fingerprint(
        clip_key(settings.model, settings.precision),
        settings.model_dump(exclude={"model", "batch_size", "workers"}),
        [
            [c.name, c.display_name, c.synonyms, c.scientific, c.common, c.parent]
            for c in workspace.classes().values()
        ],
        store.digest_images(["id", "path", "class", "split", "sha256"]),
        store.duplicates(),
        [[finding.path, finding.other] for finding in store.findings("wrong-label")],
        workspace.prompts.hashes(prompts_used(workspace)),
        digest_files(file) if file and file.is_file() else "",
    )


def prompts_used(workspace: Workspace) -> tuple[str, ...]:
    """The prompts that tell CLIP of the classes."""
    return (workspace.settings.mine.prompt,)


def write_foci(workspace: Workspace, path: Path) -> int:
    """Write the options of the test images as an option file of FOCI; how many questions. Raises DatasetError
    "no-options" where nothing is mined yet."""
    options = workspace.store.options()
    if not options:
        raise DatasetError(
            "the test images have no options yet", code="no-options", where=str(workspace.root), hint="fgvr-kit mine"
        )  # fmt: skip
    return foci.write(path, workspace.store.images("test"), workspace.classes(), options)


def _embedded(workspace: Workspace, clip: Clip, images: Sequence[Image], progress: Progress) -> Rows:
    refs = [workspace.ref_of(image) for image in images]
    return clip.rows(workspace.store, refs, batch_size=workspace.settings.mine.batch_size, progress=progress)


# --- options --------------------------------------------------------------------------------------------------


def _options(
    images: Sequence[Image],
    vectors: Rows,
    texts: ClassTexts,
    settings: MineSettings,
    read: Mapping[int, Sequence[str]],
) -> list[Option]:
    """Those that were read from a file, or else those that are found here."""
    if read:
        return _as_read(images, vectors, texts, read, settings.seed)
    return find_options(
        images, vectors, texts, n=settings.n_options, kind=settings.options, seed=settings.seed
    )


def _options_file(workspace: Workspace) -> Path | None:
    name = workspace.settings.mine.options_file
    return workspace.root / name if name else None


def _read_options(
    workspace: Workspace, classes: Mapping[str, ImageClass]
) -> tuple[dict[int, list[str]], tuple[tuple[str, int, str], ...]]:
    file = _options_file(workspace)
    return foci.read(file, workspace.store.images(), classes) if file else ({}, ())


def _as_read(
    images: Sequence[Image], vectors: Rows, texts: ClassTexts, read: Mapping[int, Sequence[str]], seed: int
) -> list[Option]:
    """Options as a file has them, with the cosines and places of here."""
    column = texts.columns
    rows = [row for row, image in enumerate(images) if image.id in read]
    chosen = []
    for row in rows:
        names = read[images[row].id]
        cosines = vectors[np.array([row])] @ texts.vectors[[column[name] for name in names]].T  # (1, K)
        chosen.append(list(zip(names, cosines[0].tolist(), strict=True)))
    return placed([images[row] for row in rows], chosen, seed=seed)


# --- nothing to mine ------------------------------------------------------------------------------------------


def _refuse_unusable(
    workspace: Workspace, train: Sequence[Image], test: Sequence[Image], n_classes: int
) -> None:
    for split, images in (("training", train), ("test", test)):
        if not images:
            raise DatasetError(
                f"there is no {split} image",
                code=f"no-{split}-images",
                where=str(workspace.dataset),
                hint="add images and run fgvr-kit init again",
            )
    if n_classes < 2:
        raise DatasetError(
            "there is only one class",
            code="dataset-one-class",
            where=str(workspace.dataset),
            hint="add classes and run fgvr-kit init again",
        )


def _nothing_left(workspace: Workspace, found: Negatives) -> DatasetError:
    """The error where no training image has a look-alike of another class."""
    guarded = "; ".join(f"{drop.n:,} times: {drop.why}" for drop in found.drops)
    by_clip = any(drop.guard == "near copy" for drop in found.drops)
    return DatasetError(
        "no training image has a negative",
        code="no-negatives-left",
        where=str(workspace.dataset),
        why=f"the guards leave no candidate ({guarded})" if guarded else "only one class has training images",
        hint="fgvr-kit check shows copies and conflicts"
        + ("; a higher [mine] near_copy lets more through" if by_clip else "")
        if guarded else "add training images of other classes and run fgvr-kit init again",
    )  # fmt: skip
