from __future__ import annotations

import pytest

from fgvr_kit.pipeline.extract import extract
from tests.cli.conftest import Shell
from tests.pipeline.coins import make_workspace, opened

TEMPLATE = ("attributes", "describe", "--with", "template")


@pytest.fixture
def coins(shell: Shell) -> Shell:
    with opened(make_workspace(shell.cwd)) as workspace:
        extract(workspace)
    return shell


@pytest.mark.parametrize("flag", ["--calibrate", "--batch"])
@pytest.mark.parametrize("more", [(), ("--plan",)])
def test_flags_about_calls_are_refused_for_a_template(coins: Shell, flag: str, more: tuple[str, ...]) -> None:
    told = coins(*TEMPLATE, flag, *more, "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "template-asks-nobody")
    with opened(coins.cwd) as workspace:
        assert workspace.store.descriptions() == {}


def test_a_setting_counts_as_the_flag_does(coins: Shell) -> None:
    told = coins("attributes", "describe", "--set", "describe.by=template", "--batch", "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "template-asks-nobody")


def test_the_plan_of_a_template_is_empty_and_says_so(coins: Shell) -> None:
    told = coins(*TEMPLATE, "--plan", "--json")
    assert (told.code, told.json["data"]["plan"]) == (0, [])
