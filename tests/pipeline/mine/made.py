"""Images and vectors for tests of mining, made up; and what should be found among them, by plain loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgvr_kit.pipeline.mine.neighbours import drawn, keys_of
from fgvr_kit.settings import MineSettings
from fgvr_kit.types import Image

Pairs = Sequence[tuple[str, str, float]]


def unit(rows: Any) -> np.ndarray:
    values = np.asarray(rows, dtype=np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def unit_or_zero(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def images(classes: Sequence[str], shas: Sequence[str] | None = None, split: str = "train") -> list[Image]:
    """One of each class named, with ids from 1."""
    return [
        Image(i + 1, f"{split}/{name}/{i}.jpg", name, split, shas[i] if shas else f"{split} {i}")
        for i, name in enumerate(classes)
    ]


def brute_force(
    members: Sequence[Image],
    vectors: np.ndarray,
    names: Sequence[str],
    text: np.ndarray,
    settings: MineSettings,
    *,
    duplicates: Pairs = (),
    suspects: Mapping[str, str] | None = None,
    related: Mapping[str, Sequence[str]] | None = None,
) -> list[tuple[int, int, str, int]]:
    """(image id, rank, class, id of the negative), as the issue tells it: an image after the other, all of them."""
    suspects, related = suspects or {}, related or {}
    away = unit_or_zero(vectors - vectors.mean(axis=0))
    found = []
    for i, anchor in enumerate(members):
        same = _reached(anchor.sha256, duplicates)
        allowed: dict[str, list[int]] = {name: [] for name in names}
        for j, other in enumerate(members):
            is_near = (
                float(away[i] @ away[j]) >= settings.near_copy or float(vectors[i] @ vectors[j]) > 1 - 2e-6
            )
            if other.sha256 in same or other.path in suspects or (is_near and settings.near_copy < 1):
                continue
            allowed[other.class_name].append(j)
        wrong = [
            (_score(i, c, name, members, vectors, text, allowed, settings, suspects), c, name)
            for c, name in enumerate(names)
            if name not in (anchor.class_name, suspects.get(anchor.path), *related.get(anchor.class_name, ()))
            and allowed[name]
        ]
        wrong.sort(reverse=True)  # of equal scores the later class first
        for rank, (_, _, name) in enumerate(wrong[: settings.n_negatives]):
            if "random" in (settings.kind, settings.pick):
                best = max(
                    allowed[name], key=lambda j: _draw(settings.seed, anchor.sha256, members[j].sha256)
                )
            else:
                best = max(allowed[name], key=lambda j: float(vectors[i] @ vectors[j]))
            found.append((anchor.id, rank, name, members[best].id))
    return found


def _reached(sha: str, duplicates: Pairs) -> set[str]:
    found, before = {sha}, set()
    while found != before:
        before = set(found)
        found |= {x for a, b, _ in duplicates if {a, b} & before for x in (a, b)}
    return found


def _score(
    i: int, c: int, name: str, members: Sequence[Image], vectors: np.ndarray, text: np.ndarray,
    allowed: Mapping[str, Sequence[int]], settings: MineSettings, suspects: Mapping[str, str],
) -> float:  # fmt: skip
    if settings.kind == "random":
        return _draw(settings.seed, members[i].sha256, name)
    if settings.by == "text":
        return float(vectors[i] @ text[c])
    if settings.by == "image":
        return max(float(vectors[i] @ vectors[j]) for j in allowed[name])
    inside = [j for j, m in enumerate(members) if m.class_name == name and m.path not in suspects]
    return float(vectors[i] @ unit(vectors[inside].sum(axis=0)))


def _draw(seed: int, row: str, column: str) -> float:
    return float(drawn(seed, keys_of([row]), keys_of([column]))[0, 0])
