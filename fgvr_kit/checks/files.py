"""files: what was left out and why, what is damaged or shows next to nothing, what other tools stumble over."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from fgvr_kit.checks.base import Subject, Verdict
from fgvr_kit.dataset.decoding import damage_of
from fgvr_kit.dataset.images import open_image
from fgvr_kit.dataset.looks import looks
from fgvr_kit.dataset.oddities import Oddity, oddities
from fgvr_kit.types import Finding, ScannedImage, Severity, Skipped

ABOUT = "files that cannot be used, are damaged, suspicious or odd"
KINDS = {
    "corrupt": "an image file, or a folder, that cannot be read or used; it is left out",
    "stray": "a file that is no image of the dataset; it is left out",
    "damaged": "a picture that opens, but part of its data is lost; about half of such damage can be seen so",
    "suspicious": "a picture in which little can be recognised: tiny, a strip, one colour, black, white",
    "odd-file": "an image that is used, but that other tools read otherwise or not at all",
}

_CHUNK = 256  # files whose damage is written down at once
_FEW = 12  # so many notes of one sort are told one by one even where most images have it
_WORDED = re.compile(
    r"the file is |a Git LFS pointer|a web page saved|not an image$|more pixels than|no permission|"
    r"the image is cut off|cannot be |only \d+x\d+ pixels|\d+x\d+ pixels are too many|the box |its box |"
    r"a HEIC picture|a folder that cannot|a name that is not"
)
"""How the reasons begin, in workspaces from before there were codes, of what should have been an image."""


def run(subject: Subject) -> Verdict:
    unusable = [one for one in subject.skipped if is_unusable(one)]
    strays = [one for one in subject.skipped if not is_unusable(one)]
    images = subject.images
    gone = _changed(subject)
    damage = _damage(subject, {image.path for image in gone})

    def opened(image: ScannedImage) -> Image.Image:
        return open_image(subject.workspace.dataset / image.file, image.box)

    suspicious = list(looks(images, opened))
    odd = list(oddities(images))
    findings = [
        *(_corrupt(one) for one in unusable),
        *(_gone(image) for image in gone),
        *_strays(strays, len(images)),
        *(_damaged(image, damage[image.path]) for image in images if image.path in damage),
        *_told("suspicious", "warning", suspicious, len(images)),
        *_told("odd-file", "note", odd, len({image.file for image in images})),
    ]
    n_readable = len(images) - len(gone) + len(subject.set_aside)
    counts = Counter(finding.kind for finding in findings)
    n_lost = len(unusable) + len(gone)
    none = "not an image" if len(strays) == 1 else "not images"
    told = f"{n_readable:,} readable, {n_lost:,} cannot be used, {len(strays):,} {none}"
    more = [f"{counts[kind]:,} {kind}" for kind in ("damaged", "suspicious") if counts[kind]]
    return Verdict(
        "; ".join([told, *([", ".join(more)] if more else [])]),
        findings,
        _figures(subject, unusable, strays, len(damage), suspicious, odd),
    )


def is_unusable(one: Skipped) -> bool:
    """Whether a file was left out although it should have been an image; otherwise it is none of the dataset."""
    return one.code != "not-an-image" if one.code else _WORDED.match(one.reason) is not None


def _corrupt(one: Skipped) -> Finding:
    return Finding(
        "corrupt", "warning", f"{one.path} cannot be used: {one.reason}", one.path,
        hint="get it again from where it came, or remove it; then fgvr-kit init",
    )  # fmt: skip


def _strays(strays: Sequence[Skipped], n_images: int) -> Iterator[Finding]:
    """A note for each file; of a sort that is as common as images (annotations) one for all."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in strays:
        by_reason[one.reason].append(one.path)
    for reason, paths in by_reason.items():
        outside = reason.startswith("outside")
        hint = "move it into the folder of its class if it belongs to the dataset" if outside else None
        if len(paths) > max(_FEW, n_images / 2):
            yield Finding(
                "stray", "note", f"{len(paths):,} files are left out, such as {paths[0]}: {reason}", hint=hint
            )
            continue
        for path in paths:
            yield Finding("stray", "note", f"{path} is left out: {reason}", path, hint=hint)


def _changed(subject: Subject) -> list[ScannedImage]:
    """Images whose file is gone, or is not the one that `init` read, by its size and time."""
    folder = subject.workspace.dataset
    found = []
    for image in subject.images:
        try:
            status = (folder / image.file).stat()
        except OSError:
            found.append(image)
            continue
        if (status.st_size, status.st_mtime_ns) != (image.n_bytes, image.mtime_ns):
            found.append(image)
    return found


def _gone(image: ScannedImage) -> Finding:
    return Finding(
        "corrupt", "warning", f"{image.path} is gone, or is another file since fgvr-kit init read it", image.path,
        hint="bring it back, or run fgvr-kit init, which sees the change",
    )  # fmt: skip


def _damage(subject: Subject, left_out: Collection[str]) -> dict[str, str]:
    """path -> what a strict decoder found, of the images where it found something. A file is decoded once.

    left_out: paths of images whose file is not the one that is known.
    """
    known = subject.workspace.store.damage()
    waiting: dict[str, list[str]] = defaultdict(list)
    for image in subject.images:
        is_jpeg = not image.file_facts or image.file_facts.format in ("JPEG", "MPO")
        if is_jpeg and image.path not in known and image.path not in left_out:
            waiting[image.file].append(image.path)
    if waiting:
        known |= _decoded(subject, waiting)
    return {image.path: told for image in subject.images if (told := known.get(image.path))}


def _decoded(subject: Subject, waiting: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """path -> damage of the images of each file; written down chunk by chunk, so that a killed check goes on."""
    store, folder = subject.workspace.store, subject.workspace.dataset
    files = list(waiting)
    found: dict[str, str] = {}
    with (
        subject.progress.task("looking for damage", len(files)) as task,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,  # libjpeg works outside the interpreter lock
    ):
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            told = pool.map(damage_of, [folder / file for file in chunk])
            fresh = {path: one for file, one in zip(chunk, told, strict=True) for path in waiting[file]}
            store.put_damage(fresh.items())
            found |= fresh
            task.advance(len(chunk))
    return found


def _damaged(image: ScannedImage, told: str) -> Finding:
    left_over = re.search(r"(\d+) extraneous bytes", told)
    lost = (
        f"{left_over[1]} bytes are left over behind its last pixel"
        if left_over
        else "its data end before its last pixel"
        if "premature end" in told.lower()
        else told
    )
    return Finding(
        "damaged", "warning", f"{image.path} is damaged: {lost}", image.path,
        why="the file opens, but part of the picture was guessed: look for stripes, shifts and wrong colours"
        f" (libjpeg: {told})",
        hint="get it again from where it came; fgvr-kit check --quarantine sets it aside until then",
    )  # fmt: skip


def _told(kind: str, severity: Severity, odd: Iterable[Oddity], n_images: int) -> Iterator[Finding]:
    """A finding for each image and oddity; what most of a dataset is like is one note, and no reproach."""
    by_word: dict[str, list[Oddity]] = defaultdict(list)
    for one in odd:
        by_word[one.word].append(one)
    hint = "fgvr-kit check --quarantine sets it aside" if severity == "warning" else None
    for word, of_word in by_word.items():
        first = of_word[0]
        if len(of_word) > max(_FEW, n_images / 2):
            message = (
                f"{word}: {len(of_word):,} of {n_images:,}, such as {first.image.path}, which {first.told}"
            )
            yield Finding(kind, "note", message, why=first.why)
            continue
        for one in of_word:
            message = f"{word}: {one.image.path} {one.told}"
            yield Finding(kind, severity, message, one.image.path, one.other, one.value, one.why, hint)


def _figures(
    subject: Subject,
    unusable: Sequence[Skipped],
    strays: Sequence[Skipped],
    n_damaged: int,
    suspicious: Sequence[Oddity],
    odd: Sequence[Oddity],
) -> Mapping[str, object]:
    facts = [image.file_facts for image in subject.images if image.file_facts]
    return {
        "readable": len(subject.images) + len(subject.set_aside),
        "set aside": len(subject.set_aside),
        "cannot be used": _counted(one.reason for one in unusable),
        "no images": _counted(one.reason for one in strays),
        "formats": _counted(one.format for one in facts),
        "modes": _counted(one.mode for one in facts),
        "damaged": n_damaged,
        "suspicious": _counted(one.word for one in suspicious),
        "odd": _counted(one.word for one in odd),
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())
