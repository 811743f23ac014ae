from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, Batch, InstructCollator, number_words
from fgvr_kit.training.data.examples import (
    AlignExample,
    InstructExample,
    NegativeText,
    align_examples,
    instruct_examples,
)
from fgvr_kit.training.losses import alignment_loss
from fgvr_kit.training.objectives.finedefics import Align, instruct
from fgvr_kit.types import ImageRef
from fgvr_kit.workspace import Workspace

OBJECTIVE = Align(attribute_temperature=0.07, category_temperature=0.07, negatives="shared", ccc="paper")


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return Vlm.load("toy-vlm", device="cpu", quantize="none")


def example(class_id: int, *negatives: int) -> AlignExample:
    return AlignExample(
        ImageRef(Path("x.png"), "not looked at"), "?", "", f"looks like {class_id}", class_id, f"class {class_id}",
        tuple(NegativeText(n, f"class {n}", f"looks like {n}") for n in negatives),
    )  # fmt: skip


def test_every_text_is_numbered_once_and_short_rows_are_filled_and_marked() -> None:
    words = number_words([example(0, 1, 2), example(1, 0)])
    assert words.texts == (
        "looks like 0", "looks like 1", "class 0", "class 1", "looks like 2", "class 2",
    )  # fmt: skip
    assert words.attributes.tolist() == [0, 1]
    assert words.categories.tolist() == [2, 3]
    assert words.hard_attributes.tolist() == [[1, 4], [0, 0]]
    assert words.hard_categories.tolist() == [[3, 5], [2, 2]]
    assert words.class_ids.tolist() == [0, 1]
    assert words.hard_class_ids.tolist() == [[1, 2], [0, -1]]


def supervised_text(vlm: Vlm, batch: Batch, row: int) -> str:
    labels = batch.labels[row]
    return str(vlm.tokenizer.decode(labels[labels != -100])).strip()


def test_the_answer_and_its_end_are_all_that_is_supervised(vlm: Vlm, workspace: Workspace) -> None:
    align = align_examples(workspace).rows[:3]
    batch = AlignCollator(vlm)(align)["batch"]
    for row, wanted in enumerate(align):
        assert supervised_text(vlm, batch, row) == wanted.description + vlm.end_of_turn
    questions = instruct_examples(workspace).rows[:4]
    batch = InstructCollator(vlm)(questions)["batch"]
    for row, question in enumerate(questions):
        assert supervised_text(vlm, batch, row) == question.answer + vlm.end_of_turn
    assert batch.words is None


def test_the_objective_is_generation_plus_alignment_of_rows_embedded_one_by_one(
    vlm: Vlm, workspace: Workspace
) -> None:
    rows = align_examples(workspace).rows[::4]
    batch = AlignCollator(vlm)(rows)["batch"]
    with torch.no_grad():
        terms = OBJECTIVE(vlm, batch)

        def embed(texts: list[str]) -> torch.Tensor:
            return F.normalize(torch.cat([vlm.embed_texts([text]) for text in texts]), dim=-1)

        objects, generation, n_tokens = [], 0.0, 0
        for row in rows:
            one = InstructCollator(vlm)([row_as_question(row)])["batch"]
            objects.append(vlm.embed_objects(one.inputs, vlm.image_features(one.inputs)))
            n = int((one.labels != -100).sum())
            generation += n * float(instruct(vlm, one).total)
            n_tokens += n
        wanted = alignment_loss(
            F.normalize(torch.cat(objects), dim=-1),
            embed([r.description for r in rows]),
            embed([r.class_text for r in rows]),
            torch.stack([embed([n.description for n in r.negatives]) for r in rows]),
            torch.stack([embed([n.class_text for n in r.negatives]) for r in rows]),
            class_ids=torch.tensor([r.class_id for r in rows]),
            hard_class_ids=torch.tensor([[n.class_id for n in r.negatives] for r in rows]),
        )
    assert float(terms.parts["generation"]) == pytest.approx(generation / n_tokens, rel=1e-4)
    assert float(terms.parts["object_attribute"]) == pytest.approx(float(wanted.object_attribute), rel=1e-3)
    assert float(terms.parts["attribute_category"]) == pytest.approx(
        float(wanted.attribute_category), rel=1e-3
    )
    assert float(terms.parts["category_category"]) == pytest.approx(float(wanted.category_category), rel=1e-3)
    assert float(terms.total) == pytest.approx(
        float(terms.parts["generation"]) + float(wanted.total), rel=1e-3
    )


def row_as_question(row: AlignExample) -> InstructExample:
    return InstructExample(row.image, row.question, row.system, row.description)


def test_the_images_of_a_step_go_through_the_vision_tower_once(vlm: Vlm, workspace: Workspace) -> None:
    calls: list[int] = []
    tower = vlm.base_model.get_submodule(vlm.family.vision)
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    OBJECTIVE(vlm, AlignCollator(vlm)(align_examples(workspace).rows[:4])["batch"])
    handle.remove()
    assert len(calls) == 1


def test_a_batch_moves_with_all_its_tensors(vlm: Vlm, workspace: Workspace) -> None:
    batch = AlignCollator(vlm)(align_examples(workspace).rows[:2])["batch"].to("meta")
    assert batch.words is not None
    tensors = [batch.labels, batch.words.hard_class_ids, batch.words.attributes, *batch.inputs.values()]
    assert {t.device.type for t in tensors} == {"meta"}
    assert all(isinstance(text, str) for text in batch.words.texts)
