"""Labels that are likely wrong, and training images that show what a test image shows: both seen by a CLIP.

Wrong labels by confident learning (Northcutt, Jiang and Chuang, JAIR 2021): a probe that has not seen an image
names another class with at least the confidence with which it usually names that class, and its own class with
less than usual.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit import toy
from fgvr_kit.checks.base import Subject, Verdict, counted
from fgvr_kit.checks.shortcuts.guess import folds, group_of
from fgvr_kit.checks.shortcuts.names import percent
from fgvr_kit.embedding import Clip
from fgvr_kit.errors import FgvrError, ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Finding, ImageRef, ScannedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.intp]

ABOUT = "labels that are likely wrong, and training images that show what a test image shows"
KINDS = {
    "wrong-label": "the image looks like one of another class",
    "look-alike": "to CLIP, a test image is a training image once more",
}

MOST_TOLD = 50
"""Findings of each kind: what a person looks through in a sitting."""

SAME_PICTURE = 0.95
"""Least cosine of a test image and the training image that it repeats, after the mean of all vectors is taken
away. As they come, the vectors of one domain share most of their length, in each model another part of it, and
the usual bound of 0.95 means nothing; without it unrelated pictures lie near 0 and only repetitions near 1."""

MOST_CELLS = 40_000_000
"""Images times classes that a probe is fitted for: 160 MB of confidences, some minutes on one core."""

MIN_AGREEMENT = 0.5
"""Share of the labels that a probe must agree with: the doubts of one that is mostly wrong say nothing."""

_BLOCK = 8_000_000  # cosines at once: 32 MB
_INVERSE_PENALTY = 10.0  # of the probe. On euro-coins 1 to 100 find the same planted errors, 1000 fewer


def run(subject: Subject) -> Verdict:
    settings = subject.workspace.settings
    spec = subject.settings.model or settings.mine.model
    if not spec:
        return Verdict("not looked for: no CLIP model named (--model ...)")
    if spec in toy.NAMES and not subject.settings.model:  # the demo's: it would doubt labels at random
        return Verdict(f"not looked for: {spec} is an untrained toy model (--model names another)")
    try:
        mine = settings.mine
        clip = Clip(spec, device=settings.train.device, precision=mine.precision, workers=mine.workers)
        images, vectors, lost = _embedded(subject, clip)
    except FgvrError as error:
        why = f" ({error.why})" if error.why else ""
        return Verdict(f"not looked for: {error.message}{why}; {error.hint}")
    wrong, told_wrong, figures = _wrong_labels(images, vectors, subject.progress)
    alike, told_alike, n_alike = _look_alikes(images, vectors, subject.alike)
    notes = tuple(note for note in (clip.note, *lost) if note)
    figures = {"model": spec, "images": len(images), **figures, "look_alikes": n_alike}
    return Verdict("; ".join([told_wrong, told_alike, *notes]), [*wrong, *alike], figures, notes)


# --- vectors --------------------------------------------------------------------------------------------------


def _embedded(subject: Subject, clip: Clip) -> tuple[list[ScannedImage], Floats, list[str]]:
    """(the images that can still be opened, their vectors, a note about the others).

    Vectors: (N, D) unit rows, the mean of all taken away. Raises FgvrError when the model cannot be used.
    """
    folder = subject.workspace.dataset
    refs = {i.path: ImageRef(folder / i.file, i.sha256, i.box) for i in subject.images}
    lost: list[ImageError] = []
    while True:
        try:
            vectors = clip.images(
                subject.workspace.store, list(refs.values()),
                batch_size=subject.workspace.settings.mine.batch_size, progress=subject.progress,
            )  # fmt: skip
        except ImageError as error:
            lost.append(error)
            refs = {path: ref for path, ref in refs.items() if str(ref.path) != error.where}
            if not refs:
                raise
        else:
            break
    files = counted(len(lost), "file that cannot", "files that cannot")
    notes = [f"without {files} be opened any more ({lost[0].reason})"] if lost else []
    return [image for image in subject.images if image.path in refs], _centred(vectors), notes


def _centred(vectors: Floats) -> Floats:
    away = vectors - vectors.mean(axis=0)
    return np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9), dtype=np.float32)


# --- wrong labels ---------------------------------------------------------------------------------------------


def _wrong_labels(
    images: Sequence[ScannedImage], vectors: Floats, progress: Progress
) -> tuple[list[Finding], str, dict[str, Any]]:
    """(findings, what is told, figures), of the classes that have two groups at least."""
    n_groups = Counter(name for name, _ in {(i.class_name, group_of(i)) for i in images})
    names = sorted(name for name in n_groups if n_groups[name] > 1)
    number = {name: n for n, name in enumerate(names)}
    rows = [n for n, image in enumerate(images) if image.class_name in number]
    if len(names) < 2 or len(rows) * len(names) > MOST_CELLS:
        size = f"{counted(len(rows), 'image')} of {counted(len(names), 'class', 'classes')}"
        why = f"{size} are too {'few' if len(names) < 2 else 'many'}"
        return [], f"wrong labels not looked for: {why}", {}
    images, vectors = [images[n] for n in rows], vectors[rows]
    labels = np.array([number[image.class_name] for image in images], dtype=np.intp)
    groups = np.unique([group_of(image) for image in images], return_inverse=True)[1]
    confidence = out_of_fold(vectors, labels, groups, progress)
    agreement = float(np.mean(confidence.argmax(axis=1) == labels))
    figures: dict[str, Any] = {"probe_agreement": round(agreement, 4)}
    probe = f"a probe on {len(names)} classes agrees with {percent(agreement)} of the labels"
    if agreement < MIN_AGREEMENT:
        return [], f"wrong labels cannot be told with this model: {probe}", figures
    wrong, likelier, margin = confident_errors(confidence, labels)
    found = []
    for row, other, value in list(zip(wrong, likelier, margin, strict=True))[:MOST_TOLD]:
        # What it is shown beside: the most alike image of the likelier class.
        members = np.flatnonzero((labels == other) & (groups != groups[row]))
        nearest = images[members[np.argmax(vectors[members] @ vectors[row])]] if len(members) else None
        found.append(_wrong_label(images[row], names[other], nearest, float(value)))
    told = (
        f"{counted(len(wrong), 'label is', 'labels are')} likely wrong"
        if len(wrong)
        else "no label looks wrong"
    )
    told += f", the {MOST_TOLD} surest are told" if len(wrong) > MOST_TOLD else ""
    return found, f"{told} ({probe})", figures | {"wrong_labels": len(wrong)}


def _wrong_label(image: ScannedImage, likelier: str, nearest: ScannedImage | None, margin: float) -> Finding:
    return Finding(
        "wrong-label", "warning", f"labelled {image.class_name!r}, looks more like {likelier!r}",
        path=image.path, other=nearest.path if nearest else None, value=round(margin, 4),
        why="a probe on CLIP vectors that has not seen it is surer of the other class than of this one",
        hint="look at them; where the label is wrong, move the file to its class and run fgvr-kit init again",
    )  # fmt: skip


def out_of_fold(vectors: Floats, labels: Numbers, groups: Numbers, progress: Progress = SILENT) -> Floats:
    """(N, K) confidence of a logistic probe in each class, for images that it was not fitted on.

    vectors: (N, D) unit rows.  labels: (N,) in 0..K-1.  groups: (N,); no group is on both sides of a fold.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    confidence = np.zeros((len(labels), labels.max() + 1), dtype=np.float32)
    pieces = folds(labels, groups)
    with progress.task("looking for wrong labels", len(pieces)) as task, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly fitted ranks as well
        for train, test in pieces:
            if len(np.unique(labels[train])) > 1:  # one class is left where two classes share their groups
                probe = LogisticRegression(C=_INVERSE_PENALTY).fit(vectors[train], labels[train])
                confidence[np.ix_(test, probe.classes_)] = probe.predict_proba(vectors[test])
            task.advance()
    return confidence


def confident_errors(confidence: Floats, labels: Numbers) -> tuple[Numbers, Numbers, Floats]:
    """(numbers of images whose label is likely wrong, their likelier class, by how much), the surest first.

    confidence: (N, K), out of fold.  A class is believed where it gets at least the confidence that the images
    with its label get on average. Told is an image of which another class is believed, and likelier than its
    own, which is not.
    """
    rows, n_classes = np.arange(len(labels)), confidence.shape[1]
    own = confidence[rows, labels]  # (N,)
    usual = np.bincount(labels, own, n_classes) / np.maximum(1, np.bincount(labels, minlength=n_classes))
    others = np.where(confidence >= usual.astype(np.float32), confidence, np.float32(-1))  # (N, K)
    others[rows, labels] = -1
    likelier = others.argmax(axis=1)
    margin = others[rows, likelier] - own
    wrong = np.flatnonzero((margin > 0) & (own < usual[labels]))
    wrong = wrong[np.argsort(-margin[wrong], kind="stable")]
    return wrong, likelier[wrong], margin[wrong]


# --- look-alikes ----------------------------------------------------------------------------------------------


def _look_alikes(
    images: Sequence[ScannedImage], vectors: Floats, alike: Sequence[tuple[str, str, float]]
) -> tuple[list[Finding], str, int]:
    """(findings, what is told, how many test images), without the pairs that are known to belong together."""
    test = np.array([n for n, image in enumerate(images) if image.split == "test"], dtype=np.intp)
    train = np.array([n for n, image in enumerate(images) if image.split == "train"], dtype=np.intp)
    if not len(test) or not len(train):
        return [], "look-alikes not looked for: no test images beside training images", 0
    known: dict[str, set[str]] = defaultdict(set)
    for first, second, _ in alike:
        known[first].add(second)
        known[second].add(first)
    pairs = []
    step = max(1, _BLOCK // len(train))
    for start in range(0, len(test), step):
        block = test[start : start + step]
        cosines = vectors[block] @ vectors[train].T  # (step, T)
        for row, near in zip(block.tolist(), cosines, strict=True):
            pairs += _first_unknown(row, near, train, images, known)
    pairs.sort(key=lambda pair: -pair[2])
    verb = "has" if len(pairs) == 1 else "have"
    told = f"{len(pairs):,} of {counted(len(test), 'test image')} {verb} a look-alike in training"
    told += f", the {MOST_TOLD} closest are told" if len(pairs) > MOST_TOLD else ""
    return [_alike(images[a], images[b], cosine) for a, b, cosine in pairs[:MOST_TOLD]], told, len(pairs)


def _first_unknown(
    row: int,
    near: Floats,
    train: Numbers,
    images: Sequence[ScannedImage],
    known: dict[str, set[str]],
) -> list[tuple[int, int, float]]:
    """The nearest training image that is nearly the same picture and is not known to be: one pair, or none."""
    close = np.flatnonzero(near >= SAME_PICTURE)
    image = images[row]
    for column in close[np.argsort(-near[close], kind="stable")].tolist():
        other = images[int(train[column])]
        if group_of(other) != group_of(image) and other.sha256 not in known[image.sha256] | {image.sha256}:
            return [(row, int(train[column]), float(near[column]))]
    return []


def _alike(image: ScannedImage, other: ScannedImage, cosine: float) -> Finding:
    conflict = "" if image.class_name == other.class_name else ", labelled differently"
    return Finding(
        "look-alike", "warning",
        f"this test image of {image.class_name!r} is very like a training image of {other.class_name!r}{conflict}",
        path=image.path, other=other.path, value=round(cosine, 4),
        why="if they show one and the same thing, accuracy measured on it is too high",
        hint="where they do, give both one group (a column named in [dataset] group_by), then fgvr-kit check --regroup",
    )  # fmt: skip
