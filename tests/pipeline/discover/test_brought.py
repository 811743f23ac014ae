from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.pipeline import discover as module
from fgvr_kit.pipeline.discover import discover
from fgvr_kit.types import Attribute
from tests.pipeline.coins import opened
from tests.pipeline.discover.listing import notes, with_parents


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "attribute,question,options,superclass,status\nrim,How?,plain|ribbed,,\near,,,cat,\nx,,,,dropped\n"),
        ("a.csv", 'attribute;question;options;superclass\nrim;How?;"plain; ribbed";\near;;;cat\n'),
        ("a.json", '[{"name": "rim", "question": "How?", "values": "plain|ribbed"}, {"name": "ear", "parent": "cat"}]'),
        ("a.txt", "rim: How? [plain; ribbed]\near\n"),
    ],
)  # fmt: skip
def test_an_expert_brings_values_and_superclasses_too(root: Path, name: str, text: str) -> None:
    with_parents(root, "cat", "dog")
    (root / name).write_text(text)
    with opened(root) as workspace:
        discover(workspace, from_file=root / name)
        rim, ear = workspace.attributes()
    assert (rim.question, rim.options) == ("How?", ("plain", "ribbed"))
    assert ear.superclass == ("" if name == "a.txt" else "cat")
    assert notes(root)["rim"] == f"from {name}"


def test_an_attribute_of_a_superclass_that_no_class_has_is_left_out(root: Path) -> None:
    (root / "a.csv").write_text("attribute,question,superclass\nrim,,\near,,cat\n")
    with opened(root) as workspace:
        summary = discover(workspace, from_file=root / "a.csv")
        assert [a.name for a in workspace.attributes()] == ["rim"]
    assert [(what, n) for what, n, _ in summary.dropped] == [("attributes", 1)]


def test_a_file_is_added_to_the_list_and_its_rows_stay_as_they_are(root: Path) -> None:
    before = "attribute;question;mine;status\nrim;How is it?;x;\nwear;How worn?;y;dropped\n"
    (root / "attributes.csv").write_text(before)
    (root / "more.txt").write_text("rims\nWear\nmotif: Which motif? [map; tree]\n")
    with opened(root) as workspace:
        summary = discover(workspace, add=root / "more.txt")
        assert workspace.attributes() == [
            Attribute("rim", "How is it?"), Attribute("motif", "Which motif?", ("map", "tree")),
        ]  # fmt: skip
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
        assert discover(workspace, add=root / "more.txt").done["added"] == 0
    assert (summary.done["added"], summary.done["attributes"]) == (1, 2)
    assert summary.dropped == (("attributes", 2, "in the list already"),)
    assert (root / "attributes.csv").read_text().splitlines()[1:3] == before.splitlines()[1:]


def test_an_attribute_of_one_superclass_is_added_beside_that_of_another(root: Path) -> None:
    with_parents(root, "cat", "dog")
    (root / "attributes.csv").write_text("attribute,question,superclass\near,How?,cat\nrim,Which?,\n")
    (root / "more.csv").write_text("attribute,question,superclass\near,,cat\near,Long?,dog\nrim,,dog\n")
    with opened(root) as workspace:
        assert discover(workspace, add=root / "more.csv").done["added"] == 1
        assert [(a.name, a.superclass) for a in workspace.attributes()] == [
            ("ear", "cat"), ("rim", ""), ("dog_ear", "dog"),
        ]  # fmt: skip
        assert discover(workspace, add=root / "more.csv").done["added"] == 0


def test_a_file_that_is_added_to_nothing_is_the_list(root: Path) -> None:
    (root / "more.txt").write_text("motif\n")
    with opened(root) as workspace:
        discover(workspace, add=root / "more.txt")
        assert [a.name for a in workspace.attributes()] == ["motif"]


def test_a_list_that_is_replaced_is_kept_beside_the_new_one(root: Path, tmp_path: Path) -> None:
    mine = "attribute,question,note\nrim,How is the rim?,mine\n"
    (root / "attributes.csv").write_text(mine)
    (tmp_path / "new.txt").write_text("metal: Which metal?\n")
    with opened(root) as workspace:
        summary = discover(workspace, from_file=tmp_path / "new.txt", replace=True)
        assert [a.name for a in workspace.attributes()] == ["metal"]
    assert (root / "attributes.old.csv").read_text() == mine
    assert "attributes-replaced" in [n.code for n in summary.notices]
