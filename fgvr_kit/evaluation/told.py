"""What was compared, in a few words for each: for the table at the end of `eval --baselines`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgvr_kit.evaluation.baselines.classifier import Classifier
from fgvr_kit.evaluation.baselines.material import Labelled
from fgvr_kit.evaluation.scoring import Marked, Row

_HARDEST = 3


def about_exams(exams: Sequence[Marked]) -> dict[str, str]:
    """Each protocol with what it asks."""
    return {
        marked.exam.protocol: f"{marked.exam.how}; {marked.n:,} test images in {marked.resamples.n_groups:,} groups;"
        f" chance {100 * marked.exam.chance:.1f} %"
        for marked in exams
    }


def about_baselines(closed: Marked, rows: Sequence[Row], classifiers: Sequence[Classifier]) -> dict[str, str]:
    """What they learnt from, what was chosen for each and how, and which classes are hardest."""
    found: dict[str, str] = {}
    by_label: dict[str, list[Classifier]] = {}
    for one in classifiers:
        by_label.setdefault(one.label, []).append(one)
    for label, draws in by_label.items():
        row = next((row for row in rows if row.label == label), None)
        if label == classifiers[0].label:
            found["learnt from"] = _learnt_from(draws[0].labelled)
        found[label] = _chosen(draws[0]) if len(draws) == 1 else _draws(closed, row, draws)
    if hardest := _hardest(closed, rows):
        found["hardest classes"] = hardest
    return found


def _learnt_from(labelled: Labelled) -> str:
    sizes = labelled.sizes
    n_classes = int((sizes > 0).sum())
    told = f"{labelled.n_train:,} training images of {n_classes:,} classes"
    told += f", {sizes[sizes > 0].min():,} to {sizes.max():,} each"
    if n_val := len(labelled.images) - labelled.n_train:
        told += f"; {n_val:,} validation images help to choose settings"
    return told


def _chosen(one: Classifier) -> str:
    chosen = one.chosen() or {}
    name, value = _setting(one)
    if not chosen.get("asked"):
        return f"{name} = {value:g}, the usual one"
    how = (
        f"{chosen['folds']} folds of {chosen['groups']:,} groups"
        if "folds" in chosen
        else "no image seeing its group"
    )
    return f"{name} = {value:g}: {100 * chosen['accuracy']:.1f} % of {chosen['asked']:,} images, {how}"


def _setting(one: Classifier) -> tuple[str, float]:
    """("k" or "C", what was chosen)."""
    chosen = one.chosen() or {}
    return next((name, float(chosen[name])) for name in ("k", "C") if name in chosen)


def _draws(closed: Marked, row: Row | None, draws: Sequence[Classifier]) -> str:
    values = sorted({_setting(one)[1] for one in draws})
    told = (
        f"{_setting(draws[0])[0]} = {', '.join(f'{value:g}' for value in values)}: mean of {len(draws)} draws"
    )
    if row is not None:
        shares = (row.named == closed.truth).mean(axis=1)
        told += (
            f" ({100 * shares.min():.1f} to {100 * shares.max():.1f} %), its interval is that of these draws"
        )
    sizes = draws[0].labelled.sizes
    if short := int(((sizes > 0) & (sizes < draws[0].n_shots)).sum()):
        told += f"; {short:,} class{'' if short == 1 else 'es'} with fewer images give{'s' if short == 1 else ''} all"
    return told


def _hardest(closed: Marked, rows: Sequence[Row]) -> str:
    """The classes that the best baseline gets wrong most often."""
    baselines = [row for row in rows if row.role == "baseline"]
    if not baselines:
        return ""
    best = max(baselines, key=lambda row: float((row.named == closed.truth).mean()))
    right: Any = np.bincount(closed.truth, (best.named == closed.truth).mean(axis=0), len(closed.names))
    recall = {c: right[c] / n for c, n in enumerate(closed.n_of_class.tolist()) if n}
    worst = sorted(recall, key=lambda c: (recall[c], closed.names[c]))[:_HARDEST]
    shown = ", ".join(f"{closed.names[c]} {100 * recall[c]:.0f} %" for c in worst if recall[c] < 1)
    return f"for {best.label}: {shown}" if shown else ""
