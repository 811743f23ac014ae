from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fgvr_kit import shipped, templates
from fgvr_kit.errors import SettingsError, UsageError, WorkspaceError
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.prompts import Prompts
from fgvr_kit.settings import DomainSettings
from fgvr_kit.templates import Template, apply, load, load_all, names
from fgvr_kit.types import ImageClass
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders

EVERY = [pytest.param(template, id=template.name) for template in load_all()]
CHAPTERS = ("Photographs", "Shortcuts and leaks", "What belongs together", "Look-alikes", "Augmentation")
HINTED = "extract/hinted"  # names the class on purpose
WORDS = {
    "n_attributes": 12, "attribute": "edge", "question": "How sharp is the edge?", "sentences": 5,
    "attributes": [("edge", "How sharp is the edge?")], "options": [("A", "this"), ("B", "that")],
    "general": "It is small.", "answers": [("edge", "sharp")], "name": "this", "words": ["this"],
}  # fmt: skip


def shown(template: Template) -> dict[str, str]:
    """Every prompt as a model sees it when the workspace has this template."""
    own = Prompts(template.prompts)
    usual = DomainSettings().words()
    domain = {key: template.said(f"domain.{key}") or usual[key] for key in usual}
    variables = {**WORDS, **domain, "seeds": template.settings["discover.seeds"]}
    return {
        name: own.render(name, **variables).text
        for name in own.names()
        if name.partition("/")[0] in ("discover", "extract", "describe", "ask", "align") and name != HINTED
    }


def test_the_domains_of_the_issue_are_there() -> None:
    assert set(names()) >= {
        "insects-pests", "birds", "plants-disease", "fungi", "vehicles", "food", "medical-images",
        "manufactured-parts", "coins-and-banknotes", "generic",
    }  # fmt: skip


@pytest.mark.parametrize("template", EVERY)
def test_a_template_is_complete(template: Template) -> None:
    assert template.about
    assert "\n" not in template.about
    seeds = template.settings["discover.seeds"]
    assert isinstance(seeds, list)
    assert len(set(seeds)) == len(seeds) >= 12
    assert all(2 < len(seed) <= 60 and ";" not in seed for seed in seeds)
    if template.name != "generic":
        assert len(set(template.words)) == len(template.words) >= 30
        assert template.said("domain.superclass") != DomainSettings().superclass
        assert template.said("domain.unit") != DomainSettings().unit
    notes = template.notes.read_text(encoding="utf-8")
    assert all(f"## {chapter}\n" in notes for chapter in CHAPTERS)


@pytest.mark.parametrize("template", EVERY)
def test_a_template_overrides_shipped_prompts_and_keeps_their_variables(template: Template) -> None:
    for file in template.prompts.glob("*/*.md"):
        name = f"{file.parent.name}/{file.stem}"
        own, usual = Prompts(template.prompts).get(name), Prompts().get(name)
        assert set(own.needs) <= set(usual.needs), name
        assert set(own.needs) - own.uses <= {"attribute"}, name
        assert own.hash != usual.hash, f"{name} changes nothing"
        assert own.about
        assert own.answer
        assert own.source


@pytest.mark.parametrize("template", EVERY)
def test_what_a_model_is_shown_names_no_class_of_the_domain(template: Template) -> None:
    own_words = {template.said("domain.superclass"), *template.said("domain.superclass").split()}
    names_of_classes = finder(ImageClass(word, word) for word in template.words if word not in own_words)
    for name, text in shown(template).items():
        assert text
        assert names_of_classes.find(text) is None, name
        assert not any("  " in line or line != line.strip() for line in text.splitlines()), (
            f"{name} has a gap"
        )


@pytest.mark.parametrize("template", EVERY)
def test_a_prompt_reads_without_notes_too(template: Template) -> None:
    own = Prompts(template.prompts)
    for name in ("discover/attributes", "extract/general", "extract/question", "extract/joint"):
        variables = {"superclass": "thing", "unit": "kind", **WORDS}
        without = own.render(name, **variables, notes="", seeds=[]).text
        assert "\n\n\n" not in without
        assert "About the" not in without
        told = own.render(name, **variables, notes="Blurred.", seeds=["rim width", "gloss"]).text
        assert "Blurred." in told
        assert ("rim width; gloss" in told) == (name == "discover/attributes")
        assert "\n\n\n" not in told


def test_medical_prompts_forbid_diagnoses_and_lettering() -> None:
    for name, text in shown(load("medical-images")).items():
        if (load("medical-images").prompts / f"{name}.md").is_file() and not name.startswith(
            ("ask/", "align/")
        ):
            assert "diagnosis" in text, name
            assert "lettering" in text or "name, number or date" in text, name


def test_a_name_is_found_however_it_is_written() -> None:
    assert load("Plants_Disease").name == load(" plants disease ").name == "plants-disease"


@pytest.mark.parametrize(
    ("name", "hint"), [("brids", "'birds'"), ("xyzzy", "'generic'"), ("../birds", "birds")]
)
def test_an_unknown_template_offers_the_closest_and_lists_all(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(name)
    assert caught.value.code == "unknown-template"
    assert hint in caught.value.hint
    assert caught.value.why is not None
    for template in load_all():
        assert f"{template.name}: {template.about}" in caught.value.why


def test_settings_of_a_template_are_validated_like_fgvr_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "domains" / "mine"
    folder.mkdir(parents=True)
    (folder / "template.toml").write_text(
        'about = "x"\nkinds = true\nwords = []\n[domain]\nsuperclas = "x"\n'
    )
    monkeypatch.setattr(shipped, "folder", lambda _: tmp_path)
    with pytest.raises(SettingsError) as caught:
        load("mine")
    assert caught.value.code == "settings-unknown"
    assert caught.value.where == str(folder / "template.toml")
    assert "superclass" in caught.value.hint


# --- applied to a workspace ---------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4}), tmp_path)
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and ".fgvr" not in file.parts
    }


@pytest.mark.parametrize("template", EVERY)
def test_every_template_can_be_applied_to_a_new_workspace(template: Template, root: Path) -> None:
    summary = apply(template, root)
    assert summary.notices == ()
    with Workspace(root) as workspace:
        for key, value in template.settings.items():
            section, _, name = key.partition(".")
            assert getattr(getattr(workspace.settings, section), name) == value, key
        for file in template.prompts.glob("*/*.md"):
            assert workspace.prompts.get(f"{file.parent.name}/{file.stem}").path == file
    assert not (root / "prompts").exists()  # a copy there would hide what a later version does better
    assert (root / "notes.md").read_bytes() == template.notes.read_bytes()


def test_the_summary_tells_what_was_done(root: Path) -> None:
    done = apply(load("plants-disease"), root).done
    assert done["template"] == "plants-disease"
    assert (
        done["settings written"]
        == "domain.superclass, domain.unit, domain.notes, discover.seeds, domain.template"
    )
    assert "extract/question" in done["prompts replaced"]
    assert done["notes for you"] == "notes.md"


def test_comments_of_fgvr_toml_stay_and_seeds_can_be_edited_line_by_line(root: Path) -> None:
    before = (root / "fgvr.toml").read_text(encoding="utf-8")
    apply(load("birds"), root)
    after = (root / "fgvr.toml").read_text(encoding="utf-8")
    comments = [line for line in before.splitlines() if line.startswith("#")]
    assert [line for line in after.splitlines() if line.startswith("#")] == comments
    assert '\n    "bill shape",\n' in after
    assert tomllib.loads(after)["discover"]["seeds"] == load("birds").settings["discover.seeds"]


def test_applying_again_changes_nothing(root: Path) -> None:
    apply(load("medical-images"), root)
    before = files(root)
    summary = apply(load("medical-images"), root)
    assert summary.done == {"template": "medical-images"}
    assert summary.notices == ()
    assert files(root) == before


def test_what_a_person_changed_stays_and_is_named(root: Path) -> None:
    toml = (root / "fgvr.toml").read_text().replace('superclass = "object"', 'superclass = "tomato leaf"')
    (root / "fgvr.toml").write_text(toml)
    ejected(root, "ask/open").write_text('+++\nabout = "mine"\n+++\nWhat is it?')
    (root / "notes.md").write_text("mine")
    (notice,) = apply(load("plants-disease"), root).notices
    assert notice.code == "template-kept"
    assert "domain.superclass, ask/open" in notice.message
    assert (root / "prompts" / "ask" / "open.md").read_text().endswith("What is it?")
    assert (root / "notes.md").read_text() == "mine"
    with Workspace(root) as workspace:
        assert workspace.settings.domain.superclass == "tomato leaf"
        assert workspace.settings.domain.unit == "condition"
        assert "show" in workspace.prompts.get("ask/choice").body


def test_settings_that_are_asked_for_can_be_left_out(root: Path) -> None:
    summary = apply(load("birds"), root, leave={"domain.superclass", "domain.unit"})
    assert summary.done["settings written"] == "domain.notes, discover.seeds, domain.template"
    with Workspace(root) as workspace:
        assert workspace.settings.domain.superclass == "object"


def test_a_folder_that_is_no_workspace_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as caught:
        apply(load("birds"), tmp_path)
    assert caught.value.code == "no-workspace"
    assert list(tmp_path.iterdir()) == []


def test_templates_are_where_the_package_says() -> None:
    assert templates.load("generic").folder == shipped.folder("templates") / "domains" / "generic"
