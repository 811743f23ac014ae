from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.store import Store
from fgvr_kit.store.replies import _REMEMBERED


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "fgvr.db")


def reply(key: str, prompt: str) -> dict[str, Any]:
    return {"key": key, "backend": "scripted:m", "purpose": "extract", "prompt": prompt, "text": "brown",
            "outcome": "ok"}  # fmt: skip


def test_each_reply_has_its_prompt_however_many_there_are_and_in_whatever_order(store: Store) -> None:
    n = _REMEMBERED + 10
    for turn in range(2):
        store.put_replies([reply(f"{turn}, {i}", f"Question {i}?") for i in range(n)])
    asked = {row["key"]: row["prompt"] for row in store.all_replies()}
    assert asked == {f"{turn}, {i}": f"Question {i}?" for turn in range(2) for i in range(n)}
    assert store.count("prompts") == n


def test_what_is_answered_is_no_failure_any_more(store: Store) -> None:
    failed = {"backend": "scripted:m", "purpose": "extract", "code": "backend-failed", "message": "it failed"}
    store.put_failures([{**failed, "key": key} for key in "abc"])
    store.put_replies([reply("a", "?"), reply("c", "?")])
    assert [failure["key"] for failure in store.failures()] == ["b"]
