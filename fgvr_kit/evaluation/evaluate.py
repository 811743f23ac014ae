"""eval: every contender answers the same questions; accuracies with intervals, and paired differences.

One table for all: whoever has answered every question of an exam of now is in it, in whichever run that was.
A run asks the MLLMs, or the baselines; nobody is asked anything twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fgvr_kit.errors import DatasetError, PromptError, SettingsError
from fgvr_kit.evaluation import advice
from fgvr_kit.evaluation.baselines import baselines as baselines_of
from fgvr_kit.evaluation.baselines.classifier import Classifier
from fgvr_kit.evaluation.contenders import Contender, Sheet
from fgvr_kit.evaluation.exams import Exam, choice_exam, closed_exam
from fgvr_kit.evaluation.protocols import choice_questions, protocol_of
from fgvr_kit.evaluation.rules import RULES, MostFrequent
from fgvr_kit.evaluation.scoring import Marked, Row, accuracies
from fgvr_kit.evaluation.told import about_baselines, about_exams
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Notice, Score, Summary
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Table:
    """An exam and the rows of those who have answered it whole, in the order in which they are shown."""

    marked: Marked
    rows: tuple[Row, ...]

    @property
    def reference(self) -> Row | None:
        """Whom the others are compared with: the first MLLM (the base model, zero-shot), or the first baseline."""
        first = [row for role in ("model", "baseline") for row in self.rows if row.role == role]
        return first[0] if first else None

    def scores(self) -> list[Score]:
        found = [self.marked.chance()]
        for row in self.rows:
            found += self.marked.scores(row)
        if reference := self.reference:
            for row in self.rows:
                if row is not reference and row.role != "rule":
                    found += self.marked.compared(row, reference)
        return found


def evaluate(
    workspace: Workspace,
    contenders: Sequence[Contender],
    progress: Progress = SILENT,
    *,
    baselines: bool = False,
) -> tuple[Summary, list[Score]]:
    """Let each contender answer the questions it has not answered yet, and write table `scores`.

    contenders: the MLLMs, the one that the others are compared with first (the base model, zero-shot).
    baselines: ask the baselines instead; no MLLM is loaded then, but those who have answered are in the table.
    Raises SettingsError where nobody is chosen who could be asked, DatasetError where there is nothing to ask.
    """
    if not baselines and not contenders:
        raise SettingsError(
            "no model is chosen: train.model is empty",
            code="no-train-model",
            hint="--model HUB_ID or a folder; without an MLLM: fgvr-kit eval --baselines",
        )
    exams = _exams(workspace, needs_choice=not baselines)
    ladder = _ladder(workspace, must=baselines)
    rules = [MostFrequent.of(workspace)]
    n_answered = _ask(workspace, [*rules, *(ladder if baselines else contenders)], exams, progress)
    tables = _tables(workspace, exams, [*rules, *ladder, *contenders])
    scores = [score for table in tables for score in table.scores()]
    workspace.store.put_scores(scores)
    if baselines:
        summary = _summary_of_baselines(workspace, tables, ladder, n_answered)
    else:
        summary = _summary(workspace, tables, contenders)
        workspace.store.finish("eval", fingerprint_of(workspace, contenders), summary)
    return summary, scores


def fingerprint_of(workspace: Workspace, contenders: Sequence[Contender]) -> str:
    questions = choice_questions(workspace)
    return fingerprint(
        protocol_of(questions, workspace.settings.train.max_pixels), [c.key for c in contenders]
    )


def told(scores: Sequence[Score]) -> str:
    """The table in a line: accuracies of all but the rules and the shots, in the exam that is the last one."""
    found = [s for s in accuracies(scores) if s.model not in RULES and " shot" not in s.model]
    return "; ".join(f"{s.model} {100 * s.value:.1f} %" for s in found if s.protocol == found[-1].protocol)


def _exams(workspace: Workspace, *, needs_choice: bool) -> list[Exam]:
    """All classes, then the options, where they are mined. Of many exams, those that can be held."""
    if needs_choice:
        choice: list[Exam] = [choice_exam(workspace)]
    else:
        try:
            choice = [choice_exam(workspace)]
        except DatasetError as error:
            if error.code != "no-options":
                raise
            choice = []
    return [closed_exam(workspace), *choice]


def _ladder(workspace: Workspace, *, must: bool) -> list[Contender]:
    """The baselines; without a CLIP model none, unless they are asked for."""
    if must and not workspace.settings.mine.model:
        raise SettingsError(
            "no CLIP model is chosen, and baselines rest on one: mine.model is empty",
            code="no-mine-model",
            hint="fgvr-kit mine --model ViT-L-14:laion2b_s32b_b82k, or --set mine.model=...",
        )
    try:
        return baselines_of(workspace, workspace.settings.evaluate.shots)
    except (SettingsError, PromptError):
        if must:
            raise
        return []  # an MLLM is evaluated: a CLIP, or a prompt for it, that is gone is no reason not to


def _ask(
    workspace: Workspace, asked: Sequence[Contender], exams: Sequence[Exam], progress: Progress
) -> dict[str, int]:
    """Store the answers that are missing. Returns how many there were, by label."""
    store = workspace.store
    found: dict[str, int] = {}
    for contender in asked:
        sheets = [
            Sheet(exam, store.predictions(contender.key, exam.protocol).keys())
            for exam in exams
            if contender.takes(exam)
        ]
        open_ = [sheet for sheet in sheets if sheet.n_missing]
        found[contender.label] = found.get(contender.label, 0) + sum(sheet.n_missing for sheet in open_)
        if open_:
            for protocol, predictions in contender.answer(workspace, open_, progress):
                store.put_predictions(contender.key, protocol, predictions)
    return found


def _tables(workspace: Workspace, exams: Sequence[Exam], contenders: Sequence[Contender]) -> list[Table]:
    """One for each exam that somebody with eyes has answered."""
    settings, groups = workspace.settings.evaluate, workspace.store.groups()
    tables = []
    for exam in exams:
        marked = Marked(
            exam, tuple(workspace.classes()), groups, n_resamples=settings.resamples, seed=settings.seed
        )
        rows = _rows(workspace, marked, contenders)
        if any(row.role != "rule" for row in rows):
            tables.append(Table(marked, rows))
    return tables


def _rows(workspace: Workspace, marked: Marked, contenders: Sequence[Contender]) -> tuple[Row, ...]:
    """Contenders of one label are draws of one row; it stands when all of them have answered."""
    draws: dict[str, list[Contender]] = {}
    for contender in contenders:
        if contender.takes(marked.exam):
            draws.setdefault(contender.label, []).append(contender)
    rows = []
    for label, them in draws.items():
        answers = [workspace.store.predictions(one.key, marked.exam.protocol) for one in them]
        if all(question.image.id in one for one in answers for question in marked.exam.questions):
            rows.append(marked.row(label, them[0].role, them[0].note, answers))
    return tuple(rows)


# --- what is told at the end ----------------------------------------------------------------------------------


def _summary(workspace: Workspace, tables: Sequence[Table], contenders: Sequence[Contender]) -> Summary:
    choice = tables[-1].marked
    done: dict[str, Any] = {
        "protocol": f"{choice.exam.protocol} (letter of largest probability; the truth equally often at each place)",
        "seed": workspace.settings.evaluate.seed,
        "model": workspace.settings.train.model,
        "questions": choice.n,
        "models asked": ", ".join(contender.label for contender in contenders),
        "chance": f"{100 * choice.exam.chance:.1f} %",
    }
    notices = advice.above_models(choice, tables[-1].rows)
    if len(contenders) == 1:
        notices.append(
            Notice(
                "only the base model was asked: nothing is trained for the settings and data of now",
                code="no-tuned-model",
                hint="fgvr-kit train, then fgvr-kit eval again",
            )
        )
    return Summary("eval", done, _unasked(workspace, choice), _notes(tables), tuple(notices))


def _summary_of_baselines(
    workspace: Workspace, tables: Sequence[Table], ladder: Sequence[Contender], n_answered: dict[str, int]
) -> Summary:
    classifiers = [one for one in ladder if isinstance(one, Classifier)]
    closed = tables[0]
    said, enough = advice.needed(closed.marked, closed.rows, workspace.settings.evaluate.enough)
    done: dict[str, Any] = {
        "CLIP model": workspace.settings.mine.model,
        **about_exams([table.marked for table in tables]),
        **about_baselines(closed.marked, closed.rows, classifiers),
        "answers that were new": sum(n for label, n in n_answered.items() if label not in RULES),
        "seed": workspace.settings.evaluate.seed,
    }
    if said:
        done["accuracy that you need"] = said
    known = {one.n_shots for one in classifiers}
    for n in sorted(set(workspace.settings.evaluate.shots) - known):
        done[f"{n} shots"] = "no class has more: that is all images"
    notices = [*advice.about_data(workspace), *advice.about_choosing(classifiers)]
    if len(tables) == 1:
        notices.append(
            Notice(
                "only asked for all classes: the test images have no options yet",
                code="no-options",
                hint="fgvr-kit mine, then fgvr-kit eval --baselines again",
            )
        )
    else:
        notices += advice.own_options(closed.marked, closed.rows, tables[-1].marked, tables[-1].rows)
    notices += [enough] if enough else []
    notices += advice.above_models(tables[-1].marked, tables[-1].rows)
    dropped = _unasked(workspace, tables[-1].marked)
    return Summary("baselines", done, dropped, _notes(tables), tuple(notices))


def _unasked(workspace: Workspace, marked: Marked) -> tuple[tuple[str, int, str], ...]:
    """Test images that an exam does not ask about."""
    n = workspace.store.n_images("test") - marked.n
    return (("test images without options", n, "run fgvr-kit mine again"),) if n else ()


def _notes(tables: Sequence[Table]) -> tuple[str, ...]:
    """Everything that must stand beside the numbers, each said once."""
    notes = (row.note for table in tables for row in table.rows if row.note)
    return tuple(dict.fromkeys(part for note in notes for part in note.split("; ")))
