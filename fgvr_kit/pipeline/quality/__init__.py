"""attributes report: for each attribute, whether it is worth asking for. Asks nobody and changes nothing.

Everything is measured on training images, the share of images with an answer too: the report decides which attributes
are kept, and test images must have no say in what is tested on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fgvr_kit.errors import DatasetError
from fgvr_kit.pipeline.quality.judgement import Suggestion, judge
from fgvr_kit.pipeline.quality.repeats import repeats
from fgvr_kit.pipeline.quality.resampled import Agreement, agreements
from fgvr_kit.pipeline.quality.telling import (
    LEAST_GROUPS,
    Pair,
    balanced,
    chance_of,
    folds_of,
    held_out,
    information,
)
from fgvr_kit.pipeline.quality.words import UNSEEN, Reader, Words, bag
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Attribute, Image
from fgvr_kit.workspace import Workspace

N_PAIRS = 10
LEAST_WORD = 2
"""Answers that a word must stand in to be learned from."""
MINED = "mined look-alikes"
MOST_CLASSES_COMPARED = 5_000
"""Classes whose answers are compared with each other's, where nothing is mined."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one attribute alone tells two classes apart: balanced accuracy of held-out groups, and its lower bound.

    n: images of both that have an answer.  is_separated: the lower bound is above chance, 0.5.
    """

    first: str
    second: str
    accuracy: float
    low: float
    n: int
    is_separated: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of an attribute. Shares are in 0..1; None: cannot be told.

    n_asked: training images that it is asked of.  coverage: share of these with an answer.  not_visible, constancy: of
    those with an answer, the share that says so, and that of the most frequent answer.  n_values: different answers but
    for "not visible".  information: of what there is to know about the class; p: chance of as much by shuffling.
    same_as: another attribute with the same answers.
    """

    name: str
    n_asked: int
    coverage: float
    not_visible: float
    n_values: int
    constancy: float
    most_frequent: str
    agreement: float | None
    agreement_beyond_chance: float | None
    information: float | None
    p: float | None
    separations: tuple[Separation, ...] = ()
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeReport:
    """measured, and what it amounts to: one line, and what to do."""

    measured: Measured
    judgement: str
    suggestion: Suggestion


@dataclass(frozen=True, slots=True)
class Quality:
    """The report. pairs: the classes that are hardest to tell apart, as `pairs_from` tells.

    notes: must stand beside it.  n_groups: of training images (of one photograph, one burst), which are judged apart.
    """

    attributes: tuple[AttributeReport, ...]
    n_images: int
    n_classes: int
    n_groups: int
    pairs: tuple[tuple[str, str], ...]
    pairs_from: str
    notes: tuple[str, ...]

    @property
    def suggested(self) -> dict[str, str]:
        """Attributes that are better dropped -> why."""
        return {r.measured.name: r.judgement for r in self.attributes if r.suggestion == "drop"}


def report(workspace: Workspace, *, n_pairs: int = N_PAIRS, progress: Progress = SILENT) -> Quality:
    """Measure and judge every attribute that is asked for.

    Raises DatasetError without images ("no-images"), attributes ("no-attributes") or answers ("no-answers").
    """
    attributes, store = workspace.attributes(), workspace.store
    if not store.n_images():
        raise workspace.no_images()
    answered = store.answers()
    images = store.images("train")
    if not any(image.id in answered for image in images):
        raise DatasetError("there are no answers about training images to judge by", code="no-answers",
                           where=str(workspace.root), hint="fgvr-kit attributes extract")  # fmt: skip
    subject = _Subject(workspace, images, answered, attributes)
    samples, missing = agreements(workspace, images, attributes, subject.read, progress)
    pairs, pairs_from = _pairs(workspace, subject, n_pairs)
    measured = []
    with progress.task("report", len(attributes)) as task:
        for attribute in attributes:
            measured.append(subject.measure(attribute, samples.get(attribute.name), pairs))
            task.advance()
    same = subject.same_as()
    judged = tuple(_judged(one, same) for one in measured)
    return Quality(
        judged, len(images), len(subject.names), int(subject.groups.max()) + 1,
        tuple((subject.names[a], subject.names[b]) for a, b in pairs), pairs_from,
        (*store.notes_of_answers(), *(_notes_of_mine(workspace) if pairs_from == MINED else ()), *missing,
         *subject.notes(pairs)),
    )  # fmt: skip


def _judged(one: Measured, same: Mapping[str, str]) -> AttributeReport:
    one = replace(one, same_as=same.get(one.name))
    judgement, suggestion = judge(one)
    return AttributeReport(one, judgement, suggestion)


class _Subject:
    """The training images, and the words of their answers."""

    def __init__(
        self, workspace: Workspace, images: Sequence[Image], answered: Mapping[int, Mapping[str, str]],
        attributes: Sequence[Attribute],
    ) -> None:  # fmt: skip
        self.images, self.attributes = images, attributes
        self.names = sorted({image.class_name for image in images})
        places = {name: place for place, name in enumerate(self.names)}
        self.classes = np.array([places[image.class_name] for image in images])
        self.groups = _groups(workspace, images)
        self.folds = folds_of(self.groups, self.classes)
        self.read = Reader()
        known = workspace.classes()
        self._parents = np.array([known[image.class_name].parent for image in images])
        self._said = {
            a.name: [answered.get(image.id, {}).get(a.name) for image in images] for a in attributes
        }

    def answers(self, attribute: Attribute) -> tuple[np.ndarray, list[Words]]:
        """(places of the images that have an answer and are asked, their words)."""
        said, asked = self._said[attribute.name], self.is_asked(attribute)
        places = np.array(
            [n for n, value in enumerate(said) if value is not None and asked[n]], dtype=np.intp
        )
        return places, [self.read(said[n] or "") for n in places]

    def is_asked(self, attribute: Attribute) -> np.ndarray:
        if not attribute.superclass:
            return np.ones(len(self.images), dtype=bool)
        found: np.ndarray = self._parents == attribute.superclass
        return found

    def measure(self, attribute: Attribute, agreed: Agreement | None, pairs: Sequence[Pair]) -> Measured:
        places, words = self.answers(attribute)
        n_asked = int(self.is_asked(attribute).sum())
        counts = Counter(words)
        told = self._told(attribute, places, words, pairs)
        most, n_most = counts.most_common(1)[0] if counts else (UNSEEN, 0)
        n = max(1, len(words))
        return Measured(
            name=attribute.name,
            n_asked=n_asked,
            coverage=len(words) / max(1, n_asked),
            not_visible=counts[UNSEEN] / n,
            n_values=len(counts) - (UNSEEN in counts),
            constancy=n_most / n,
            most_frequent=self._wording(attribute, places, words, most),
            agreement=agreed.share if agreed else None,
            agreement_beyond_chance=agreed.beyond_chance if agreed else None,
            information=told[0],
            p=told[1],
            separations=told[2],
        )

    def _told(
        self, attribute: Attribute, places: np.ndarray, words: Sequence[Words], pairs: Sequence[Pair]
    ) -> tuple[float | None, float | None, tuple[Separation, ...]]:
        """(information, p, separations); None where there are too few groups to hold any out."""
        if len(places) < 2 or len(np.unique(self.groups[places])) < 2:
            return None, None, ()
        present, classes = np.unique(self.classes[places], return_inverse=True)
        groups = np.unique(self.groups[places], return_inverse=True)[1]
        own = {c: place for place, c in enumerate(present.tolist())}
        wanted = [(own[a], own[b]) for a, b in pairs if a in own and b in own]
        table = bag(words, least=LEAST_WORD, wholes=True)
        made = held_out(table, classes, self.folds[places], len(present), wanted)
        told = information(made.scores, classes)
        if told is None:
            return None, None, ()
        separations = []
        for first, second in wanted:
            here = np.isin(classes, (first, second))
            sides = classes[here] == first, groups[here]
            if apart := balanced(made.pairs[first, second], *sides, n_tests=len(pairs)):
                one, other = self.names[present[first]], self.names[present[second]]
                n, is_separated = int(here.sum()), apart.low > 0.5
                separations.append(Separation(one, other, apart.accuracy, apart.low, n, is_separated))
        return told, chance_of(table, classes, groups), tuple(sorted(separations, key=lambda s: -s.accuracy))

    def _wording(
        self, attribute: Attribute, places: Iterable[int], words: Sequence[Words], most: Words
    ) -> str:
        """How the most frequent answer is written most often."""
        said = self._said[attribute.name]
        spelled = Counter(said[n] for n, one in zip(places, words, strict=True) if one == most)
        return (spelled.most_common(1)[0][0] or "") if spelled else ""

    def same_as(self) -> dict[str, str]:
        read = {a.name: dict(zip(*self.answers(a), strict=True)) for a in self.attributes}
        return repeats(read, len(self.images))

    def notes(self, pairs: Sequence[Pair]) -> list[str]:
        """Which pairs no attribute is judged on."""
        n_groups = [len(np.unique(self.groups[self.classes == c])) for c in range(len(self.names))]
        n = sum(min(n_groups[first], n_groups[second]) < LEAST_GROUPS for first, second in pairs)
        few = f"{n:,} of {len(pairs):,} pairs are not judged: a class has fewer than {LEAST_GROUPS} groups"
        return [few] if n else []

    def profile_pairs(self, n: int) -> list[Pair]:
        """The pairs of classes with the most alike answers: cosine of how often each word stands in their answers,
        words of few classes counting more."""
        from scipy.sparse import csr_matrix, hstack

        if len(self.names) > MOST_CLASSES_COMPARED:
            return []
        tables = []
        for attribute in self.attributes:
            places, words = self.answers(attribute)
            one_hot = csr_matrix(
                (np.ones(len(places), np.float32), (self.classes[places], np.arange(len(places)))),
                shape=(len(self.names), len(places)),
            )
            tables.append(one_hot @ bag(words))
        table = hstack(tables).tocsr()
        n_images = np.maximum(1, np.bincount(self.classes, minlength=len(self.names)))
        table = table.multiply(1 / n_images[:, None]).tocsr()
        rarity = np.log((1 + len(self.names)) / (1 + table.getnnz(axis=0))) + 0.1
        table = table.multiply(rarity).tocsr()
        lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1))).ravel()
        alike = (table @ table.T).toarray() / np.maximum(1e-9, np.outer(lengths, lengths))
        above = np.triu_indices(len(self.names), 1)
        best = np.argsort(-alike[above], kind="stable")[:n]
        return [(int(above[0][place]), int(above[1][place])) for place in best]


def _groups(workspace: Workspace, images: Sequence[Image]) -> np.ndarray:
    """A number for the group of each image: of one photograph, one burst, or the same pixels."""
    sides = workspace.store.sides()
    keys = [sides[image.sha256].group if image.sha256 in sides else image.sha256 for image in images]
    found: np.ndarray = np.unique(np.array(keys), return_inverse=True)[1]
    return found


def _notes_of_mine(workspace: Workspace) -> list[str]:
    """What must stand beside the pairs ("untrained toy model")."""
    return list(workspace.store.walk().get("mine", {}).get("summary", {}).get("notes", ()))


def _pairs(workspace: Workspace, subject: _Subject, n: int) -> tuple[list[Pair], str]:
    """(pairs of classes that are easily confused, where they come from)."""
    places = {name: place for place, name in enumerate(subject.names)}
    class_of = {image.id: image.class_name for image in subject.images}
    counts: Counter[Pair] = Counter()
    for image_id, negatives in workspace.store.negatives().items():
        for negative in negatives:
            first, second = places.get(class_of.get(image_id, "")), places.get(negative.class_name)
            if first is not None and second is not None and first != second:
                counts[min(first, second), max(first, second)] += 1
    if counts:
        return [pair for pair, _ in counts.most_common(n)], MINED
    return subject.profile_pairs(n), "the most alike answers"
