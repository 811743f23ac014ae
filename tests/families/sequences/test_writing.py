"""Limits, seeds and stopping in one batch; companions change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.sequences.writing import Dice, Halted
from tests.families.contract import QUESTIONS, photo


def test_each_row_ends_at_its_own_limit_in_one_call(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = vlm.generate(QUESTIONS[:3], max_new_tokens=6)
    calls: list[int] = []
    generate = vlm.base_model.generate

    def counted(**kwargs: object) -> object:
        calls.append(1)
        return generate(**kwargs)

    monkeypatch.setattr(vlm.base_model, "generate", counted)
    said = vlm.generate(QUESTIONS[:3], max_new_tokens=[2, 6, 4])
    assert [one.output_tokens for one in said] == [2, 6, 4]
    assert all(long.text.startswith(short.text) for long, short in zip(whole, said, strict=True))
    assert said[1] == whole[1]
    assert len(calls) == 1


def test_the_longest_limit_is_not_run_to_when_all_have_ended(vlm: Vlm) -> None:
    steps: list[int] = []

    def halt() -> bool:
        steps.append(1)
        return False

    ends = Ask("Which?", among=("A",))
    vlm.generate([ends, QUESTIONS[0]], max_new_tokens=[50, 3], halt=halt)
    assert len(steps) <= 4  # one is asked after each token, and one at the end


def test_a_halt_ends_it_at_the_next_token(vlm: Vlm) -> None:
    steps: list[int] = []

    def halt() -> bool:
        steps.append(1)
        return len(steps) >= 3

    with pytest.raises(Halted):
        vlm.generate(QUESTIONS[:2], max_new_tokens=100, halt=halt)
    assert len(steps) == 4


def test_a_seed_decides_a_sample_whatever_its_companions(vlm: Vlm) -> None:
    asks = [Ask("Name a colour.", (photo(1),), temperature=1.0, seed=n) for n in range(4)]
    together = vlm.generate([*asks, QUESTIONS[0]], max_new_tokens=5)
    assert together[:4] == [vlm.generate([ask], max_new_tokens=5)[0] for ask in asks]
    assert len({one.text for one in together[:4]}) > 1
    assert together[4] == vlm.generate(QUESTIONS[:1], max_new_tokens=5)[0]  # greedy beside samples


def test_a_small_temperature_is_nearly_greedy(vlm: Vlm) -> None:
    cold = [replace(ask, temperature=1e-4, seed=1) for ask in QUESTIONS[:3]]
    assert vlm.generate(cold, max_new_tokens=4) == vlm.generate(QUESTIONS[:3], max_new_tokens=4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_dice_fall_as_often_as_the_probabilities_say(temperature: float) -> None:
    n, scores = 4000, torch.tensor([2.0, 1.0, 0.0, float("-inf")])
    dice = Dice([Ask("", temperature=temperature, seed=7)])
    fallen = Counter(int(dice(torch.zeros(1, 1), scores.clone()[None]).argmax()) for _ in range(n))
    expected = (scores / temperature).softmax(0)
    for token, share in enumerate(expected.tolist()):
        assert abs(fallen[token] / n - share) < 4 * (share * (1 - share) / n) ** 0.5 + 1e-9
