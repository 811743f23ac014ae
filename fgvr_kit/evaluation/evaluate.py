"""eval: every contender answers the same questions; accuracies with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.evaluation.metrics import paired_interval, wilson_interval
from fgvr_kit.evaluation.protocols import Question, answer_choices, choice_questions, protocol_of
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Notice, Prediction, Score, Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm


@dataclass(frozen=True, slots=True)
class Contender:
    """A model to be scored. label: for people.  key: what its predictions are stored under, holding all that
    decides them.  adapter: folder of a trained adapter, None for the base model as it is."""

    label: str
    key: str
    adapter: Path | None = None
    note: str | None = None


def evaluate(
    workspace: Workspace, contenders: Sequence[Contender], progress: Progress = SILENT
) -> tuple[Summary, list[Score]]:
    """Let each contender answer the questions it has not answered yet, and write table `scores`.

    The first contender is the one that the others are compared with (the base model, zero-shot).
    """
    settings, store = workspace.settings, workspace.store
    if not settings.train.model:
        raise SettingsError(
            "no model is chosen: train.model is empty",
            code="no-train-model",
            hint="--model HUB_ID or a folder; [train] model in fgvr.toml keeps it",
        )
    questions = choice_questions(workspace)
    protocol = protocol_of(questions, settings.train.max_pixels)
    notes: dict[str, None] = {}
    correct: dict[str, list[bool]] = {}
    scores: list[Score] = []
    for contender in contenders:
        predictions, note = _answers_of(workspace, contender, questions, protocol, progress)
        correct[contender.label] = [predictions[q.image.id].is_correct for q in questions]
        if note:
            notes |= dict.fromkeys(note.split("; "))
        scores.append(_accuracy(contender.label, protocol, correct[contender.label], note))
    baseline = contenders[0].label
    for contender in contenders[1:]:
        difference, low, high = paired_interval(correct[baseline], correct[contender.label])
        scores.append(
            Score(
                contender.label,
                protocol,
                f"difference from {baseline}",
                len(questions),
                difference,
                low,
                high,
                scores[0].note,
            )
        )
    store.put_scores(scores)
    summary = _summary(workspace, questions, protocol, contenders, tuple(notes))
    store.finish("eval", fingerprint_of(workspace, contenders), summary)
    return summary, scores


def fingerprint_of(workspace: Workspace, contenders: Sequence[Contender]) -> str:
    questions = choice_questions(workspace)
    return fingerprint(
        protocol_of(questions, workspace.settings.train.max_pixels), [c.key for c in contenders]
    )


def _answers_of(
    workspace: Workspace,
    contender: Contender,
    questions: Sequence[Question],
    protocol: str,
    progress: Progress,
) -> tuple[dict[int, Prediction], str | None]:
    """image id -> prediction, and the model's note. The model is loaded only when an answer is missing."""
    from fgvr_kit.families.base import Vlm

    store, train = workspace.store, workspace.settings.train
    known = store.predictions(contender.key, protocol)
    if all(question.image.id in known for question in questions):
        return known, contender.note
    vlm = Vlm.load(
        workspace.base_model,
        device=train.device,
        quantize=train.quantize,
        max_pixels=train.max_pixels,
        adapter=contender.adapter,
    )
    with progress.task(f"asking {contender.label}", len(questions), done=len(known)) as task:
        for batch in _batches(questions, workspace.settings.evaluate.batch_size):
            if all(question.image.id in known for question in batch):
                continue
            answered = _answered(vlm, workspace, batch)
            store.put_predictions(contender.key, protocol, answered)
            known |= {prediction.image_id: prediction for prediction in answered}
            task.advance(len(batch))
    return known, contender.note


def _answered(vlm: Vlm, workspace: Workspace, batch: Sequence[Question]) -> list[Prediction]:
    import torch

    try:
        return answer_choices(vlm, workspace, batch)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{len(batch)} questions at once do not fit into the memory of the GPU",
            code="out-of-memory",
            hint='a smaller evaluate.batch_size, a smaller train.max_pixels, or train.quantize = "nf4"',
        ) from error


def _batches(questions: Sequence[Question], size: int) -> Iterator[list[Question]]:
    """Batches of questions with equally many options, cut from the whole list: a run that goes on after a
    kill asks the same batches."""
    for _, group in groupby(questions, key=lambda question: len(question.options)):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _accuracy(label: str, protocol: str, correct: Sequence[bool], note: str | None) -> Score:
    low, high = wilson_interval(sum(correct), len(correct))
    return Score(label, protocol, "accuracy", len(correct), sum(correct) / len(correct), low, high, note)


def _summary(
    workspace: Workspace,
    questions: Sequence[Question],
    protocol: str,
    contenders: Sequence[Contender],
    notes: tuple[str, ...],
) -> Summary:
    n_unasked = workspace.store.n_images("test") - len(questions)
    chance = sum(1 / len(question.options) for question in questions) / len(questions)
    done: dict[str, Any] = {
        "protocol": f"{protocol} (letter of largest probability; options shuffled)",
        "seed": workspace.settings.evaluate.seed,
        "model": workspace.settings.train.model,
        "questions": len(questions),
        "models asked": ", ".join(contender.label for contender in contenders),
        "chance": f"{100 * chance:.1f} %",
    }
    dropped = (("test images without options", n_unasked, "run fgvr-kit mine again"),) if n_unasked else ()
    notices = (
        Notice(
            "only the base model was asked: nothing is trained for the settings and data of now",
            code="no-tuned-model",
            hint="fgvr-kit train, then fgvr-kit eval again",
        ),
    )
    return Summary("eval", done, dropped, notes, () if len(contenders) > 1 else notices)
