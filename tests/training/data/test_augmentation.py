from __future__ import annotations

import pytest
import torch
from PIL import Image as PilImage

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.errors import SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.augmentation import Augmented, Look, look_at, photograph, refuse_mirrors
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.data.examples import align_examples, both_examples, instruct_examples
from fgvr_kit.types import ImageRef
from fgvr_kit.workspace import Workspace


@pytest.fixture
def sided(tmp_path) -> ImageRef:  # type: ignore[no-untyped-def]
    """Red on the left, blue on the right."""
    picture = PilImage.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    picture.save(tmp_path / "sided.png")
    return ImageRef(tmp_path / "sided.png", pixel_sha256(open_image(tmp_path / "sided.png")))


def test_a_picture_is_shown_as_it_is_unless_it_is_looked_at_otherwise(sided: ImageRef) -> None:
    assert photograph(sided).getpixel((0, 0)) == (255, 0, 0)
    mirrored = photograph(Look(sided.path, sided.sha256, mirrored=True))
    assert (mirrored.size, mirrored.getpixel((0, 0))) == ((40, 20), (0, 0, 255))
    part = photograph(Look(sided.path, sided.sha256, part=(0.5, 0.0, 1.0, 0.5)))
    assert (part.size, part.getpixel((0, 0))) == ((20, 10), (0, 0, 255))


@pytest.mark.parametrize("augment", ["flip", "crop"])
def test_looks_hang_on_seed_epoch_and_pixels(workspace: Workspace, augment: str) -> None:
    rows = Augmented(align_examples(workspace).rows, augment, seed=1)

    def looks() -> list[Look]:
        return [row.image for row in rows]

    first = looks()
    rows.set_epoch(1)
    second = looks()
    rows.set_epoch(0)
    assert looks() == first != second
    assert [look.sha256 for look in first] == [row.image.sha256 for row in align_examples(workspace).rows]


def test_half_of_the_pictures_are_mirrored_and_parts_are_large(sided: ImageRef) -> None:
    many = [ImageRef(sided.path, f"{n:064x}") for n in range(400)]
    assert 150 < sum(look_at(image, "flip", "0 0").mirrored for image in many) < 250
    for image in many:
        left, top, right, bottom = look_at(image, "crop", "0 0").part
        assert min(right - left, bottom - top) >= 0.8
        assert min(left, top) >= 0
        assert max(right, bottom) <= 1


def test_what_the_model_gets_is_what_was_looked_at(workspace: Workspace) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    for make, collator in ((align_examples, AlignCollator), (instruct_examples, InstructCollator)):
        rows = make(workspace).rows[:4]
        plain = collator(vlm)(rows)["batch"].inputs["pixel_values"]
        cropped = collator(vlm)(Augmented(rows, "crop", seed=0)[:4])["batch"].inputs["pixel_values"]
        assert plain.shape != cropped.shape or not torch.equal(plain, cropped)


def test_both_stages_see_one_look(workspace: Workspace) -> None:
    for row in Augmented(both_examples(workspace).rows, "crop", seed=0):
        assert isinstance(row.image, Look)
        assert {question.image for question in row.questions} == {row.align.image}


def test_options_are_shuffled_anew_behind_a_look_too(workspace: Workspace) -> None:
    rows = Augmented(instruct_examples(workspace).rows, "flip", seed=0)
    before = [row.answer for row in rows]
    rows.set_epoch(1)
    assert [row.answer for row in rows] != before


@pytest.mark.parametrize(
    "setting",
    [
        "domain.notes='wings are seen from the left'",
        "domain.superclass='traffic sign'",
        "domain.unit='number'",
    ],
)
def test_mirrors_are_refused_where_words_speak_of_sides_or_writing(reopen, setting: str) -> None:  # type: ignore[no-untyped-def]
    with reopen("train.augment='flip'", setting) as workspace, pytest.raises(SettingsError) as caught:
        refuse_mirrors(workspace)
    assert caught.value.code == "flip-refused"


def test_mirrors_are_refused_where_a_class_or_an_attribute_has_sides(workspace: Workspace, reopen) -> None:  # type: ignore[no-untyped-def]
    with reopen("train.augment='flip'") as flipped:
        refuse_mirrors(flipped)
        (workspace.root / "attributes.csv").write_text("attribute,question\nface,What is the inscription?\n")
        with pytest.raises(SettingsError) as caught:
            refuse_mirrors(flipped)
    assert "inscription" in caught.value.message
