from __future__ import annotations

import pytest

from fgvr_kit.dataset.quarantine import COPY_OF, GROUP_OF, is_about


@pytest.mark.parametrize(
    ("reason", "sides"),
    [
        ("damaged", {"train", "val", "test"}),
        ("leak", {"val", "test"}),
        (COPY_OF["test"], {"train", "val"}),
        (GROUP_OF["test"], {"train", "val"}),
        (COPY_OF["val"], {"train"}),
        (GROUP_OF["val"], {"train"}),
    ],
)
def test_some_reasons_are_about_one_side_of_the_split(reason: str, sides: set[str]) -> None:
    assert {side for side in ("train", "val", "test") if is_about(reason, side)} == sides
