"""Models of no known family: they answer, alone as in a batch, and cannot be trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.families import turns
from fgvr_kit.families.base import Ask, Vlm
from tests.families import tiny
from tests.families.contract import LETTERS, photo


@pytest.fixture(scope="module", params=sorted(tiny.GUESTS))
def checkpoint(request: pytest.FixtureRequest, checkpoints: Callable[[str], Path]) -> Path:
    return checkpoints(request.param)


@pytest.fixture(scope="module")
def guest(checkpoint: Path) -> Vlm:
    return Vlm.load(str(checkpoint), device="cpu", guests=True)


def asks_for(guest: Vlm) -> list[Ask]:
    words = [
        Ask("What colour?", system="Be brief."),
        Ask("And?", turns=(("red", "Sure?"),)),
        Ask("Name ten."),
    ]
    seeing = [Ask("Which?", (photo(1),)), Ask("Describe it.", (photo(2, 60, 90),))]
    return [*words, *seeing] if guest.family.sees else words


def test_a_batch_says_what_each_row_says_alone(guest: Vlm) -> None:
    asks = asks_for(guest)
    alone = [guest.generate([ask], max_new_tokens=5)[0] for ask in asks]
    assert guest.generate(asks, max_new_tokens=5) == alone
    assert len({said.text for said in alone}) > 1


def test_letter_scores_are_the_stock_logits_of_the_next_token(guest: Vlm) -> None:
    asks = asks_for(guest)
    scores = guest.choose(asks, LETTERS)
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(len(asks)))
    labels = turns.label_ids(guest.processor, asks[0], LETTERS, guest.end_of_turn)
    with torch.no_grad():
        logits = guest.model(input_ids=torch.tensor([guest.read(asks)[0].ids])).logits[0, -1, labels]
    torch.testing.assert_close(scores[0], logits.log_softmax(-1), atol=1e-4, rtol=1e-4)


def test_words_are_rendered_as_the_template_says(guest: Vlm) -> None:
    first, second = (one.prompt for one in guest.read(asks_for(guest)[:2]))
    assert "Be brief." in first
    assert first.index("Be brief.") < first.index("What colour?")
    assert second.index("And?") < second.index("red") < second.index("Sure?")


def test_a_schema_holds(guest: Vlm) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"],
              "additionalProperties": False}  # fmt: skip
    said = guest.generate([Ask("Which?", schema=schema)], max_new_tokens=30)[0]
    assert json.loads(said.text)["n"] in {1, 2}


def test_a_guest_is_not_let_in_where_it_would_be_trained(checkpoint: Path) -> None:
    with pytest.raises(ModelError) as caught:
        Vlm.load(str(checkpoint), device="cpu")
    assert caught.value.code == ("family-unknown" if checkpoint.name == "vipllava" else "no-vlm")


def test_four_bit_spares_what_sees(checkpoint: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    guest = Vlm.load(str(checkpoint), device="cpu", guests=True, quantize="nf4")
    small = [n for n, m in guest.model.named_modules() if isinstance(m, Linear4bit)]
    assert len(small) == 2 * 7
    assert not any("vis" in n or n == "lm_head" for n in small)


def test_a_model_that_neither_sees_nor_writes_is_told(toy_vlm_path: Path, tmp_path: Path) -> None:
    from transformers import CLIPConfig

    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError) as caught:
        Vlm.load(str(tmp_path), device="cpu", guests=True)
    assert caught.value.code == "family-unknown"
