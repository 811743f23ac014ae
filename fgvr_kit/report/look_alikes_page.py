"""reports/look-alikes.html: what `mine` found, as one file to look at, offline: pictures beside their look-alikes, the
questions as they are asked, and what the guards kept out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fgvr_kit
from fgvr_kit.edited import write_text
from fgvr_kit.pipeline.mine.mined import Drop, LookAlikes, Mined
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.report.render import template
from fgvr_kit.report.thumbnails import Thumbnail, thumbnails
from fgvr_kit.types import Image, ImageRef, Negative, Option
from fgvr_kit.workspace import Workspace

MOST_PAIRS = 12
"""Pairs of classes that are shown with pictures."""
PER_PAIR = 3
"""Anchors of each side of a pair."""
MOST_ANCHORS = 60
"""Anchors that are shown with all their negatives: one of each class, as far as that goes."""
MOST_QUESTIONS = 24


@dataclass(frozen=True, slots=True)
class LookAlikesPage:
    """What stands on the page.

    folder: where the paths of images start from; no part of it is written.  images: id -> image of all sides.
    settings: what was asked for, label -> value.  display_names: class -> how prompts write it.
    """

    title: str
    folder: Path
    mined: Mined
    images: Mapping[int, Image]
    settings: Mapping[str, str] = field(default_factory=dict)
    display_names: Mapping[str, str] = field(default_factory=dict)
    generated: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: str = fgvr_kit.__version__

    @classmethod
    def of(cls, workspace: Workspace, mined: Mined) -> LookAlikesPage:
        """The page of a `mine` that has just run."""
        mine = workspace.settings.mine
        settings = {
            "CLIP model": mine.model,
            "negatives": f"{mine.n_negatives} an image, {mine.kind}",
            "classes compared by": mine.by,
            "image of a class": mine.pick,
            "options": f"as in {Path(mine.options_file).name}"
            if mine.options_file
            else f"{mine.n_options} a question, {mine.options}",
            "seed": str(mine.seed),
        }
        return cls(
            workspace.settings.domain.superclass or workspace.place.stem,
            workspace.dataset,
            mined,
            {image.id: image for image in workspace.store.images()},
            settings,
            {row.name: row.display_name for row in workspace.class_rows()},
        )


def write_look_alikes_page(path: Path, page: LookAlikesPage, progress: Progress = SILENT) -> int:
    """Write the page, and its folder where there is none; return its size in bytes."""
    html = render_look_alikes_page(page, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)
    return len(html.encode())


def render_look_alikes_page(page: LookAlikesPage, progress: Progress = SILENT) -> str:
    """The page as text. What was mined alike gives the same page, but for the time."""
    of_anchor: dict[int, list[Negative]] = defaultdict(list)
    for negative in page.mined.negatives:
        of_anchor[negative.image_id].append(negative)
    pairs = [_pair(page, pair, of_anchor) for pair in page.mined.look_alikes[:MOST_PAIRS]]
    anchors = _spread_over_classes(page, list(of_anchor), MOST_ANCHORS)
    questions = _questions(page)
    drops = [_drop(page, drop) for drop in page.mined.drops]
    strays = [page.images[stray.image_id] for stray in page.mined.strays]
    wanted = [image for pair in pairs for row in pair.rows for image in (row.anchor, *row.others)]
    wanted += [
        page.images[i] for anchor in anchors for i in (anchor, *(n.negative_id for n in of_anchor[anchor]))
    ]
    wanted += [question.image for question in questions] + strays
    wanted += [image for drop in drops for row in drop.rows for image in (row.anchor, *row.others)]
    return str(
        template("look_alikes.html", page.folder).render(
            page=page,
            mined=page.mined,
            pairs=pairs,
            anchors=[
                (page.images[i], [(n, page.images[n.negative_id]) for n in of_anchor[i]]) for i in anchors
            ],
            n_anchors=len(of_anchor),
            questions=questions,
            n_questions=len({option.image_id for option in page.mined.options}),
            drops=drops,
            strays=list(zip(page.mined.strays, strays, strict=True)),
            pictures=_pictures(page, wanted, progress),
            named=lambda name: page.display_names.get(name, name),
        )
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """An image, and those that stand beside it.  similarity: of the first of them."""

    anchor: Image
    others: tuple[Image, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class _Pair:
    classes: LookAlikes
    rows: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Drop:
    """classes: (of the anchor, kept out) where a whole class was kept out; such an example has no second picture."""

    drop: Drop
    rows: tuple[_Row, ...]
    classes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """options: as shown, A first."""

    image: Image
    options: tuple[Option, ...]


def _pair(page: LookAlikesPage, pair: LookAlikes, of_anchor: Mapping[int, Sequence[Negative]]) -> _Pair:
    """Two classes with images of each whose most similar wrong class is the other one, the most alike first."""
    rows: list[_Row] = []
    for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
        first = [
            negatives[0]
            for anchor, negatives in of_anchor.items()
            if page.images[anchor].class_name == one and negatives[0].class_name == other
        ]
        first.sort(key=lambda n: (-n.image_similarity, n.image_id))
        rows += [
            _Row(page.images[n.image_id], (page.images[n.negative_id],), n.image_similarity)
            for n in first[:PER_PAIR]
        ]
    return _Pair(pair, tuple(rows))


def _drop(page: LookAlikesPage, drop: Drop) -> _Drop:
    rows = tuple(
        _Row(page.images[e.image_id], (page.images[e.negative_id],), e.similarity)
        for e in drop.examples
        if e.negative_id is not None
    )
    classes = dict.fromkeys(
        (page.images[e.image_id].class_name, e.class_name) for e in drop.examples if e.negative_id is None
    )
    return _Drop(drop, rows, tuple(classes))


def _spread_over_classes(page: LookAlikesPage, ids: Sequence[int], most: int) -> list[int]:
    """Some images: the first of each class in an order that says nothing, then the second ones, ...; by class."""
    of_class: dict[str, list[int]] = defaultdict(list)
    for image_id in sorted(ids, key=lambda i: _hash(page.images[i].path)):
        of_class[page.images[image_id].class_name].append(image_id)
    depth = max((len(members) for members in of_class.values()), default=0)
    chosen = [members[n] for n in range(depth) for members in of_class.values() if n < len(members)][:most]
    return sorted(chosen, key=lambda i: (page.images[i].class_name, page.images[i].path))


def _questions(page: LookAlikesPage) -> list[_Question]:
    of_image: dict[int, list[Option]] = defaultdict(list)
    for option in page.mined.options:
        of_image[option.image_id].append(option)
    chosen = _spread_over_classes(page, list(of_image), MOST_QUESTIONS)
    return [
        _Question(page.images[i], tuple(sorted(of_image[i], key=lambda option: option.position)))
        for i in chosen
    ]


def _pictures(page: LookAlikesPage, images: Sequence[Image], progress: Progress) -> dict[int, Thumbnail]:
    """image id -> thumbnail, each picture once."""
    unique = {image.id: image for image in images}
    refs = {
        str(i): ImageRef(page.folder / image.file, image.sha256, image.box) for i, image in unique.items()
    }
    made = thumbnails(refs, progress)
    return {i: made[str(i)] for i in unique}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
