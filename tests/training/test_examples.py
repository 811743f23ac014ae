from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from fgvr_kit.errors import WorkspaceError
from fgvr_kit.training.examples import (
    NegativeText,
    align_digest,
    align_examples,
    instruct_digest,
    instruct_examples,
    shuffled_options,
)
from fgvr_kit.types import Description, Image
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
    instruct = instruct_examples(workspace, seed=0)
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
    for build in (align_examples, lambda w: instruct_examples(w, seed=0)):
        with pytest.raises(WorkspaceError) as caught:
            build(workspace)
        assert (caught.value.code, caught.value.hint) == ("no-negatives", "fgvr-kit mine")


def test_each_training_image_gives_an_open_and_a_choice_row(workspace: Workspace) -> None:
    rows = instruct_examples(workspace, seed=0).rows
    assert len(rows) == 24
    assert Counter(row.image for row in rows) == {row.image: 2 for row in rows}
    assert rows[0].question == "Name the species of the insect in this image. Reply with the name only."
    assert rows[0].answer == "Bee"


def test_the_letter_of_every_choice_row_stands_before_the_true_class(workspace: Workspace) -> None:
    truth = {workspace.ref_of(i): i.class_name.title() for i in workspace.store.images("train")}
    rows = instruct_examples(workspace, seed=0).rows[1::2]
    for row in rows:
        assert f"\n{row.answer}. {truth[row.image]}\n" in row.question
    assert {row.answer for row in rows} == {"A", "B", "C"}


def test_options_are_the_truth_and_the_negatives_and_hang_on_seed_and_pixels_alone(
    workspace: Workspace,
) -> None:
    negatives = workspace.store.negatives()
    images = workspace.store.images("train")
    orders = {seed: [shuffled_options(i, negatives[i.id], seed=seed) for i in images] for seed in (0, 1)}
    for image, names in zip(images, orders[0], strict=True):
        assert sorted(names) == sorted({image.class_name, *(n.class_name for n in negatives[image.id])})
    assert orders[0] != orders[1]
    renamed = Image(99, "elsewhere.png", images[0].class_name, "train", images[0].sha256)
    assert shuffled_options(renamed, negatives[images[0].id], seed=0) == orders[0][0]


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
