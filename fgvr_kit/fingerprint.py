"""One way to say "the same inputs": a short hash of plain data. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the SHA-256 of parts written as canonical JSON.

    Raises TypeError when a part is not plain data: a repr() with an address in it would never match again.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_rows(rows: Iterable[tuple[Any, ...]]) -> str:
    """16 hex digits over rows in the order given; memory does not grow with them."""
    running = hashlib.sha256()
    for row in rows:
        running.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        running.update(b"\n")
    return running.hexdigest()[:16]
