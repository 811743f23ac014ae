"""What baselines say about the plan to train an MLLM, in plain words; and what is wrong with what they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from fgvr_kit import toy
from fgvr_kit.evaluation.baselines.classifier import Classifier
from fgvr_kit.evaluation.baselines.zero_shot import ZERO_SHOT
from fgvr_kit.evaluation.scoring import Marked, Row
from fgvr_kit.types import Image, Notice
from fgvr_kit.workspace import Workspace

_MOST_NAMED = 3
_MOST_HELD = 0.9  # share of the mistakes that options hold, from which on they were chosen by them
_MANY = 0.75  # share of the wrong classes that are offered, from which on that says nothing


def needed(marked: Marked, rows: Sequence[Row], enough: float) -> tuple[str | None, Notice | None]:
    """(what is told of the accuracy that is needed, a notice where a baseline surely has it).

    marked: the exam over all classes. Only baselines that learnt from all images are looked at, and no toy.
    """
    if not enough:
        return None, None
    candidates = [row for row in rows if _is_judged(row)]
    if not candidates:
        return f"{_percent(enough)}: not judged, {toy.NOTE}s know nothing", None
    found = {row.label: marked.accuracy(row) for row in candidates}
    best = max(found, key=lambda label: (found[label].low, found[label].value))
    interval = found[best]
    told = f"{_percent(interval.value)} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    if interval.low >= enough:
        notice = Notice(
            f"{best} has {told} of all classes right: the {_percent(enough)} that you need",
            code="baseline-enough",
            why="even the low end of its interval is not below",
            hint="no MLLM need be trained for that",
        )
        return f"{_percent(enough)}: surely reached by {best}", notice
    most = max(found, key=lambda label: found[label].value)
    if found[most].value >= enough:
        return f"{_percent(enough)}: reached by {most}, not surely ({len(marked.truth)} test images)", None
    return f"{_percent(enough)}: reached by no baseline", None


def above_models(marked: Marked, rows: Sequence[Row]) -> list[Notice]:
    """A notice for each MLLM that a baseline of all images surely beats on the same questions."""
    notices = []
    for model in (row for row in rows if row.role == "model" and not _is_toy(row)):
        gains = {row.label: marked.gain(row, model) for row in rows if _is_judged(row)}
        if not gains:
            continue
        best = max(gains, key=lambda label: gains[label].low)
        gain = gains[best]
        if gain.low > 0:
            notices.append(
                Notice(
                    f"{best} beats {model.label} by {100 * gain.value:.1f} points"
                    f" [{100 * gain.low:.1f}, {100 * gain.high:.1f}] on the same questions",
                    code="baseline-above-model",
                    hint="for these classes the probe is better and far cheaper; an MLLM must earn its keep otherwise",
                )
            )
    return notices


def own_options(closed: Marked, rows: Sequence[Row], choice: Marked, among: Sequence[Row]) -> list[Notice]:
    """A notice where the options are those that CLIP zero-shot itself takes for the truth.

    They take away none of its mistakes then, while they make the questions easier for everybody else.
    rows, among: of the exams closed and choice.
    """
    first, second = (next((row for row in some if row.label == ZERO_SHOT), None) for some in (rows, among))
    if first is None or second is None:
        return []
    named, offered = _answers(closed, first), {q.image.id: q.options for q in choice.exam.questions}
    mistakes = [i for i, q in offered.items() if i in named and named[i][0] != named[i][1]]
    n_held = sum(named[i][0] in offered[i] for i in mistakes)
    by_chance = fmean((len(q) - 1) / max(1, len(closed.names) - 1) for q in offered.values())
    if not mistakes or n_held < _MOST_HELD * len(mistakes) or by_chance > _MANY:
        return []
    return [
        Notice(
            f"of {len(mistakes):,} mistakes of {ZERO_SHOT} the options hold {n_held:,}: they help everybody but it",
            code="zero-shot-own-options",
            why="wrong options are the classes that the same CLIP model takes for the most similar ones",
            hint="compare it over all classes; what others gain over it among the options is not theirs alone",
        )
    ]


def _answers(marked: Marked, row: Row) -> dict[int, tuple[str, str]]:
    """Image id -> (class named, true class)."""
    named = [marked.names[n] for n in row.named[0].tolist()]
    return {
        q.image.id: (name, q.image.class_name) for q, name in zip(marked.exam.questions, named, strict=True)
    }


def _is_judged(row: Row) -> bool:
    """Whether it is a baseline that learnt from all images, with a model that is no toy. A mean over draws of few
    images has a narrower interval, and is nothing that one would use instead."""
    return row.role == "baseline" and " shot" not in row.label and not _is_toy(row)


def _is_toy(row: Row) -> bool:
    return toy.NOTE in (row.note or "")


# --- what the numbers rest on ---------------------------------------------------------------------------------


def about_data(workspace: Workspace) -> list[Notice]:
    """Classes that no classifier can name, or that nobody is asked about; test images that were learnt from."""
    names, store = list(workspace.classes()), workspace.store
    train, test = store.images("train"), store.images("test")
    n_train, n_test = (Counter(image.class_name for image in images) for images in (train, test))
    untrained = [name for name in names if not n_train[name]]
    untested = [name for name in names if not n_test[name]]
    notices = []
    if untrained:
        n = sum(n_test[name] for name in untrained)
        notices.append(
            Notice(
                f"{_classes(untrained)} without training images: kNN and the probe cannot name them",
                code="classes-untrained",
                why=f"{n:,} test images of theirs count as wrong",
                hint="add images of them, or move some from test to train",
            )
        )
    if untested:
        notices.append(
            Notice(
                f"{_classes(untested)} without test images: nothing is known about them",
                code="classes-untested",
                why="macro figures are means over the other classes",
                hint="add images of them, or have the split drawn: fgvr-kit init --resplit",
            )
        )
    return [*notices, *_leaks(train, test)]


def _leaks(train: Sequence[Image], test: Sequence[Image]) -> list[Notice]:
    known = {image.sha256 for image in train}
    leaked = [image for image in test if image.sha256 in known]
    if not leaked:
        return []
    return [
        Notice(
            f"{len(leaked):,} of {len(test):,} test images are training images too, pixel for pixel",
            code="test-leaks",
            where=leaked[0].path,
            why="whoever learnt from them knows their answers: accuracies are too high",
            hint="fgvr-kit check names them, and what to do",
        )
    ]


def about_choosing(classifiers: Sequence[Classifier]) -> list[Notice]:
    """Classifiers of all images whose settings could not be chosen, and vectors that are all one."""
    chosen = {one.label: one.chosen() or {} for one in classifiers if not one.n_shots}
    notices = []
    if any(one.get("one_point") for one in chosen.values()):
        notices.append(
            Notice(
                "the CLIP model gives all training images the same vector",
                code="vectors-alike",
                why="nothing can be learnt from it",
                hint="are the pictures different, and are the weights whole? fgvr-kit check looks at the pictures",
            )
        )
    blind = [label for label, one in chosen.items() if one and not one.get("asked")]
    if blind:
        notices.append(
            Notice(
                f"settings of {', '.join(blind)} are usual ones, not chosen for these images",
                code="not-chosen",
                why="no class has training images of two groups, so that nothing can be held out",
                hint="more images of each class",
            )
        )
    return notices


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMED])) + (", ..." if len(names) > _MOST_NAMED else "")
    return f"{len(names):,} class{'' if len(names) == 1 else 'es'} ({shown})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
