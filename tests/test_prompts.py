from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit import shipped
from fgvr_kit.errors import PromptError, SettingsError
from fgvr_kit.prompts import Prompts
from fgvr_kit.settings import DomainSettings, load
from fgvr_kit.templates import load_all


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
        ('+++\nneeds = ["unit"]\n+++\n{{ superclas }}', "prompt-variable", "superclass"),
        ('+++\nneeds = ["colour"]\n+++\n{{ colour }}', "prompt-variable", "superclass, unit"),
        ("+++\n+++\n{{ unit", "prompt-syntax", "shipped"),
        ("no front matter", "prompt-front-matter", "+++"),
        ("+++\nneeds = []\n++\nx", "prompt-front-matter", "+++"),
        ('+++\nneeds = "unit"\n+++\n{{ unit }}', "prompt-front-matter", "list"),
        ("+++\nabout = 3\n+++\nx", "prompt-front-matter", "quotes"),
        ('+++\nabuot = "x"\n+++\nx', "prompt-front-matter", "did you mean 'about'?"),
        ("+++\n+++\n \n", "prompt-empty", "shipped"),
        ("+++\n+++\n{% if %}", "prompt-syntax", "shipped"),
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


# --- where a prompt comes from ------------------------------------------------------------------------------


def test_the_workspace_goes_before_the_template_and_that_before_the_shipped(tmp_path: Path) -> None:
    prompts = Prompts(tmp_path, template="plants-disease")
    assert prompts.origin(prompts.file("ask/open")).label == "template plants-disease"
    assert prompts.origin(prompts.file("mine/class")).label == "shipped"
    own = prompts.eject("ask/open")
    assert own.read_bytes() == (load_folder("plants-disease") / "ask" / "open.md").read_bytes()
    assert prompts.origin(prompts.file("ask/open")).label == "workspace"


def load_folder(name: str) -> Path:
    return next(template.prompts for template in load_all() if template.name == name)


def test_ejecting_never_replaces_what_was_edited_unless_forced(tmp_path: Path) -> None:
    prompts = Prompts(tmp_path)
    own = prompts.eject("ask/open")
    shipped_text = own.read_text()
    own.write_text(shipped_text + "\nMine.")
    with pytest.raises(PromptError) as caught:
        prompts.eject("ask/open.md")
    assert caught.value.code == "prompt-own"
    assert own.read_text().endswith("Mine.")
    assert prompts.eject("ask/open", force=True).read_text() == shipped_text


@pytest.mark.parametrize(
    ("name", "hint"), [("question", "'extract/question'"), ("../ask/open", "'ask/open'")]
)
def test_a_prompt_is_looked_for_by_its_name_alone(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "prompts").mkdir()
    with pytest.raises(PromptError) as caught:
        Prompts(tmp_path / "prompts").get(name)
    assert caught.value.code == "prompt-missing"
    assert hint in caught.value.hint


def test_a_file_may_be_named_instead_of_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "two.md").write_text('+++\nneeds = ["unit"]\n+++\nWhich {{ unit }}?')
    monkeypatch.chdir(tmp_path)
    template = Prompts().get("drafts/two.md")
    assert (template.name, template.render(unit="breed").text) == ("drafts/two.md", "Which breed?")
    assert Prompts().get("ask/open.md").name == "ask/open"
    assert Prompts().get(str(shipped.folder("prompts") / "ask" / "open.md")).name == "ask/open"


# --- parts --------------------------------------------------------------------------------------------------


def with_part(tmp_path: Path, prompt: str, **parts: str) -> Prompts:
    (tmp_path / "parts").mkdir()
    for name, text in parts.items():
        (tmp_path / "parts" / f"{name}.md").write_text(text)
    return own(tmp_path, prompt)


INCLUDES = '+++\nneeds = ["unit"]\n+++\nWhich {{ unit }}?\n{% include "parts/light.md" %}'


def test_a_part_is_taken_in_and_is_no_prompt(tmp_path: Path) -> None:
    prompts = with_part(tmp_path, INCLUDES, light="Mind the light of the {{ unit }}.")
    assert prompts.render("ask/open", unit="breed").text == "Which breed?\nMind the light of the breed."
    assert "parts/light" not in prompts.names()
    assert prompts.parts() == ["parts/light.md"]


def test_what_a_part_needs_the_prompt_needs(tmp_path: Path) -> None:
    prompts = with_part(tmp_path, INCLUDES, light='+++\nneeds = ["notes"]\n+++\n{{ notes }}')
    assert prompts.get("ask/open").needs == ("unit", "notes")
    assert prompts.render("ask/open", unit="breed", notes="Dim.").text == "Which breed?\nDim."


def test_the_hash_covers_parts_and_the_parts_of_parts(tmp_path: Path) -> None:
    prompts = with_part(tmp_path, INCLUDES, light='{% include "parts/far.md" %}', far="Far.")
    before = prompts.get("ask/open").hash
    (tmp_path / "parts" / "far.md").write_text("Near.")
    assert prompts.get("ask/open").hash != before
    assert prompts.render("ask/open", unit="breed").text == "Which breed?\nNear."


def test_a_part_sees_what_the_prompt_has_set(tmp_path: Path) -> None:
    text = '+++\n+++\n{% set mood = "dim" %}\n{% include "parts/light.md" %}'
    assert with_part(tmp_path, text, light="It is {{ mood }}.").render("ask/open").text == "It is dim."


@pytest.mark.parametrize(
    ("prompt", "light", "code", "hint"),
    [
        ('{% include "parts/ligth.md" %}', "x", "prompt-include", "'parts/light.md'"),
        ('{% include "../secret.md" %}', "x", "prompt-include", "parts"),
        ('{% include "/etc/hostname" %}', "x", "prompt-include", "parts"),
        ('{% include "parts/" ~ unit %}', "x", "prompt-include", "{% include"),
        ('{% include "parts/light.md" %}', '{% include "parts/light.md" %}', "prompt-include", "out"),
        ('{% include "parts/light.md" %}', "{{ unti }}", "prompt-variable", "'unit'"),
    ],
)
def test_a_part_that_cannot_be_taken_in_is_told(
    tmp_path: Path, prompt: str, light: str, code: str, hint: str
) -> None:
    prompts = with_part(tmp_path, f'+++\nneeds = ["unit"]\n+++\n{prompt}', light=light)
    with pytest.raises(PromptError) as caught:
        prompts.render("ask/open", unit="breed")
    assert caught.value.code == code
    assert hint in caught.value.hint


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("+++\n+++\n\nOne\n{{ unti }}", "line 5"),
        ('+++\nneeds = ["unit"]\n+++\nOne\n{% if not unit %}\n{{ nots }}\n{% endif %}', "line 6"),
        ('+++\nneeds = ["unit"]\n+++\nOne\n{{ unit.size }}', "line 5"),
        ('+++\nneeds = ["unit"]\n+++\nOne\n\n{{ unit + 1 }}', "line 6"),
        ("+++\n+++\nOne\n{% for %}", "line 4"),
    ],
)
def test_an_error_names_the_line_of_the_file(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(PromptError) as caught:
        own(tmp_path, text).render("ask/open", unit="breed")
    assert f"ask/open, {line}:" in caught.value.message
    assert caught.value.where == str(tmp_path / "ask" / "open.md")


def test_an_error_in_a_part_names_the_part(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        with_part(tmp_path, INCLUDES, light="One\n{{ unit.size }}").render("ask/open", unit="breed")
    assert caught.value.where == str(tmp_path / "parts" / "light.md")
    assert "line 2" in caught.value.message


def test_a_word_of_the_domain_that_is_not_declared_says_where_to_declare_it(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        own(tmp_path, "+++\n+++\n{{ superclas }}").get("ask/open")
    assert caught.value.hint == "did you mean 'superclass'? add 'superclass' to needs in the front matter"


def test_what_the_step_gives_can_be_declared_too(tmp_path: Path) -> None:
    (tmp_path / "extract").mkdir()
    (tmp_path / "extract" / "question.md").write_text('+++\nneeds = ["notes"]\n+++\n{{ qestion }}')
    with pytest.raises(PromptError) as caught:
        Prompts(tmp_path).get("extract/question")
    assert caught.value.hint == "did you mean 'question'? add 'question' to needs in the front matter"


def test_a_variable_in_a_branch_that_is_seldom_taken_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        own(tmp_path, '+++\nneeds = ["notes"]\n+++\n{% if notes %}{{ note }}{% endif %}x').get("ask/open")
    assert caught.value.code == "prompt-variable"


# --- words of [domain] --------------------------------------------------------------------------------------


def test_words_of_the_domain_reach_every_prompt_without_being_passed() -> None:
    words = DomainSettings(superclass="beetle", unit="species", notes="Macro.", language="de").words()
    text = Prompts(words=words).render("extract/general").text
    assert text.startswith("About the photographs: Macro.")
    assert "the beetle" in text
    assert "name or species" in text
    assert text.endswith("Write in German.")


def test_english_needs_no_telling() -> None:
    for name in (
        "extract/general",
        "extract/question",
        "discover/attributes",
        "describe/summary",
        "align/describe",
    ):
        template = Prompts().get(name)
        given = {need: "x" for need in template.needs if need not in template.words} | {"answers": []}
        english = template.render(**given).text
        german = template.render(**given, language="German").text
        assert "German" in german
        assert "English" not in english
        assert "\n\n\n" not in english + german


@pytest.mark.parametrize("name", Prompts().names())
def test_a_shipped_prompt_declares_what_it_uses(name: str) -> None:
    template = Prompts().get(name)
    # What a step gives, though the shipped words leave it to those who edit them.
    may_be_unused = {"attribute", "synonyms", "scientific", "common", "parent"}
    assert set(template.needs) - template.uses <= may_be_unused


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("superclass", {"ask/open", "extract/question"}),
        ("notes", {"extract/question"}),
        ("unit", {"ask/open"}),
    ],
)
def test_a_fingerprint_depends_on_the_words_that_stand_in_the_prompt(name: str, changed: set[str]) -> None:
    names = ["ask/open", "extract/question", "mine/class"]
    before = Prompts().hashes(names)
    after = Prompts(words=DomainSettings(**{name: "another"}).words()).hashes(names)
    assert {name for name in names if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("said", "told"),
    [("en", ""), ("english", ""), ("de", "German"), ("pt-BR", "Portuguese (BR)"), ("Klingon", "Klingon")],
)
def test_a_language_may_be_a_code_or_a_name(said: str, told: str) -> None:
    assert DomainSettings(language=said).words()["language"] == told


@pytest.mark.parametrize(
    ("choice", "told"),
    [("domain.language=xx", "German"), ("domain.language=", "German"), ("domain.template=brids", "'birds'")],
)
def test_a_language_or_template_that_is_none_is_refused(choice: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, [choice], {})
    assert caught.value.code == "settings-value"
    assert told in caught.value.message
