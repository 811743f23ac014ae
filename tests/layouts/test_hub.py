from __future__ import annotations

import pytest

from fgvr_kit.layouts.hub import folder_of


@pytest.mark.parametrize(
    ("split", "folder"),
    [
        ("train", "train"), ("test.clean", "test.clean"), ("a/b c", "a_b_c"), ("../up", ".._up"),
        (".", "split-1"), ("..", "split-2"), ("", "split-0"),
    ],
)  # fmt: skip
def test_the_folder_of_a_split_lies_below_its_place(split: str, folder: str) -> None:
    assert folder_of(split) == folder
