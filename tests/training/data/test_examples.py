from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from fgvr_kit.errors import WorkspaceError
from fgvr_kit.training.data.examples import (
    NegativeText,
    align_digest,
    align_examples,
    both_examples,
    instruct_digest,
    instruct_examples,
    shuffled_options,
)
from fgvr_kit.training.data.material import Material
from fgvr_kit.types import Description
from fgvr_kit.workspace import Workspace


def describe(workspace: Workspace, but: set[str]) -> None:
    images = [i for i in workspace.store.images("train") if i.path not in but]
    workspace.store.put_descriptions([Description(i.id, f"Seen: {i.path}", "model") for i in images])


def test_an_align_example_holds_image_words_and_negatives(workspace: Workspace) -> None:
    examples = align_examples(workspace)
    first = examples.rows[0]
    assert len(examples.rows) == 12
    assert examples.dropped == ()
    assert first.image.path == workspace.dataset / "bee/0.png"
    assert first.question == "Describe what can be seen of the insect in this image."
    assert (first.description, first.class_id, first.class_text) == (
        "The bee is seen from above, number bee/0.png.",
        0,
        "Bee",
    )
    assert first.negatives == (
        NegativeText(1, "Black Ant", "The black ant is seen from above, number black ant/0.png."),
        NegativeText(2, "Red Ant", "The red ant is seen from above, number red ant/0.png."),
    )


def test_images_and_negatives_without_description_are_left_out_and_counted(workspace: Workspace) -> None:
    """bee/0 is the first negative of the nine images of other classes."""
    describe(workspace, but={"bee/0.png", "wasp/1.png"})
    examples = align_examples(workspace)
    assert len(examples.rows) == 10
    assert examples.dropped == (("negatives", 8, "no description"), ("training images", 2, "no description"))


def test_images_without_negatives_are_left_out_and_counted(workspace: Workspace) -> None:
    kept = [n for ns in workspace.store.negatives().values() for n in ns if n.class_name != "bee"]
    ids = {i.id for i in workspace.store.images("train") if i.path == "bee/0.png"}
    workspace.store.put_mined([n for n in kept if n.image_id not in ids], [])
    assert align_examples(workspace).dropped == (("training images", 1, "no negatives"),)
    instruct = instruct_examples(workspace)
    assert len(instruct.rows) == 23
    assert instruct.dropped == (("multiple-choice rows", 1, "the image has no negatives"),)


def test_images_whose_negatives_are_all_undescribed_are_left_out(workspace: Workspace) -> None:
    describe(workspace, but={"bee/0.png", "black ant/0.png", "red ant/0.png"})
    examples = align_examples(workspace)
    assert examples.rows == []
    assert ("training images", 9, "none of its negatives has a description") in examples.dropped


def test_no_descriptions_and_no_negatives_say_what_to_run(workspace: Workspace) -> None:
    workspace.store.put_descriptions([])
    with pytest.raises(WorkspaceError) as caught:
        align_examples(workspace)
    assert (caught.value.code, caught.value.hint) == ("no-descriptions", "fgvr-kit attributes")
    describe(workspace, but=set())
    workspace.store.put_mined([], [])
    for build in (align_examples, instruct_examples):
        with pytest.raises(WorkspaceError) as caught:
            build(workspace)
        assert (caught.value.code, caught.value.hint) == ("no-negatives", "fgvr-kit mine")


def test_each_training_image_gives_an_open_and_a_choice_row(workspace: Workspace) -> None:
    rows = instruct_examples(workspace).rows
    assert len(rows) == 24
    assert Counter(row.image for row in rows) == {row.image: 2 for row in rows}
    assert rows[0].question == "Name the species of the insect in this image. Reply with the name only."
    assert rows[0].answer == "Bee"


def test_the_letter_of_every_choice_row_stands_before_the_true_class(workspace: Workspace) -> None:
    truth = {workspace.ref_of(i): i.class_name.title() for i in workspace.store.images("train")}
    rows = instruct_examples(workspace).rows[1::2]
    for row in rows:
        assert f"\n{row.answer}. {truth[row.image]}\n" in row.question
    assert {row.answer for row in rows} == {"A", "B", "C"}


def test_options_are_shown_in_another_order_in_every_epoch_and_for_every_seed(workspace: Workspace) -> None:
    def letters(seed: int, epoch: int) -> list[str]:
        rows = instruct_examples(workspace, Material(questions=("choice",), seed=seed)).rows
        rows.set_epoch(epoch)  # type: ignore[attr-defined]
        return [row.answer for row in rows]

    assert letters(0, 0) == letters(0, 0)
    assert len({tuple(letters(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_more_images_move_the_options_of_none(workspace: Workspace) -> None:
    def rows() -> dict[str, str]:
        asked = instruct_examples(workspace, Material(questions=("choice",))).rows
        return {row.image.sha256: row.question for row in asked}

    before = rows()
    kept = [n for ns in workspace.store.negatives().values() for n in ns if n.image_id > 2]
    workspace.store.put_mined(kept, [])
    after = rows()
    assert 0 < len(after) < len(before)
    assert after.items() <= before.items()


def test_what_previews_of_prompts_show_is_the_first_epoch(workspace: Workspace) -> None:
    negatives = workspace.store.negatives()
    rows = instruct_examples(workspace, Material(questions=("choice",), seed=7)).rows
    for image, row in zip(workspace.store.images("train"), rows, strict=True):
        names = shuffled_options(image, negatives[image.id], seed=7)
        assert row.answer == "ABCDE"[names.index(image.class_name)]
        assert [line[3:] for line in row.question.splitlines() if line[1:3] == ". "] == [
            name.title() for name in names
        ]


def test_questions_can_be_of_one_kind(workspace: Workspace) -> None:
    answers = {row.answer for row in instruct_examples(workspace, Material(questions=("open",))).rows}
    assert answers == {"Bee", "Black Ant", "Red Ant", "Wasp"}
    workspace.store.put_mined([], [])
    assert len(instruct_examples(workspace, Material(questions=("open",))).rows) == 12


def test_both_stages_at_once_ask_of_each_image_what_each_of_them_asks(workspace: Workspace) -> None:
    rows = both_examples(workspace).rows
    assert len(rows) == 12
    assert all(len(row.questions) == 2 and {q.image for q in row.questions} == {row.image} for row in rows)
    assert [row.align for row in rows] == list(align_examples(workspace).rows)
    first = [row.questions for row in rows]
    rows.set_epoch(1)  # type: ignore[attr-defined]
    assert [row.questions for row in rows] != first, "as in stage instruct, options are shuffled anew"


def test_a_digest_changes_with_what_the_stage_reads_and_with_nothing_else(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    align, instruct = align_digest(workspace), instruct_digest(workspace)
    assert (align_digest(reopen()), instruct_digest(reopen())) == (align, instruct)
    describe(workspace, but=set())
    assert align_digest(workspace) != align
    assert instruct_digest(workspace) == instruct
    kept = [n for ns in workspace.store.negatives().values() for n in ns if n.rank == 0]
    workspace.store.put_mined(kept, [])
    assert instruct_digest(workspace) != instruct
