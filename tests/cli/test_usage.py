"""A program that asks for JSON gets every error as JSON, also that of a line which cannot be understood."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("line", "schema", "code", "hint"),
    [
        ("init --jsno --json", "fgvr.init/1", "usage-option", "'--json'"),
        ("--json mine --modle x", "fgvr.mine/1", "usage-option", "'--model'"),
        ("--jsno --json", "fgvr.status/1", "usage-option", "'--json'"),
        ("attributes extract --xyzzy --json", "fgvr.extract/1", "usage-option", "fgvr-kit attributes extract --help"),
        ("replies export --json", "fgvr.replies-export/1", "usage-missing", "fgvr-kit replies export --help"),
        ("--json replies", "fgvr.replies/1", "usage-missing", "fgvr-kit replies --help"),
        ("init --test much --json", "fgvr.init/1", "usage-value", "fgvr-kit init --help"),
        ("attributes extract --limit 0 --json", "fgvr.extract/1", "usage-value", "fgvr-kit attributes extract --help"),
        ("mine --json --model", "fgvr.mine/1", "usage-value", "fgvr-kit mine --help"),
        ("attributes extract --json --limit", "fgvr.extract/1", "usage-value", "fgvr-kit attributes extract --help"),
        ("trian --json", "fgvr.status/1", "unknown-command", "'train'"),
        ("attributes extrct --json", "fgvr.attributes/1", "unknown-command", "'extract'"),
        ("init a b --json", "fgvr.init/1", "usage", "fgvr-kit init --help"),
        ("attributes --with model extract --json", "fgvr.extract/1", "option-before-command", "extract OPTIONS"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_understood(shell: Shell, line: str, schema: str, code: str, hint: str) -> None:
    result = shell(*line.split())
    assert (result.code, result.err) == (2, "")
    assert (result.json["schema"], result.json["ok"], result.json["error"]["code"]) == (schema, False, code)
    assert hint in result.json["error"]["hint"]
    assert set(result.json["error"]) == {"code", "message", "where", "why", "hint"}


def test_people_get_the_words_of_typer(shell: Shell) -> None:
    result = shell("init", "--jsno")
    assert (result.code, result.out) == (2, "")
    assert "Usage: fgvr-kit init" in result.err


def test_after_two_dashes_nothing_is_an_option(shell: Shell) -> None:
    result = shell("schema", "--", "--json")
    assert (result.code, result.out) == (2, "")
    assert "there is no command '--json'" in result.err


def test_help_is_help_also_where_json_is_wanted(shell: Shell) -> None:
    result = shell("init", "--json", "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: fgvr-kit init")
