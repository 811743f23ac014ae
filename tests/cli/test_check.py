from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.conftest import Shell
from tests.photographs import class_folders, photograph


@pytest.fixture
def torn(shell: Shell) -> Shell:
    """A workspace in which one picture lies under two classes, and one name is HTML."""
    folder = class_folders(shell.cwd / "pests", {"bee": 0, "wa<b>sp": 0})
    for n in range(24):
        photograph(n, 64).save(folder / ("bee" if n % 2 else "wa<b>sp") / f"{n}.png")
    shutil.copy(folder / "bee" / "1.png", folder / "wa<b>sp" / "torn.png")
    assert shell("init", "pests").code == 0
    return shell


def test_exit_3_tells_what_was_found_and_where_the_page_is(torn: Shell) -> None:
    told = torn("check")
    assert told.code == 3
    assert "conflict" in told.out
    assert "torn.png" in told.out
    assert "reports/check.html" in told.err
    page = (torn.cwd / "reports" / "check.html").read_text()
    assert "wa&lt;b&gt;sp" in page
    assert "wa<b>sp" not in page


def test_the_user_says_what_fails(torn: Shell) -> None:
    assert torn("check", "--no-page", "--fail-on", "leak,corrupt").code == 0
    assert torn("check", "--no-page", "--fail-on", "").code == 0
    assert torn("check", "--no-page", "--fail-on", "leak,conflict").code == 3
    told = torn("check", "--no-page", "--fail-on", "conflikt")
    assert told.code == 2
    assert "'conflict'" in told.err
    assert torn("status").out.count("stale") == 0


def test_json_holds_every_finding_and_every_figure(torn: Shell) -> None:
    told = torn("check", "--json")
    document = json.loads(told.out)
    assert (told.code, document["schema"], document["ok"]) == (3, "fgvr.check/1", True)
    assert document["data"]["failed"] == {"conflict": 1}
    conflict = next(f for f in document["data"]["findings"] if f["kind"] == "conflict")
    assert {conflict["path"], conflict["other"]} == {"bee/1.png", "wa<b>sp/torn.png"}
    assert document["data"]["figures"]["power"]
    assert document["data"]["page"] == "reports/check.html"


def test_quarantine_by_hand_of_flags(torn: Shell) -> None:
    assert torn("check", "--quarantine", "--no-page").code == 0
    assert "23 images" in torn("status").out
    assert torn("check", "--release", "--no-page").code == 3
    assert "25 images" in torn("status").out


def test_kinds_are_named_without_a_workspace(shell: Shell) -> None:
    told = shell("check", "--kinds")
    assert told.code == 0
    for kind in ("leak", "conflict", "corrupt", "suspicious", "shortcut", "wrong-label", "near-duplicate"):
        assert kind in told.out
