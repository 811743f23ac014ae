"""examples/euro-coins: the recorded replies cover the photographs that ship."""

from __future__ import annotations

import csv
import json

import pytest

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.types import GENERAL, ImageClass
from tests.pipeline.coins import EXAMPLE

LINES = [json.loads(line) for line in (EXAMPLE / "replies.jsonl").read_text(encoding="utf-8").splitlines()]
with (EXAMPLE / "attributes.csv").open(encoding="utf-8", newline="") as file:
    ATTRIBUTES = [row["attribute"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Pixel hash -> class folder of every photograph, by path."""
    photographs = sorted(EXAMPLE.glob("t*/*/*.jpg"), key=lambda p: p.relative_to(EXAMPLE).as_posix())
    return {pixel_sha256(open_image(p)): p.parent.name for p in photographs}


def test_every_photograph_has_its_fourteen_answers_and_its_summary(hashes: dict[str, str]) -> None:
    assert len(hashes) == 460
    assert len(ATTRIBUTES) == 13
    extracted = {line["image"]: line["answers"] for line in LINES if line["purpose"] == "extract"}
    described = {line["image"]: line["text"] for line in LINES if line["purpose"] == "describe"}
    assert list(extracted) == list(described) == list(hashes)
    assert {tuple(answers) for answers in extracted.values()} == {(GENERAL, *ATTRIBUTES)}
    assert all(value.strip() for answers in extracted.values() for value in answers.values())
    assert all(text.strip() for text in described.values())


def test_no_recorded_reply_names_the_class_of_its_photograph(hashes: dict[str, str]) -> None:
    named = []
    for line in LINES:
        name = hashes[line["image"]]
        own = finder([ImageClass(name, name.replace("_", " "))])
        said = [line["text"]] if "text" in line else line["answers"].values()
        named += [(name, text) for text in said if own.find(text)]
    assert named == []
