"""What is said of families and of a checkpoint. The command alone: nothing but its config.json is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fgvr_kit.cli import models
from fgvr_kit.cli.options import note_root
from fgvr_kit.errors import ModelError
from fgvr_kit.families import NOT_DRIVEN, families


def told(*args: str) -> tuple[str, dict[str, Any]]:
    """What people see, and the data that programs get."""
    note_root(None, False, 0, None)
    app = typer.Typer()
    app.command()(models.command)
    people, programs = (CliRunner().invoke(app, [*args, *more]) for more in ([], ["--json"]))
    for result in (people, programs):
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
    document = json.loads(programs.stdout)
    assert document["schema"] == "fgvr.models/1"
    return people.output, document["data"]


def checkpoint(folder: Path, **config: Any) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_all_families_are_listed_and_what_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # nothing is broken into lines
    seen, data = told()
    assert [one["name"] for one in data["families"]] == sorted(families())
    assert all(one["examples"] and one["image_tokens"] and one["lora_targets"] for one in data["families"])
    assert data["not_driven"] == dict(NOT_DRIVEN)
    for name, family in families().items():
        assert name in seen
        assert family.examples[0] in seen


@pytest.mark.parametrize("name", ["qwen2-vl", "Qwen2.5-VL", "qwen2_5_vl"])
def test_a_family_is_shown_by_name_or_model_type(name: str) -> None:
    seen, data = told(name)
    assert data["family"]["name"] == "qwen2_5_vl"
    assert data["family"]["connector"] == ["model.visual.merger"]
    assert "M-RoPE" in seen


def test_a_checkpoint_that_can_be_used_is_told_with_its_family(tmp_path: Path) -> None:
    place = checkpoint(tmp_path, model_type="gemma3")
    seen, data = told(place)
    assert data["usable"] is True
    assert data["family"]["name"] == "gemma3"
    assert f"fgvr-kit train --model {place}" in seen


def test_one_that_cannot_names_the_closest_family(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        told(checkpoint(tmp_path, model_type="internvl_chat", vision_config={}))
    assert caught.value.code == "family-unknown"
    assert "'internvl'" in str(caught.value.why)
