from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.errors import PromptError
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine.texts import nameless, texts_of
from fgvr_kit.types import ImageClass
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders

CLASSES = {
    c.name: c
    for c in (
        ImageClass("bee", "honey bee", ("Biene",), "Apis mellifera", parent="bees"),
        ImageClass("wasp", "wasp"),
    )
}
FRONT = '+++\nneeds = ["name", "synonyms", "scientific", "common", "parent", "superclass"]\n+++\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(
        class_folders(tmp_path / "pests", {"bee": 3, "wasp": 3}),
        tmp_path / "work",
        ["domain.superclass=insect"],
    )
    return tmp_path / "work"


def texts(root: Path, body: str) -> dict[str, list[str]]:
    (root / "prompts" / "mine").mkdir(parents=True, exist_ok=True)
    (root / "prompts" / "mine" / "own.md").write_text(FRONT + body)
    with Workspace(root, ["mine.prompt=mine/own"]) as workspace:
        return texts_of(workspace, CLASSES)


def test_every_line_is_a_text_and_the_names_of_the_class_are_given(root: Path) -> None:
    body = "a {{ name }}\n\n  an  {{ superclass }}: {{ name }}\n"
    body += "{% if scientific %}\n{{ scientific }}, {{ parent }}\n{% endif %}\n"
    body += "{% for synonym in synonyms %}\n{{ synonym }}\n{% endfor %}"
    assert texts(root, body) == {
        "bee": ["a honey bee", "an insect: honey bee", "Apis mellifera, bees", "Biene"],
        "wasp": ["a wasp", "an insect: wasp"],
    }


@pytest.mark.parametrize("body", ["a photo", "{% if scientific %}{{ scientific }}{% endif %}"])
def test_a_prompt_that_does_not_tell_classes_apart_is_refused(root: Path, body: str) -> None:
    with pytest.raises(PromptError) as caught:
        texts(root, body)
    assert caught.value.code == "prompt-classes-alike"


def test_lines_without_any_name_of_their_class_are_noticed() -> None:
    named = {"bee": ["a Honey  BEE"], "wasp": ["a wasp"]}
    assert nameless(named, CLASSES, "mine/own") == ()
    (notice,) = nameless(
        named | {"bee": ["apis_mellifera", "a photo", "yellow and black"]}, CLASSES, "mine/own"
    )
    assert notice.code == "prompt-nameless"
    assert notice.message.startswith("2 ")


@pytest.mark.parametrize("prompt", ["mine/class", "mine/ensemble"])
def test_the_prompts_that_come_along_name_every_class(root: Path, prompt: str) -> None:
    with Workspace(root, [f"mine.prompt={prompt}"]) as workspace:
        found = texts_of(workspace, CLASSES)
    assert nameless(found, CLASSES, prompt) == ()
    assert len(found["wasp"]) == (1 if prompt == "mine/class" else 6)
    assert found["bee"][0] == "an image of a honey bee"
