from __future__ import annotations

from collections.abc import Callable

import pytest

from fgvr_kit.errors import SettingsError
from fgvr_kit.training.data.examples import align_digest, align_examples
from fgvr_kit.training.data.material import Material, descriptions_for, first_sentences
from fgvr_kit.types import GENERAL, Answer
from fgvr_kit.workspace import Workspace


@pytest.fixture
def answered(workspace: Workspace) -> Workspace:
    """Three attributes; the first image of each class differs in colour from the two others."""
    (workspace.root / "attributes.csv").write_text(
        "attribute,question\ncolour,What colour is it?\nwing_shape,What shape is the wing?\nsize,How large?\n"
    )
    answers = []
    for image in workspace.store.images("train"):
        first = image.path.endswith("/0.png")
        answers += [
            Answer(image.id, "colour", "pale" if first else f"{image.class_name[0]}-coloured", None),
            Answer(image.id, "wing_shape", "not visible" if first else "long", None),
            Answer(image.id, "size", "like a red ant", None),
            Answer(image.id, GENERAL, "Something small.", None),
        ]
    workspace.store.put_answers(answers)
    return workspace


def texts(workspace: Workspace, **changed: object) -> dict[str, str]:
    """path -> description."""
    images = workspace.store.images("train")
    found = descriptions_for(workspace, images, Material(**changed))  # type: ignore[arg-type]
    return {image.path: found[image.id] for image in images if image.id in found}


def test_stored_descriptions_are_the_default(workspace: Workspace) -> None:
    assert texts(workspace)["wasp/1.png"] == "The wasp is seen from above, number wasp/1.png."


def test_composed_descriptions_hold_what_is_visible_and_not_the_free_one(answered: Workspace) -> None:
    found = texts(answered, composed=True)
    assert found["wasp/1.png"] == "Colour: w-coloured. Wing shape: long. Size: like a red ant."
    assert found["wasp/0.png"] == "Colour: pale. Size: like a red ant."


def test_an_attribute_that_is_left_out_stands_in_no_description(answered: Workspace) -> None:
    found = texts(answered, composed=True, left_out=("colour",))
    assert found["wasp/1.png"] == "Wing shape: long. Size: like a red ant."


def test_a_composed_description_does_not_name_its_class(answered: Workspace) -> None:
    assert texts(answered, composed=True)["red ant/1.png"].endswith("Size: like an insect.")


def test_a_class_is_described_by_its_most_usual_answers(answered: Workspace) -> None:
    found = texts(answered, attributes="class")
    assert (
        found["wasp/0.png"]
        == found["wasp/2.png"]
        == "Colour: w-coloured. Wing shape: long. Size: like a red ant."
    )
    assert found["bee/0.png"] != found["wasp/0.png"]


def test_what_cannot_be_left_out_is_refused(answered: Workspace) -> None:
    for changed, code in (
        ({"left_out": ("colour",)}, "left-out-needs-composed"),
        ({"left_out": ("smell",), "composed": True}, "left-out-unknown"),
    ):
        with pytest.raises(SettingsError) as caught:
            texts(answered, **changed)
        assert caught.value.code == code


def test_noise_gives_a_share_of_images_the_words_of_another_class(workspace: Workspace) -> None:
    whole, some = texts(workspace), texts(workspace, noise=0.5)
    changed = [path for path in whole if some[path] != whole[path]]
    assert 0 < len(changed) < len(whole)
    assert texts(workspace, noise=0.5, seed=1) != some == texts(workspace, noise=0.5)
    everything = texts(workspace, noise=1.0)
    assert all(path.split("/")[0] not in text for path, text in everything.items())


@pytest.mark.parametrize(
    ("n", "kept"), [(0, "One. Two! Three?"), (1, "One."), (2, "One. Two!"), (9, "One. Two! Three?")]
)
def test_descriptions_are_cut_after_sentences(n: int, kept: str) -> None:
    assert first_sentences("One. Two! Three?", n) == kept


def test_without_attributes_the_answer_and_the_words_are_the_class_name(workspace: Workspace) -> None:
    workspace.store.put_descriptions([])
    rows = align_examples(workspace, Material(attributes="none")).rows
    assert len(rows) == 12
    assert {row.description for row in rows} == {"Bee", "Black Ant", "Red Ant", "Wasp"}
    assert rows[0].question == "Name the species of the insect in this image. Reply with the name only."
    assert all(n.description == n.class_text for row in rows for n in row.negatives)


def test_the_digest_tells_every_ablation_apart(answered: Workspace, reopen: Callable[..., Workspace]) -> None:
    made = [
        Material(), Material(attributes="class"), Material(attributes="none"), Material(composed=True),
        Material(composed=True, left_out=("size",)), Material(noise=0.5), Material(negatives_from="random"),
    ]  # fmt: skip
    digests = [align_digest(answered, material) for material in made]
    assert len(set(digests)) == len(made)
    assert digests == [align_digest(reopen(), material) for material in made]
