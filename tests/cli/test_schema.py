from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.doctor.conftest import Packages, packages  # noqa: F401 (a fixture)

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """What of value a JSON Schema forbids, as far as ours use it."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            fit = [one for one in schema[word] if not faults(value, one, root)]
            if not fit or (word == "oneOf" and len(fit) > 1):
                return [f"{at}: fits {len(fit)} of {word}"]
    if "const" in schema and value != schema["const"]:
        return [f"{at}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    if not _is_of(value, schema.get("type")):
        return [f"{at}: {value!r} is no {schema['type']}"]
    found = [f"{at}: lacks {key}" for key in schema.get("required", []) if key not in value]
    if isinstance(value, dict):
        shapes, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, inner in value.items():
            shape = shapes.get(key, more if isinstance(more, dict) else {})
            found += [f"{at}: {key} is not known"] if more is False and key not in shapes else []
            found += faults(inner, shape, root, f"{at}.{key}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{at}: {len(value)} items")
        for place, inner in enumerate(value):
            shape = first[place] if place < len(first) else schema.get("items", {})
            found += faults(inner, shape, root, f"{at}[{place}]")
    return found


def _is_of(value: Any, kinds: str | list[str] | None) -> bool:
    names = [kinds] if isinstance(kinds, str) else kinds or []
    if isinstance(value, bool):
        return not names or "boolean" in names
    return not names or any(isinstance(value, _KINDS[name]) for name in names)


def schema(shell: Shell, *words: str) -> dict[str, Any]:
    result = shell("schema", *words)
    assert result.code == 0, result.err
    return result.json


def check(shell: Shell, words: list[str], *args: str | Path, knows_all: bool = True) -> dict[str, Any]:
    """Run a command with --json; what it prints must be what its schema says."""
    printed = shell(*words, *args, "--json").json
    told = schema(shell, *words)
    output = told["properties"]["output"]
    assert faults(printed, output, told) == []
    if printed["ok"] and knows_all:
        known = output["oneOf"][0]["properties"]["data"]["properties"]
        assert set(printed["data"]) <= set(known)
    return printed


def test_what_commands_print_is_what_their_schema_says(shell: Shell, pests: Path) -> None:
    assert check(shell, ["init"], pests)["ok"]
    assert check(shell, ["status"])["ok"]
    assert check(shell, ["status"], "--skipped")["ok"]
    assert check(shell, ["status"], "--licences")["ok"]
    assert check(shell, ["settings"])["ok"]
    assert check(shell, ["check"], "--no-page")["ok"]
    assert check(shell, ["check"], "--kinds")["ok"]
    assert check(shell, ["schema"])["ok"]
    (shell.cwd / "list.txt").write_text("colour\n")
    assert check(shell, ["attributes", "discover"], "--from", "list.txt")["ok"]


def test_errors_are_what_the_schema_says_too(shell: Shell, pests: Path) -> None:
    assert not check(shell, ["mine"])["ok"]
    assert not check(shell, ["init"], "nowhere")["ok"]
    assert not check(shell, ["attributes", "extract"])["ok"]
    assert not check(shell, ["schema"], "trian")["ok"]
    assert not check(shell, ["replies", "export"])["ok"]
    shell("init", pests)
    assert not check(shell, ["replies", "export"], pests)["ok"]


def test_every_command_has_one_schema_whether_it_succeeds_or_fails(shell: Shell) -> None:
    for row in shell("schema", "--json").json["data"]["commands"]:
        done, failed = schema(shell, row["command"])["properties"]["output"]["oneOf"]
        names = {one["properties"]["schema"]["const"] for one in (done, failed)}
        assert names == {row["schema"]}
        assert shell(*row["command"].split(), "--no-such-flag", "--json").json["schema"] == row["schema"]


def test_warnings_are_what_the_schema_says(shell: Shell, pests: Path) -> None:
    for picture in list((pests / "bee").iterdir())[1:]:
        picture.unlink()
    assert check(shell, ["init"], pests)["warnings"]


def test_doctor_prints_what_its_schema_says(shell: Shell, packages: Packages) -> None:  # noqa: F811
    packages.whole()
    assert check(shell, ["doctor"])["data"]["diagnoses"]


def test_the_validator_of_this_file_finds_faults(shell: Shell) -> None:
    told = schema(shell, "doctor")
    envelope: dict[str, Any] = {"schema": "fgvr.doctor/1", "ok": True, "data": {}, "warnings": [], "next": []}
    output = told["properties"]["output"]
    assert faults(envelope, output, told) == []
    line = {"name": "gpu", "state": "ok", "seen": "x", "fix": ""}
    assert faults(envelope | {"data": {"diagnoses": [line]}}, output, told) == []
    for wrong in (
        {"schema": "fgvr.init/1"}, {"ok": False}, {"next": "x"}, {"warnings": [{}]}, {"data": []},
        {"data": {"diagnoses": [{**line, "state": "fine"}]}}, {"data": {"problems": "none"}},
    ):  # fmt: skip
        assert faults({**envelope, **wrong}, output, told), wrong


def test_options_are_those_that_the_command_takes(shell: Shell) -> None:
    options = schema(shell, "attributes", "extract")["properties"]["options"]
    assert options["required"] == []
    limit = options["properties"]["limit"]
    assert (limit["type"], limit["minimum"], limit["flags"]) == ("integer", 1, ["--limit"])
    assert options["properties"]["backend"]["flags"] == ["--backend", "-b"]
    assert options["properties"]["retry-failed"]["type"] == "boolean"
    assert options["properties"]["retry-failed"]["flags"] == ["--retry-failed"]
    assert options["properties"]["set"]["items"] == {"type": "string"}


def test_an_argument_has_a_position_and_may_be_required(shell: Shell) -> None:
    options = schema(shell, "replies", "export")["properties"]["options"]
    assert options["properties"]["file"]["position"] == 0
    assert options["required"] == ["file"]


def test_every_flag_of_the_help_is_in_the_schema_and_no_other(shell: Shell) -> None:
    import re

    for command in shell("schema", "--json").json["data"]["commands"]:
        words = command["command"].split()
        told = schema(shell, *words)["properties"]["options"]["properties"]
        flags = {flag for option in told.values() for flag in option.get("flags", [])}
        options = shell(*words, "--help").out.partition("\nOptions:\n")[2].partition("\nCommands:\n")[0]
        listed = set()
        for line in options.splitlines():
            if declared := re.match(r"  ((?:-\w, )?--[\w-]+(?: / (?:-\w, )?--[\w-]+)?)", line):
                listed |= set(re.findall(r"--?[\w-]+", declared.group(1)))
        assert listed - {"-h", "--help"} == flags, words


def test_without_a_command_all_are_listed_with_their_schema(shell: Shell) -> None:
    listed = {row["command"]: row["schema"] for row in shell("schema", "--json").json["data"]["commands"]}
    assert listed["attributes extract"] == "fgvr.extract/1"
    assert listed["replies export"] == "fgvr.replies-export/1"
    assert next(iter(listed)) == "init"
    text = shell("schema").out
    assert all(name in text for name in listed)


def test_the_schema_comes_bare_or_in_the_envelope(shell: Shell) -> None:
    bare = schema(shell, "mine")
    assert bare["$schema"].startswith("https://json-schema.org/")
    envelope = shell("schema", "mine", "--json").json
    assert (envelope["schema"], envelope["data"]) == ("fgvr.schema/1", bare)
    assert json.loads(shell("schema", "attributes extract").out)["title"] == "fgvr-kit attributes extract"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "'train'"),
        (["attributes", "extrct"], "'attributes extract'"),
        (["xyzzy"], "commands: init"),
    ],
)
def test_an_unknown_command_is_answered_with_the_closest(shell: Shell, words: list[str], hint: str) -> None:
    result = shell("schema", *words, "--json")
    assert result.code == 2
    assert result.json["error"]["code"] == "unknown-command"
    assert hint in result.json["error"]["hint"]
