"""A multimodal LLM as a contender: the base model as it is, or with what the recipe trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fgvr_kit.errors import ModelError
from fgvr_kit.evaluation.contenders import Contender, Role, Sheet
from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.protocols import Question, answer_choices
from fgvr_kit.progress import Progress
from fgvr_kit.types import Prediction
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm


@dataclass(frozen=True)
class LanguageModel(Contender):
    """adapter: folder of a trained adapter, None for the base model as it is.  base: the checkpoint that the adapter
    belongs on, None for the base model."""

    role: ClassVar[Role] = "model"
    label: str
    key: str
    adapter: Path | None = None
    note: str | None = None
    base: Path | None = None

    def takes(self, exam: Exam) -> bool:
        return exam.kind == "choice"

    def answer(
        self, workspace: Workspace, sheets: Sequence[Sheet], progress: Progress
    ) -> Iterator[tuple[str, list[Prediction]]]:
        from fgvr_kit.families.base import Vlm

        train = workspace.settings.train
        if self.base and not (self.base / "config.json").is_file():
            raise ModelError(
                f"the model that {self.label} was trained on is not there any more",
                code="merged-missing",
                where=str(self.base),
                why="it is the base model with the stage before merged into it",
                hint="fgvr-kit train makes it again, and trains nothing that stands",
            )
        vlm = Vlm.load(
            str(self.base) if self.base else workspace.base_model,
            device=train.device,
            quantize=train.quantize,
            max_pixels=train.max_pixels,
            adapter=self.adapter,
        )
        for sheet in sheets:
            questions = sheet.exam.questions
            with progress.task(f"asking {self.label}", len(questions), done=len(sheet.known)) as task:
                for batch in _batches(questions, workspace.settings.evaluate.batch_size):
                    if all(question.image.id in sheet.known for question in batch):
                        continue
                    yield sheet.exam.protocol, _answered(vlm, workspace, batch)
                    task.advance(sum(question.image.id not in sheet.known for question in batch))


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
