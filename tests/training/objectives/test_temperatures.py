from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.training.objectives.temperatures import COLDEST, HOTTEST, Temperatures


def test_fixed_ones_are_the_numbers_given() -> None:
    fixed = Temperatures(0.07, 1.5, learned=False)
    assert (fixed.attribute, fixed.category) == (0.07, 1.5)
    assert fixed.trained() == []
    assert fixed.named() == {}
    fixed.keep_in_range()
    assert fixed.category == 1.5


def test_learned_ones_start_there_and_get_a_gradient() -> None:
    learned = Temperatures(0.07, 0.2, learned=True)
    assert [float(t) for t in learned.named().values()] == pytest.approx([0.07, 0.2])
    (learned.attribute * 3).backward()  # type: ignore[union-attr]
    assert learned.log_scale.grad is not None
    assert learned.log_scale.grad.tolist() == pytest.approx([-3 * 0.07, 0.0])


def test_learned_ones_stay_in_their_range() -> None:
    learned = Temperatures(0.07, 0.2, learned=True)
    with torch.no_grad():
        learned.log_scale += torch.tensor([9.0, -9.0])
    learned.keep_in_range()
    assert {name: float(t) for name, t in learned.named().items()} == pytest.approx(
        {"attribute_temperature": COLDEST, "category_temperature": HOTTEST}
    )


def test_saved_and_loaded_they_are_the_same_bits(tmp_path: Path) -> None:
    learned = Temperatures(0.0712345, 0.2, learned=True)
    learned.save(tmp_path)
    other = Temperatures(0.5, 0.5, learned=True)
    other.load(tmp_path)
    assert torch.equal(other.log_scale, learned.log_scale)
    words = json.loads((tmp_path / "temperatures.json").read_text())
    assert words["learned"] is True
    assert words["attribute"] == pytest.approx(0.0712345)


@pytest.mark.parametrize("spoil", ["temperatures.json", "temperatures.safetensors", "cut", "fixed"])
def test_a_checkpoint_without_its_temperatures_is_refused(tmp_path: Path, spoil: str) -> None:
    """PEFT would drop such parameters without a word."""
    Temperatures(0.07, 0.2, learned=spoil != "fixed").save(tmp_path)
    if spoil == "cut":
        (tmp_path / "temperatures.safetensors").write_bytes(b"\x08")
    elif spoil != "fixed":
        (tmp_path / spoil).unlink()
    with pytest.raises(ModelError) as caught:
        Temperatures(0.07, 0.2, learned=True).load(tmp_path)
    assert caught.value.code == "temperatures-missing"
