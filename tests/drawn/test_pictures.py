"""The drawn dataset: the same pictures each time, and nothing false said of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.drawn.pictures import QUESTIONS, WORLD, Sizes, draw
from fgvr_kit.errors import WorkspaceError
from fgvr_kit.toy.world.held_out import benchmark_classes
from fgvr_kit.toy.world.scenes import TRAINING_SEEDS, scene_of

FEW = Sizes(train=2, test=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder, FEW)
    return folder


def test_every_class_has_its_pictures_on_both_sides(drawn: Path) -> None:
    for split, n in (("train", 2), ("test", 1)):
        folders = {path.name: len(list(path.glob("*.png"))) for path in (drawn / "images" / split).iterdir()}
        assert folders == dict.fromkeys(benchmark_classes(), n)
    everything = [pixel_sha256(open_image(path)) for path in drawn.rglob("*.png")]
    assert len(set(everything)) == 60  # no picture twice, above all not on both sides


def test_they_are_drawn_from_worlds_that_no_toy_is_trained_on() -> None:
    assert WORLD not in TRAINING_SEEDS


def test_what_is_said_is_what_was_drawn(drawn: Path) -> None:
    lines = [json.loads(line) for line in (drawn / "replies.jsonl").read_text().splitlines()]
    answers = {line["image"]: line["answers"] for line in lines if line["purpose"] == "extract"}
    assert len(answers) == 60
    for name, fixed in benchmark_classes().items():
        said = answers[pixel_sha256(open_image(drawn / "images" / "test" / name / "0002.png"))]
        assert set(said) == {"general", *QUESTIONS}
        assert said["colour"] == fixed["colour"]
        assert said["petals"] == fixed.get("petals", "not visible")
        assert name not in json.dumps(said)  # a description does not name the class
    with (drawn / "attributes.csv").open() as content:
        assert [row["attribute"] for row in csv.DictReader(content)] == list(QUESTIONS)


def test_drawing_goes_on_where_it_was_killed(drawn: Path) -> None:
    picture = drawn / "images" / "train" / "pellin" / "0001.png"
    before = picture.read_bytes()
    picture.unlink()
    draw(drawn, FEW)
    assert picture.read_bytes() == before
    wanted = scene_of(benchmark_classes()["pellin"], WORLD, 1).pixels
    assert pixel_sha256(Image.open(picture)) == pixel_sha256(Image.fromarray(wanted))


def test_other_numbers_in_the_same_folder_are_refused(drawn: Path) -> None:
    with pytest.raises(WorkspaceError) as caught:
        draw(drawn, Sizes(train=3, test=1))
    assert caught.value.code == "other-pictures"
