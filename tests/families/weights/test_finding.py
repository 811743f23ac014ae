"""From a config.json to a family, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.errors import ModelError
from fgvr_kit.families import NOT_DRIVEN, known_families
from fgvr_kit.families.weights.finding import config_in, family_of
from tests.cli.conftest import python


def refused(**config: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        family_of(config, "org/model")
    assert "org/model" in caught.value.message
    return caught.value


def test_every_model_type_leads_to_its_family() -> None:
    assert family_of({"model_type": "idefics3"}, "x") is family_of({"model_type": "smolvlm"}, "x")
    assert family_of({"model_type": "qwen2_vl"}, "x").plain_positions is False


@pytest.mark.parametrize(
    ("model_type", "closest"),
    [("internvl_chat", "internvl"), ("llava_next_video", "llava_next"), ("qwen3_5_vl", "qwen2_5_vl")],
)
def test_a_family_that_is_not_known_is_told_with_the_closest_one(model_type: str, closest: str) -> None:
    error = refused(model_type=model_type, vision_config={})
    assert error.code == "family-unknown"
    assert repr(closest) in str(error.why)
    assert known_families()[closest].examples[0] in str(error.why)
    assert "fgvr_kit/families" in error.hint


def test_without_a_close_one_all_are_told() -> None:
    assert str(refused(model_type="fuyu", image_size=300).why).startswith("known: gemma3, idefics2, ")


@pytest.mark.parametrize("model_type", sorted(NOT_DRIVEN))
def test_what_cannot_be_driven_says_why(model_type: str) -> None:
    error = refused(model_type=model_type, vision_config={})
    assert error.code == "family-not-driven"
    assert error.why == NOT_DRIVEN[model_type]


def test_no_family_is_driven_and_not_driven() -> None:
    assert not set(NOT_DRIVEN) & set(known_families())


def test_words_only_are_told() -> None:
    assert refused(model_type="gemma3_text", architectures=["Gemma3ForCausalLM"]).code == "no-vlm"


def test_a_config_that_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        config_in(str(tmp_path))
    assert caught.value.code == "model-broken"


def test_looking_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    code = (
        "import sys; from fgvr_kit.families.weights.finding import config_in, family_of;"
        f"print(family_of(config_in({str(tmp_path)!r}), 'x').vision);"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    assert python(code).stdout.split("\n")[:2] == ["model.vision_tower", "set()"]
