from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.planted import lint, planted_names
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(
        class_folders(tmp_path / "pests", {"honey_bee": 4, "wasp": 4}), tmp_path, ["domain.superclass=insect"]
    )
    return tmp_path


def found(root: Path, *overrides: str) -> list[tuple[str, int | None, str]]:
    with Workspace(root, overrides) as workspace:
        return [(Path(p.where).name, p.line, p.found) for p in planted_names(workspace)]


def plant(root: Path, text: str) -> None:
    file = ejected(root, "extract/general")
    file.write_text(file.read_text() + text)


def test_what_is_shipped_names_nothing(root: Path) -> None:
    assert found(root) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Is it a honey bee?", "honey bee"), ("Honey-Bees differ.", "honey-bees"), ("No WASPS here.", "wasps"),
        ('{{ "wasp" }}', "wasp"),
    ],
)  # fmt: skip
def test_a_planted_name_is_found_with_its_line(root: Path, text: str, name: str) -> None:
    n_lines = len(ejected(root, "extract/general").read_text().splitlines())
    plant(root, f"\n{text}")
    assert found(root) == [("general.md", n_lines + 2, name)]


@pytest.mark.parametrize("text", ["{# a wasp #}", "{% set wasp = 1 %}", "Waspish.", "A bee."])
def test_what_is_not_sent_and_what_is_no_name_is_left_alone(root: Path, text: str) -> None:
    plant(root, f"\n{text}")
    assert found(root) == []


def test_synonyms_questions_and_words_of_the_domain_are_looked_through(root: Path) -> None:
    classes = root / "classes.csv"
    classes.write_text("class,display_name,synonyms\nhoney_bee,honey bee,Apis\nwasp,wasp,\n")
    (root / "attributes.csv").write_text("attribute,question,note\nwing,Is it folded as in Apis?,\n")
    assert found(root, "domain.notes=mostly wasps") == [
        ("attributes.csv", None, "apis"),
        ("fgvr.toml, domain.notes", None, "wasps"),
    ]


def test_an_option_that_names_a_class_is_found_with_its_attribute(root: Path) -> None:
    (root / "attributes.csv").write_text(
        "attribute,question,options\nlooks,What does it look like?,a wasp; round\ncolour,Which?,red; blue\n"
    )
    with Workspace(root) as workspace:
        plants = planted_names(workspace)
        assert [(p.where, p.found, p.text) for p in plants] == [
            ("attributes.csv", "wasp", "option 'a wasp' of looks")
        ]
        assert [fault.kind for fault in lint(workspace)] == ["planted-name"]


def test_a_colour_that_is_a_class_too_is_no_plant(tmp_path: Path) -> None:
    init(class_folders(tmp_path / "fruit", {"orange": 4, "plum": 4}), tmp_path, ["domain.superclass=fruit"])
    (tmp_path / "attributes.csv").write_text(
        "attribute,question,options\ncolour,Which?,orange; plum; two oranges\n"
    )
    assert found(tmp_path) == [("attributes.csv", None, "oranges")]


def test_a_name_in_a_part_is_found_where_it_stands_and_once(root: Path) -> None:
    (root / "prompts" / "parts").mkdir(parents=True)
    (root / "prompts" / "parts" / "light.md").write_text("\n\nNo wasp.")
    for name in ("extract/general", "extract/question"):
        file = ejected(root, name)
        file.write_text(file.read_text() + '\n{% include "parts/light.md" %}')
    assert found(root) == [("light.md", 3, "wasp")]


def test_only_the_prompts_of_a_step_are_looked_through(root: Path) -> None:
    plant(root, "\nNo wasp.")
    with Workspace(root) as workspace:
        assert planted_names(workspace, ["extract/question"]) == []
        assert len(planted_names(workspace, ["extract/general"])) == 1


def test_the_shipped_prompts_have_no_fault(root: Path) -> None:
    with Workspace(root) as workspace:
        assert lint(workspace) == []


def test_a_fault_of_one_prompt_does_not_hide_that_of_another(root: Path) -> None:
    ejected(root, "ask/open").write_text('+++\nabuot = "x"\n+++\nWhich {{ superclass }}?')
    ejected(root, "extract/general").write_text("+++\n+++\nDescribe the wasp.")
    ejected(root, "extract/question").write_text('+++\nneeds = ["colour"]\n+++\n{{ colour }}')
    with Workspace(root) as workspace:
        assert [(fault.kind, Path(fault.where).name) for fault in lint(workspace)] == [
            ("broken", "open.md"),
            ("broken", "question.md"),
            ("no-superclass", "general.md"),
            ("no-superclass", "question.md"),
            ("planted-name", "general.md"),
        ]
