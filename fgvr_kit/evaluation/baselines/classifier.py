"""A classifier on CLIP vectors as a contender: chosen by cross-validation, fitted once, asked in every exam."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from fgvr_kit.evaluation.baselines.material import Labelled, Material
from fgvr_kit.evaluation.contenders import Contender, Role, Sheet
from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.ranked import predictions_of
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Prediction
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Answering = Callable[[Floats], Floats]

STAGE = "baseline"
"""What the rows of baselines in table `runs` are marked with."""

_BLOCK = 1024  # images at once
_NOWHERE = 1e-6  # a shorter vector has no direction, only rounding errors
_VERSION = 1  # raise it when the same settings and images would give other answers


class ClipContender(Contender):
    """Whoever answers out of the CLIP vector of an image."""

    role: ClassVar[Role] = "baseline"

    def __init__(self, material: Material, label: str, key: str) -> None:
        self.material, self.label, self.key = material, label, key
        note = material.clip.note
        self.note = f"{material.clip.spec}: {note}" if note else None

    def takes(self, exam: Exam) -> bool:
        return True

    def answer(
        self, workspace: Workspace, sheets: Sequence[Sheet], progress: Progress
    ) -> Iterator[tuple[str, list[Prediction]]]:
        """Every class gets its score once an image; of the options of an exam, these are compared."""
        number = {name: n for n, name in enumerate(self.material.names)}
        asked = [
            {q.image.id: q for q in sheet.exam.questions if q.image.id not in sheet.known} for sheet in sheets
        ]
        images = list({i: q.image for questions in asked for i, q in questions.items()}.values())
        self.material.embed(images, progress)
        scores_of = self.fitted(progress)
        with progress.task(self.label, len(images)) as task:
            for start in range(0, len(images), _BLOCK):
                block = images[start : start + _BLOCK]
                scores = scores_of(self.material.vectors(block))  # (B, C)
                for sheet, questions in zip(sheets, asked, strict=True):
                    rows = [row for row, image in enumerate(block) if image.id in questions]
                    them = [questions[block[row].id] for row in rows]
                    yield sheet.exam.protocol, predictions_of(them, scores[rows], number)
                task.advance(len(block))

    @abstractmethod
    def fitted(self, progress: Progress) -> Answering:
        """(B, D) vectors of images -> (B, C) scores of all classes, log-probabilities up to a constant a row."""


class Method(Protocol):
    """A way to learn classes from vectors. identity: its own settings, plain data."""

    name: str

    @property
    def identity(self) -> dict[str, Any]: ...

    def choose(self, vectors: Floats, labelled: Labelled, progress: Progress) -> dict[str, Any]:
        """Settings found by cross-validation over groups, with how they were found: plain data."""

    def fit(
        self, vectors: Floats, labels: NDArray[np.intp], n_classes: int, chosen: dict[str, Any]
    ) -> Answering:
        """vectors: (N, D) of the training images, as `centred` gives them."""


class Classifier(ClipContender):
    """n_shots: of each class, 0 for all images; draw: which draw of them."""

    def __init__(
        self, method: Method, material: Material, labelled: Labelled, *, n_shots: int = 0, draw: int = 0
    ) -> None:
        self.method, self.labelled, self.n_shots, self.draw = method, labelled, n_shots, draw
        label = method.name + (f", {n_shots} shot{'s' if n_shots > 1 else ''}" if n_shots else "")
        decided = fingerprint(_VERSION, method.identity, material.names, labelled.digest)
        super().__init__(material, label, f"{material.clip.key} {label} {decided}")

    def chosen(self) -> dict[str, Any] | None:
        """What was chosen when it was fitted; None if it never was."""
        run = self.material.workspace.store.run(self._run_id)
        return json.loads(run["settings"]) if run else None

    @property
    def _run_id(self) -> str:
        return f"{STAGE}-{fingerprint(self.key)}"

    def fitted(self, progress: Progress = SILENT) -> Answering:
        """What was chosen before is not chosen again: a kill costs the fit at most."""
        self.material.embed(self.labelled.images, progress)
        whole = self.material.vectors(self.labelled.images)
        learnt = self.labelled.is_train
        mean = whole[learnt].mean(axis=0)
        whole = centred(whole, mean)
        chosen = self.chosen()
        if chosen is None:
            chosen = self.method.choose(whole, self.labelled, progress)
            chosen["one_point"] = not whole[learnt].any()
            self._keep(chosen)
        whole = whole if learnt.all() else whole[learnt]
        scores_of = self.method.fit(whole, self.labelled.labels[learnt], self.labelled.n_classes, chosen)
        return lambda vectors: scores_of(centred(vectors, mean))

    def _keep(self, chosen: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.material.workspace.store.put_run(
            id=self._run_id,
            recipe=self.label,
            stage=STAGE,
            fingerprint=self.key,
            model=self.material.clip.spec,
            settings=json.dumps(chosen),
            status="done",
            note=self.note,
            started=now,
            finished=now,
        )


def centred(vectors: Floats, mean: Floats) -> Floats:
    """(N, D) unit rows after a mean is taken away: as they come, the vectors of one domain share most of their
    length. A vector that is the mean stays 0."""
    away = (vectors - mean).astype(np.float32, copy=False)
    lengths = np.linalg.norm(away, axis=1, keepdims=True)
    away /= np.maximum(lengths, _NOWHERE)
    away[lengths[:, 0] <= _NOWHERE] = 0
    return away
