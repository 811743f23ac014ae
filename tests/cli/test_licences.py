from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.photographs import picture


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of iNaturalist: observations.csv, and photographs that are called by the id of theirs."""
    lines = ["id,observed_on,user_login,license,url,image_url,place_guess,scientific_name,common_name"]
    for number in range(24):
        (tmp_path / "inat" / "photos").mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "inat" / "photos" / f"{7000 + number}.jpg")
        licence = ("CC-BY", "CC0", "CC-BY-NC", "")[number % 4]
        name = ("Danaus plexippus", "Vanessa atalanta")[number // 4 % 2]
        lines.append(
            f"{7000 + number},2026-05-01,user{number % 2},{licence},https://x.org/1,,Berlin,{name},x"
        )
    (tmp_path / "inat" / "observations.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "inat"


def test_only_images_of_a_licence_are_used_and_who_gave_them_is_told(shell: Shell, export: Path) -> None:
    done = shell("init", export, "--only-licence", "cc0, CC BY 4.0", "--json").json["data"]["steps"][0][
        "done"
    ]
    assert (done["images"], done["licences"]) == (12, "cc-by 6, cc0 6")
    assert done["set aside for their licence"] == "12 (cc-by-nc 6, not stated 6)"
    assert shell("init", "--json").json["data"]["steps"][0]["done"]["images"] == 12
    told = shell("status", "--licences", "--json").json["data"]["licences"]
    assert told == [
        {"licence": "cc-by", "author": "user0", "n_images": 6},
        {"licence": "cc0", "author": "user1", "n_images": 6},
    ]
    assert "cc-by    user0  6" in shell("status", "--licences").out


def test_a_licence_that_is_none_is_answered_with_those_that_are_there(shell: Shell, export: Path) -> None:
    result = shell("init", export, "--only-licence", "cc0,cc-bye", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "licence-unknown")
    assert result.json["error"]["hint"] == "did you mean 'cc-by'?"
    assert not (shell.cwd / "fgvr.toml").exists()
