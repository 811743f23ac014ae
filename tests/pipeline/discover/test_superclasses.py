from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.pipeline import discover as module
from fgvr_kit.pipeline.discover import discover
from fgvr_kit.pipeline.discover.proposing import requests_for
from fgvr_kit.types import Attribute
from tests.pipeline.coins import Scripted, opened, use
from tests.pipeline.discover.listing import ONCE, notes, with_parents

CAT_DOG = {
    "cat": [{"name": "fur colour", "question": "What colour is the cat's fur?", "options": ["red", "grey"]},
            {"name": "ear tufts", "question": ""}],
    "dog": [{"name": "colour of the fur", "question": "What colour?", "options": ["grey", "black"]}, "snout length"],
}  # fmt: skip


def of_pets(request: Request) -> str:
    return json.dumps(CAT_DOG["cat" if "one cat each" in request.prompt.text else "dog"])


def test_cats_and_dogs_get_a_list_each_and_share_what_both_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parents(root, "cat", "dog")
    backend = Scripted(of_pets)
    use(backend, monkeypatch)
    with opened(root, ONCE, "domain.superclass=pet") as workspace:
        summary = discover(workspace)
        assert workspace.attributes() == [
            Attribute("fur_colour", "What is the fur colour of the pet?", ("red", "grey", "black")),
            Attribute("ear_tufts", "What is the ear tufts of the cat?", (), "cat"),
            Attribute("snout_length", "What is the snout length of the dog?", (), "dog"),
        ]
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
    assert len(backend.asked) == 2
    assert {k: v for k, v in summary.done.items() if k.startswith(("attr", "of"))} == {
        "attributes": 3, "of all superclasses": 1, "of cat": 1, "of dog": 1,
    }  # fmt: skip
    assert notes(root)["fur_colour"] == "named by scripted:model in 1 of 1 for cat, 1 of 1 for dog replies"


@pytest.mark.parametrize(
    ("parents", "chosen", "n_lists"),
    [
        (("cat", "dog"), "auto", 2), (("cat", "dog"), "no", 1), (("cat", "cat"), "yes", 1), (("cat", ""), "auto", 1),
        (("", ""), "yes", 1), (("big 1 euro", "dog"), "yes", 1),  # a parent that tells a class
    ],
)  # fmt: skip
def test_when_there_is_a_list_for_each_parent(
    root: Path, parents: tuple[str, str], chosen: str, n_lists: int
) -> None:
    with_parents(root, *parents)
    with opened(root, ONCE, f"discover.per_parent={chosen}") as workspace:
        assert len(list(requests_for(workspace))) == n_lists
