"""Train the variants of a recipe with several seeds, ask all of them the test questions, and compare.

Nothing of the walk is touched: stages of ablations are runs like others, the scores and steps of the workspace
stay those of its own settings. Trained stages and given answers are kept, so that the same command goes on.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from fgvr_kit.evaluation.contenders import Contender, Sheet
from fgvr_kit.evaluation.exams import Exam, choice_exam
from fgvr_kit.evaluation.resampling import Interval
from fgvr_kit.evaluation.scoring import Marked
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.training.ablation.variants import Trial
from fgvr_kit.training.runs.contenders import contenders
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.types import Prediction
from fgvr_kit.workspace import Workspace

ZERO_SHOT = "zero-shot"

Draw = dict[int, Prediction]
"""Image id -> prediction, of one seed."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: accuracies are shares of n questions, one a seed.

    over_seeds: mean with its 95 % interval from the spread of the seeds (Student's t), None for one seed.
    over_images: mean with the 95 % interval that the draw of the test images leaves.
    gain: difference from `against` on the same questions; both None for the reference itself, and where questions
    differ.
    """

    name: str
    about: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    n: int
    protocol: str
    over_images: Interval
    over_seeds: Interval | None = None
    gain: Interval | None = None
    against: str | None = None
    note: str | None = None


@dataclass(slots=True)
class _Answered:
    about: str
    exam: Exam
    note: str | None
    against: str = ""
    seeds: list[int] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)


def ablate(workspace: Workspace, trials: Sequence[Trial], progress: Progress = SILENT) -> list[Result]:
    """The base model as it is, then the trials that can be trained, in their order; the first ablation is the
    reference that those are compared with that name no other.

    Raises what training and evaluation raise; what was done by then is not done again.
    """
    open_ = [trial for trial in trials if not trial.why_not]
    base = contenders(workspace)[0]
    exam, draw = _asked(workspace, base, progress)
    answered = {ZERO_SHOT: _Answered("the base model, before any training", exam, base.note, draws=[draw])}
    for trial in open_:
        with Workspace(workspace.root, trial.overrides) as varied:
            train_recipe(varied, progress, stands=False)
            tuned = contenders(varied)[-1]
            exam, draw = _asked(varied, tuned, progress)
        own = trial.ablation
        one = answered.setdefault(own.name, _Answered(own.about, exam, tuned.note, own.against))
        one.seeds.append(trial.seed)
        one.draws.append(draw)
    return _compared(workspace, answered)


def over_seeds(accuracies: Sequence[float]) -> Interval | None:
    """Mean and 95 % interval of the mean under Student's t; None for fewer than two."""
    if len(accuracies) < 2:
        return None
    from scipy.stats import t

    mean = statistics.fmean(accuracies)
    half = statistics.stdev(accuracies) / len(accuracies) ** 0.5 * float(t.ppf(0.975, len(accuracies) - 1))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def _asked(workspace: Workspace, contender: Contender, progress: Progress) -> tuple[Exam, Draw]:
    """What a contender answers to the test questions; asked only where that is missing."""
    exam, store = choice_exam(workspace), workspace.store
    sheet = Sheet(exam, store.predictions(contender.key, exam.protocol).keys())
    if sheet.n_missing:
        for protocol, predictions in contender.answer(workspace, [sheet], progress):
            store.put_predictions(contender.key, protocol, predictions)
    return exam, store.predictions(contender.key, exam.protocol)


def _compared(workspace: Workspace, answered: dict[str, _Answered]) -> list[Result]:
    """The reference is the first that was trained; who was asked otherwise than who it is compared with has no gain."""
    evaluate, groups = workspace.settings.evaluate, workspace.store.groups()
    names = list(workspace.classes())
    marked = {
        one.exam.protocol: Marked(one.exam, names, groups, n_resamples=evaluate.resamples, seed=evaluate.seed)
        for one in answered.values()
    }
    rows = {
        name: marked[one.exam.protocol].row(name, "model", one.note, one.draws)
        for name, one in answered.items()
    }
    reference = next((name for name in answered if name != ZERO_SHOT), ZERO_SHOT)
    results = []
    for name, one in answered.items():
        marks, row = marked[one.exam.protocol], rows[name]
        accuracies = tuple(float(share) for share in (row.named == marks.truth).mean(axis=1))
        against = one.against if one.against in answered else reference
        is_other = name != against and one.exam.protocol == answered[against].exam.protocol
        results.append(
            Result(
                name=name,
                about=one.about,
                seeds=tuple(one.seeds),
                accuracies=accuracies,
                n=marks.n,
                protocol=one.exam.protocol,
                over_images=marks.accuracy(row),
                over_seeds=over_seeds(accuracies),
                gain=marks.gain(row, rows[against]) if is_other else None,
                against=against if is_other else None,
                note=one.note,
            )
        )
    return results
