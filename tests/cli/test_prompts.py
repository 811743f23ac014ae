from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fgvr_kit import shipped
from tests.cli.conftest import Shell
from tests.cli.test_complete import offered, workspace

ATTRIBUTES = "attribute,question,note\nwing_colour,What colour are the wings?,\nlegs,How many legs?,\n"


@pytest.fixture
def pests_workspace(shell: Shell, pests: Path) -> Path:
    assert shell("init", "pests", "--set", "domain.superclass=insect").code == 0
    (shell.cwd / "attributes.csv").write_text(ATTRIBUTES)
    return shell.cwd


pytestmark = pytest.mark.usefixtures("pests_workspace")


def listed(shell: Shell) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in shell("prompts", "list", "--json").json["data"]["prompts"]}


def test_the_list_tells_origin_state_and_steps(shell: Shell) -> None:
    before = listed(shell)["extract/question"]
    assert (before["origin"], before["state"], before["steps"]) == ("shipped", "as shipped", ["extract"])
    assert shell("prompts", "eject", "extract/question").code == 0
    assert (listed(shell)["extract/question"]["origin"], listed(shell)["extract/question"]["state"]) == (
        "workspace",
        "as shipped",
    )
    file = shell.cwd / "prompts" / "extract" / "question.md"
    file.write_text(file.read_text() + "\nBe brief.")
    assert listed(shell)["extract/question"]["state"] == "edited"
    file.write_text("no front matter")
    broken = listed(shell)["extract/question"]
    assert broken["state"] == "broken"
    assert "front matter" in str(broken["about"])


def test_a_template_is_told_as_the_origin(shell: Shell) -> None:
    found = shell("prompts", "list", "--json", "--set", "domain.template=plants-disease").json["data"][
        "prompts"
    ]
    assert {row["origin"] for row in found} == {"template plants-disease", "shipped"}


def test_show_prints_what_would_be_sent_and_asks_nobody(shell: Shell) -> None:
    shown = shell("prompts", "show", "extract/question", "--attribute", "legs", "--image", "bee/3.png")
    assert shown.code == 0
    assert "How many legs?" in shown.out
    assert "32 x 24 px" in shown.out
    data = shell("prompts", "show", "extract/question", "--json").json["data"]
    assert (data["image"], data["attribute"], data["pictures"]) == ("ant/0.png", "wing_colour", [[32, 24]])
    assert data["tokens"]["low"] <= data["tokens"]["likely"] <= data["tokens"]["high"]
    assert json.loads(shell("status", "--json").out)["data"]["replies"] == 0


def test_a_system_message_is_shown_before_the_prompt(shell: Shell) -> None:
    shell("prompts", "eject", "ask/open")
    file = shell.cwd / "prompts" / "ask" / "open.md"
    file.write_text(file.read_text().replace("+++", '+++\nsystem = "You know {{ superclass }}s."', 1))
    out = shell("prompts", "show", "ask/open").out
    assert out.index("You know insects.") < out.index("--- user ---")


def test_raw_shows_a_file_that_does_not_render(shell: Shell) -> None:
    (shell.cwd / "prompts" / "ask").mkdir(parents=True)
    (shell.cwd / "prompts" / "ask" / "open.md").write_text("{{ broken")
    assert shell("prompts", "show", "ask/open").code == 2
    assert shell("prompts", "show", "ask/open", "--raw").out == "{{ broken\n"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("show", "extract/qestion"), "prompt-missing"),
        (("show", "extract/question", "--image", "bee"), "unknown-image"),
        (("show", "extract/question", "--attribute", "leg"), "unknown-attribute"),
        (("show", "describe/summary"), "prompt-lacks"),
        (("diff", "extract/question"), "prompt-not-own"),
        (("diff", "extract/question", "--run", "last"), "prompt-never-sent"),
        (("eject",), "prompts-eject-what"),
        (("eject", "--all", "ask/open"), "prompts-eject-what"),
        (("eject", "ask/opn"), "prompt-missing"),
        (("lint", "ask/opn"), "prompt-missing"),
    ],
)
def test_a_mistake_is_told_with_a_way_out(shell: Shell, args: tuple[str, ...], code: str) -> None:
    result = shell("prompts", *args, "--json")
    assert (result.code, result.json["error"]["code"]) == (2, code)
    assert result.json["error"]["hint"]
    assert result.json["schema"] == f"fgvr.prompts-{args[0]}/1"


def test_eject_copies_for_editing_and_tells_what_hangs_on_it(shell: Shell) -> None:
    done = shell("prompts", "eject", "describe/summary", "--json").json
    assert done["data"]["files"] == ["prompts/describe/summary.md"]
    assert done["data"]["makes stale"] == ["describe", "align", "instruct", "eval"]
    assert done["next"] == [
        "fgvr-kit prompts show describe/summary",
        "fgvr-kit prompts diff describe/summary",
    ]


def test_one_wrong_name_ejects_nothing(shell: Shell) -> None:
    assert shell("prompts", "eject", "ask/open", "ask/opn").code == 2
    assert not (shell.cwd / "prompts").exists()


def test_eject_all_leaves_what_is_there(shell: Shell) -> None:
    shell("prompts", "eject", "ask/open")
    own = shell.cwd / "prompts" / "ask" / "open.md"
    own.write_text(own.read_text() + "\nMine.")
    assert shell("prompts", "eject", "ask/open").code == 2
    assert shell("prompts", "eject", "--all").code == 0
    names = {p.relative_to(shell.cwd / "prompts") for p in (shell.cwd / "prompts").rglob("*.md")}
    assert names == {
        p.relative_to(shipped.folder("prompts")) for p in shipped.folder("prompts").glob("*/*.md")
    }
    assert own.read_text().endswith("Mine.")
    assert shell("prompts", "eject", "ask/open", "--force").code == 0
    assert not own.read_text().endswith("Mine.")


def test_diff_prints_what_was_changed(shell: Shell) -> None:
    shell("prompts", "eject", "ask/open")
    own = shell.cwd / "prompts" / "ask" / "open.md"
    own.write_text(own.read_text() + "Mine.\n")
    assert shell("prompts", "diff", "ask/open").out.splitlines()[-1] == "+Mine."


def test_lint_finds_names_and_ends_with_3(shell: Shell) -> None:
    assert shell("prompts", "lint").code == 0
    shell("prompts", "eject", "ask/open")
    own = shell.cwd / "prompts" / "ask" / "open.md"
    own.write_text(own.read_text() + "Such as a wasp.\n")
    result = shell("prompts", "lint")
    assert result.code == 3
    assert f"prompts/ask/open.md:{len(own.read_text().splitlines())}" in result.out
    assert shell("prompts", "lint", "extract/question").code == 0
    (fault,) = shell("prompts", "lint", "--json").json["data"]["faults"]
    assert fault["kind"] == "planted-name"


def test_names_of_prompts_and_attributes_are_offered(tmp_path: Path) -> None:
    inside = workspace(tmp_path / "work", "[domain]\n")
    (inside / "attributes.csv").write_text(ATTRIBUTES)
    assert offered("prompts show extract/q", inside) == ["extract/question"]
    assert offered("prompts diff -w work ask/", tmp_path) == ["ask/choice", "ask/open"]
    assert offered("prompts show extract/question --attribute w", inside) == ["wing_colour"]


def test_a_broken_prompt_takes_no_other_from_what_is_offered(tmp_path: Path) -> None:
    inside = workspace(tmp_path / "work", "[domain]\n")
    shutil.copytree(shipped.folder("prompts") / "ask", inside / "prompts" / "ask")
    (inside / "prompts" / "ask" / "open.md").write_text("broken")
    assert offered("prompts show ask/", inside) == ["ask/choice", "ask/open"]
