from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.errors import PromptError, UsageError
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.rehearsal.sent import against_sent, against_shipped, choose, wordings
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.pipeline.coins import opened, set_attributes

NAME = "extract/question"


def reword(root: Path, text: str) -> None:
    file = ejected(root, NAME)
    file.write_text(f"{file.read_text().rstrip()}\n{text}\n")


def ask(root: Path) -> None:
    with opened(root) as workspace:
        extract(workspace)


def test_the_own_file_is_compared_with_the_one_it_replaces(root: Path) -> None:
    reword(root, "Be brief.")
    with Workspace(root) as workspace:
        compared = against_shipped(workspace, NAME)
    assert [line for line in compared.lines if line[0] in "+-"][2:] == ["+Be brief."]


def test_a_prompt_of_a_template_is_compared_with_that_of_the_template(root: Path) -> None:
    with Workspace(root, ["domain.template=plants-disease"]) as workspace:
        workspace.prompts.eject(NAME)
        assert against_shipped(workspace, NAME).lines == ()
        assert "template plants-disease" in against_shipped(workspace, NAME).old


def test_a_prompt_that_was_not_ejected_has_nothing_to_compare(root: Path) -> None:
    with Workspace(root) as workspace, pytest.raises(PromptError) as caught:
        against_shipped(workspace, NAME)
    assert caught.value.code == "prompt-not-own"
    assert f"prompts eject {NAME}" in caught.value.hint


def test_a_prompt_that_replaces_nothing_says_so(root: Path) -> None:
    (root / "prompts" / "extract").mkdir(parents=True)
    (root / "prompts" / "extract" / "mine.md").write_text("+++\n+++\nHello")
    with Workspace(root) as workspace, pytest.raises(PromptError) as caught:
        against_shipped(workspace, "extract/mine")
    assert caught.value.code == "prompt-only-own"


def test_what_was_sent_stands_by_wording_and_is_compared_for_the_same_image_and_attribute(root: Path) -> None:
    ask(root)
    reword(root, "Be brief.")
    with opened(root) as workspace:
        (before,) = wordings(workspace, NAME)
        assert (before.n, before.is_current) == (6 * 13, False)
        compared = against_sent(workspace, NAME, choose(NAME, wordings(workspace, NAME), "last"))
    assert [line for line in compared.lines if line[0] in "+-"][2:] == ["+Be brief."]
    ask(root)
    with opened(root) as workspace:
        now, then = sorted(wordings(workspace, NAME), key=lambda w: not w.is_current)
        assert (now.is_current, then.template_hash) == (True, before.template_hash)
        assert against_sent(workspace, NAME, now).lines == ()


def test_other_words_of_the_domain_are_seen_under_the_same_wording(root: Path) -> None:
    ask(root)
    with opened(root, "domain.superclass=medal") as workspace:
        (wording,) = wordings(workspace, NAME)
        assert wording.is_current
        lines = against_sent(workspace, NAME, wording).lines
    assert any(line.startswith("-") and "euro coin" in line for line in lines)
    assert any(line.startswith("+") and "medal" in line for line in lines)


def test_an_attribute_that_is_gone_is_told(root: Path) -> None:
    ask(root)
    set_attributes(root, "rim")
    with opened(root) as workspace, pytest.raises(UsageError) as caught:
        against_sent(workspace, NAME, wordings(workspace, NAME)[0])
    assert caught.value.code == "unknown-attribute"


FIRST, SECOND, THIRD = "Be brief.", "Be exact.", "Be both."
DAYS = (
    ("2026-09-30", FIRST), ("2026-10-02", SECOND), ("2026-10-03", FIRST), ("2026-11-05", THIRD),
)  # fmt: skip


@pytest.fixture
def hashes(root: Path) -> dict[str, str]:
    """Sentence -> hash of the wording with it. Each was sent at eight on its days, the first on two."""
    found = {}
    plain = ejected(root, NAME).read_text().rstrip()
    for number, (day, sentence) in enumerate(DAYS):
        (root / "prompts" / f"{NAME}.md").write_text(f"{plain}\n{sentence}\n")
        set_attributes(root, *(["rim_edge"] if number < 2 else ["rim_edge", "motif"]))
        with opened(root) as workspace:
            extract(workspace)
            found[sentence] = workspace.prompts.get(NAME).hash
            db = workspace.store.db
            with workspace.store.transaction():
                db.execute(
                    "update replies set created = ? where created > '2026-11-06'", [f"{day}T08:00:00+00:00"]
                )
    return found


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ("last", FIRST), ("2026-09-30", FIRST), ("2026-10-01", FIRST), ("2026-10-02", SECOND),
        ("2026-10-02T07", FIRST), ("2026-10-03", FIRST), ("2026-10", FIRST), ("2026-12-09", THIRD),
    ],
)  # fmt: skip
def test_a_day_names_what_was_sent_last_by_its_end(
    root: Path, hashes: dict[str, str], when: str, sentence: str
) -> None:
    with opened(root) as workspace:
        assert choose(NAME, wordings(workspace, NAME), when).template_hash == hashes[sentence]


def test_the_start_of_a_hash_names_a_wording(root: Path, hashes: dict[str, str]) -> None:
    with opened(root) as workspace:
        for template_hash in hashes.values():
            assert choose(NAME, wordings(workspace, NAME), template_hash[:8]).template_hash == template_hash


@pytest.mark.parametrize("when", ["2026-09-01", "yesterday"])
def test_a_run_that_is_none_is_refused_with_those_there_are(
    root: Path, hashes: dict[str, str], when: str
) -> None:
    with opened(root) as workspace, pytest.raises(UsageError) as caught:
        choose(NAME, wordings(workspace, NAME), when)
    assert caught.value.code == "prompt-run"
    assert all(template_hash[:8] in caught.value.hint for template_hash in hashes.values())


def test_where_nothing_was_sent_there_is_nothing_to_choose(root: Path) -> None:
    with opened(root) as workspace, pytest.raises(UsageError) as caught:
        choose(NAME, wordings(workspace, NAME), "last")
    assert caught.value.code == "prompt-never-sent"
