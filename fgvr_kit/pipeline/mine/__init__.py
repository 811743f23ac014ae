"""mine: look-alike images of wrong classes for training, and options for the multiple-choice questions.

Finedefics (section 3.2) takes three images of the three most similar wrong classes and leaves open how they
are found. Here: classes by the cosine of the image with "an image of a {class}" (as FOCI ranks its options),
and inside each class the image nearest to the anchor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.embedding import Clip, clip_key
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Image, Negative, Notice, Option, Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASS_PROMPT = "mine/class"


def mine(workspace: Workspace, progress: Progress = SILENT) -> Summary:
    """Fill tables `negatives` (training images) and `options` (test images)."""
    settings, store = workspace.settings.mine, workspace.store
    if not store.images():
        raise workspace.no_images()
    clip = Clip(settings.model, device=workspace.settings.train.device)
    classes = workspace.classes()
    train, test = store.images("train"), store.images("test")
    made_from = fingerprint_of(workspace)  # before the work: what is edited meanwhile makes the step stale
    _refuse_unusable(workspace, train, test, len(classes))
    names = list(classes)
    texts = [workspace.prompts.render(CLASS_PROMPT, name=classes[n].display_name).text for n in names]
    text_vectors = clip.texts(store, texts)  # (C, D)
    both = [workspace.ref_of(image) for image in (*train, *test)]
    image_vectors = clip.images(store, both, batch_size=settings.batch_size, progress=progress)  # (N, D)
    train_vectors, test_vectors = image_vectors[: len(train)], image_vectors[len(train) :]

    negatives = find_negatives(train, train_vectors, names, text_vectors, n=settings.n_negatives)
    options = find_options(test, test_vectors, names, text_vectors, n=settings.n_options)
    store.put_mined(negatives, options)
    summary = _summary(
        settings.model,
        clip.note,
        train,
        test,
        negatives,
        options,
        settings.n_negatives,
        min(settings.n_options, len(names)),
    )
    store.finish("mine", made_from, summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    settings = workspace.settings.mine
    names = [[c.name, c.display_name] for c in workspace.classes().values()]
    images = workspace.store.digest_images(["id", "class", "split", "sha256"])
    prompts = workspace.prompts.hashes([CLASS_PROMPT])
    return fingerprint(
        clip_key(settings.model), settings.n_negatives, settings.n_options, names, images, prompts
    )


def find_negatives(
    images: Sequence[Image],
    vectors: NDArray[np.float32],
    names: Sequence[str],
    text_vectors: NDArray[np.float32],
    *,
    n: int,
) -> list[Negative]:
    """For each image the nearest image of each of its n most similar wrong classes.

    vectors: (N, D), text_vectors: (C, D), unit rows; names: the C class names. A class without images here
    is never a negative, and neither is an image of the anchor's own pixels. Memory grows with the images of
    a class times the anchors that chose it, not with N squared.
    """
    members: dict[str, NDArray[np.intp]] = {
        name: np.array([i for i, image in enumerate(images) if image.class_name == name], dtype=np.intp)
        for name in names
    }
    class_similarity = vectors @ text_vectors.T  # (N, C)
    ranking = class_similarity.copy()
    column = {name: c for c, name in enumerate(names)}
    ranking[np.arange(len(images)), [column[image.class_name] for image in images]] = -np.inf
    ranking[:, [c for c, name in enumerate(names) if not len(members[name])]] = -np.inf
    chosen = _top(ranking, min(n, len(names) - 1))  # (N, n)

    found: list[Negative] = []
    for c, name in enumerate(names):
        anchors, ranks = np.nonzero((chosen == c) & np.isfinite(np.take_along_axis(ranking, chosen, 1)))
        if not len(anchors):
            continue
        nearness = vectors[anchors] @ vectors[members[name]].T  # (anchors, members)
        for row, (anchor, rank) in enumerate(zip(anchors.tolist(), ranks.tolist(), strict=True)):
            same = [
                j for j, m in enumerate(members[name].tolist()) if images[m].sha256 == images[anchor].sha256
            ]
            nearness[row, same] = -np.inf
            best = int(np.argmax(nearness[row]))
            if np.isfinite(nearness[row, best]):
                found.append(
                    Negative(
                        images[anchor].id,
                        rank,
                        images[int(members[name][best])].id,
                        name,
                        round(float(class_similarity[anchor, c]), 6),
                        round(float(nearness[row, best]), 6),
                    )
                )
    return sorted(found, key=lambda negative: (negative.image_id, negative.rank))


def find_options(
    images: Sequence[Image],
    vectors: NDArray[np.float32],
    names: Sequence[str],
    text_vectors: NDArray[np.float32],
    *,
    n: int,
) -> list[Option]:
    """For each image its class and the n - 1 most similar wrong classes, as FOCI chooses them."""
    similarity = vectors @ text_vectors.T  # (N, C)
    column = {name: c for c, name in enumerate(names)}
    found: list[Option] = []
    for row, image in enumerate(images):
        truth = column[image.class_name]
        wrong = similarity[row].copy()
        wrong[truth] = -np.inf
        order = [truth, *_top(wrong[None], min(n, len(names)) - 1)[0].tolist()]
        found += [
            Option(image.id, rank, names[c], round(float(similarity[row, c]), 6), rank)
            for rank, c in enumerate(order)
        ]
    return found


def _top(values: NDArray[np.float32], n: int) -> NDArray[np.intp]:
    """(N, n) columns of the largest values of each row, largest first; ties by column."""
    return np.argsort(-values, axis=1, kind="stable")[:, :n]


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


def _summary(
    model: str,
    note: str | None,
    train: Sequence[Image],
    test: Sequence[Image],
    negatives: Sequence[Negative],
    options: Sequence[Option],
    n_negatives: int,
    n_options: int,
) -> Summary:
    done: dict[str, Any] = {
        "model": model,
        "training images": len(train),
        "negatives": len(negatives),
        "test images": len(test),
        f"questions of {n_options} options": len({o.image_id for o in options}),
    }
    if negatives:
        done["cosine with the negative image, mean"] = round(
            float(np.mean([n.image_similarity for n in negatives])), 3
        )
        done["most mistaken for each other"] = _look_alikes(train, negatives)
    per_image = Counter(n.image_id for n in negatives)
    short = sum(per_image[image.id] < n_negatives for image in train)
    notices = (
        [
            Notice(
                f"{short} training images have fewer than {n_negatives} negatives",
                code="few-negatives",
                why="there are fewer other classes with training images",
                hint=f"[mine] n_negatives = {n_negatives} asks for more than there are",
            )
        ]
        if short
        else []
    )
    return Summary("mine", done, notes=(f"{model}: {note}",) if note else (), notices=tuple(notices))


def _look_alikes(train: Sequence[Image], negatives: Sequence[Negative]) -> str:
    """The three pairs of classes that are most often each other's nearest wrong class."""
    class_of = {image.id: image.class_name for image in train}
    pairs: Counter[tuple[str, str]] = Counter()
    for negative in negatives:
        if negative.rank == 0:
            a, b = sorted((class_of[negative.image_id], negative.class_name))
            pairs[a, b] += 1
    return "; ".join(f"{a} / {b} ({n})" for (a, b), n in pairs.most_common(3))
