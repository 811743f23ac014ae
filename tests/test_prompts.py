from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit import shipped
from fgvr_kit.errors import PromptError
from fgvr_kit.prompts import Prompts


def own(tmp_path: Path, text: str) -> Prompts:
    (tmp_path / "ask").mkdir()
    (tmp_path / "ask" / "open.md").write_text(text)
    return Prompts(tmp_path)


@pytest.mark.parametrize("name", Prompts().names())
def test_every_shipped_prompt_says_what_it_is_for_and_where_it_comes_from(name: str) -> None:
    template = Prompts().get(name)
    assert template.about
    assert template.answer
    assert template.source
    assert template.body


def test_the_shipped_prompts_are_found() -> None:
    assert "ask/choice" in Prompts().names()
    assert (shipped.folder("prompts") / "ask" / "choice.md").is_file()


def test_a_workspace_copy_wins_and_has_another_hash(tmp_path: Path) -> None:
    prompts = own(tmp_path, '+++\nneeds = ["unit"]\n+++\nWhich {{ unit }}?')
    assert prompts.render("ask/open", superclass="coin", unit="breed").text == "Which breed?"
    assert prompts.get("ask/open").hash != Prompts().get("ask/open").hash


def test_front_matter_that_is_not_sent_does_not_change_the_hash(tmp_path: Path) -> None:
    one = own(tmp_path, '+++\nabout = "a"\n+++\nHello').get("ask/open").hash
    (tmp_path / "ask" / "open.md").write_text('+++\nabout = "b"\n+++\nHello\n')
    assert Prompts(tmp_path).get("ask/open").hash == one


@pytest.mark.parametrize(
    ("text", "code", "in_hint"),
    [
        ('+++\nneeds = ["unit"]\n+++\n{{ superclas }}', "prompt-variable", "unit"),
        ('+++\nneeds = ["colour"]\n+++\n{{ colour }}', "prompt-variable", "superclass, unit"),
        ("+++\n+++\n{{ unit", "prompt-syntax", "shipped"),
        ("no front matter", "prompt-front-matter", "+++"),
        ("+++\nneeds = [\n+++\nx", "prompt-front-matter", "TOML"),
        ('+++\nabuot = "x"\n+++\nx', "prompt-front-matter", "about"),
    ],
)
def test_a_broken_prompt_names_the_file_and_the_way_out(
    tmp_path: Path, text: str, code: str, in_hint: str
) -> None:
    with pytest.raises(PromptError) as caught:
        own(tmp_path, text).render("ask/open", superclass="coin", unit="breed")
    assert caught.value.code == code
    assert in_hint in caught.value.hint
    assert caught.value.where == str(tmp_path / "ask" / "open.md")


def test_an_unknown_prompt_offers_the_closest() -> None:
    with pytest.raises(PromptError) as caught:
        Prompts().get("ask/chioce")
    assert caught.value.hint == "did you mean 'ask/choice'?"


def test_a_template_cannot_reach_into_python(tmp_path: Path) -> None:
    prompts = own(tmp_path, '+++\nneeds = ["unit"]\n+++\n{{ unit.__class__.__mro__ }}')
    with pytest.raises(PromptError) as caught:
        prompts.render("ask/open", superclass="coin", unit="breed")
    assert caught.value.code == "prompt-failed"
