"""One way to say "the same inputs": a short hash of plain data. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_END = 1 << 20  # bytes


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the SHA-256 of parts written as canonical JSON.

    Raises TypeError when a part is not plain data: a repr() with an address in it would never match again.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_files(place: Path) -> str:
    """16 hex digits of a file, or of all files below a folder: their names, sizes, and both ends of their bytes.

    Large files are not read whole: training changes every weight, and so the ends too. Of a folder,
    hidden files are left out.
    """
    files = sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place]
    running = hashlib.sha256()
    for file in files:
        name = file.relative_to(place).as_posix() if place.is_dir() else file.name
        if place.is_dir() and any(part.startswith(".") for part in name.split("/")):
            continue
        size = file.stat().st_size
        running.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as content:
            running.update(content.read(_END))
            content.seek(max(0, size - _END))
            running.update(content.read(_END))
    return running.hexdigest()[:16]


def digest_rows(rows: Iterable[tuple[Any, ...]]) -> str:
    """16 hex digits over rows in the order given; memory does not grow with them."""
    running = hashlib.sha256()
    for row in rows:
        running.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        running.update(b"\n")
    return running.hexdigest()[:16]
