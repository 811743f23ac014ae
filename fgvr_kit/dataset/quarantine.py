"""What is set aside on request is kept by the pixels of a picture; some reasons are about one side of the split only.

A picture that lies in training and in test under the same pixels has one row: set aside as the copy of a test image,
it is gone from training, and tested on as before.
"""

from __future__ import annotations

from fgvr_kit.types import Split

LEAK = "leak"
_WORDS: dict[Split, str] = {"test": "a test image", "val": "a validation image"}
COPY_OF: dict[Split, str] = {split: f"copy of {words}" for split, words in _WORDS.items()}
GROUP_OF: dict[Split, str] = {split: f"of one group with {words}" for split, words in _WORDS.items()}
"""Held-out side -> why an image of another side is set aside for its sake."""


def is_about(reason: str, split: Split | None) -> bool:
    """Whether a picture that is set aside for this reason is set aside on this side of the split."""
    if reason == LEAK:  # of a held-out image
        return split != "train"
    if reason in (COPY_OF["test"], GROUP_OF["test"]):
        return split != "test"
    if reason in (COPY_OF["val"], GROUP_OF["val"]):
        return split == "train"
    return True
