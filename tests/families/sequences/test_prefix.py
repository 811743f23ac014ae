"""When a common beginning is shared, and what is common."""

from __future__ import annotations

import pytest

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.sequences import prefix
from tests.families.contract import LETTERS, count_looks, photo

ONE, TWO = photo(1), photo(2)


def n_done(vlm: Vlm, asks: list[Ask], worth: int, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Tokens of the beginnings in the cache."""
    monkeypatch.setattr(prefix, "WORTH", worth)
    inputs = prefix.shared(vlm, vlm.read(asks), "left")
    return None if inputs is None else int(inputs["past_key_values"].get_seq_length())


def test_all_that_is_alike_is_shared_and_each_row_keeps_an_end(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [Ask("What colour is the wing?", (ONE,)), Ask("What colour is the tip?", (ONE,))]
    rows = [one.ids for one in vlm.read(asks)]
    common = next(n for n, (a, b) in enumerate(zip(*rows, strict=False)) if a != b)
    assert n_done(vlm, asks, 1, monkeypatch) == common
    assert n_done(vlm, [asks[0], asks[0]], 1, monkeypatch) == len(rows[0]) - 1


@pytest.mark.parametrize(
    ("asks", "worth"),
    [
        ([Ask("What?", (ONE,)), Ask("What?", (TWO,))], 1),  # nothing is common
        ([Ask("What?", (ONE,)), Ask("What?", (ONE,)), Ask("What?")], 1),  # one sees nothing
        ([Ask("What?", (ONE,)), Ask("Which?", (ONE,))], 30),  # too little is
        (
            [Ask("What?", (ONE,), system="Be brief."), Ask("What?", (ONE,))],
            1,
        ),  # it begins with something else
    ],
)
def test_whole_prompts_are_read_where_sharing_does_not_pay(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch, asks: list[Ask], worth: int
) -> None:
    assert n_done(vlm, asks, worth, monkeypatch) is None
    monkeypatch.setattr(prefix, "WORTH", 10**9)
    looks = count_looks(vlm, monkeypatch)
    assert vlm.choose(asks, LETTERS).shape == (len(asks), 4)
    assert len(looks) == 1
