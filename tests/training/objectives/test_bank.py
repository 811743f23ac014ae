from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.training.objectives.bank import Bank


def filled(steps: int) -> Bank:
    bank = Bank(steps)
    bank.next_step()
    bank.put(["a", "b"], torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True))
    return bank


def test_an_entry_serves_as_many_steps_as_asked() -> None:
    bank = filled(2)
    assert "a" in bank
    bank.next_step()
    assert "a" in bank
    bank.put(["c"], torch.tensor([[5.0, 6.0]]))
    assert bank.rows(["c", "a"], torch.zeros(0, 2)).tolist() == [[5.0, 6.0], [1.0, 2.0]]
    bank.next_step()
    assert ("a" in bank, "c" in bank, len(bank)) == (False, True, 1)


def test_without_steps_nothing_is_kept() -> None:
    assert len(filled(0)) == 0
    assert filled(1).rows([], torch.zeros(3, 2)).shape == (0, 2)


def test_saved_and_loaded_it_goes_on_as_before(tmp_path: Path) -> None:
    bank = filled(3)
    bank.next_step()
    bank.save(tmp_path)
    other = Bank(3)
    other.load(tmp_path)
    assert torch.equal(other.rows(["b", "a"], torch.zeros(1)), bank.rows(["b", "a"], torch.zeros(1)))
    other.next_step()
    assert "a" in other
    other.next_step()
    assert "a" not in other


def test_an_empty_one_can_be_saved_and_a_missing_one_is_told(tmp_path: Path) -> None:
    Bank(2).save(tmp_path)
    other = Bank(2)
    other.load(tmp_path)
    assert len(other) == 0
    (tmp_path / "bank.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        other.load(tmp_path)
    assert caught.value.code == "bank-missing"
