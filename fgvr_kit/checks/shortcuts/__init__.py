"""Can something that is not the thing itself tell the classes apart? And do file names tell them?

Each family of traces (size, brightness, colour, border, camera, file name, time) is given to a small forest of
its own, which must guess the class of images that it was not shown. What guesses better than chance, a large
model finds too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgvr_kit.checks.base import Subject, Verdict, counted
from fgvr_kit.checks.shortcuts.guess import Guess, Sample, folds, guessed
from fgvr_kit.checks.shortcuts.names import forms_of, name_leak, percent
from fgvr_kit.checks.shortcuts.traces import FAMILIES, Family
from fgvr_kit.types import Finding

ABOUT = "what tells the classes apart without being the thing itself"
KINDS = {
    "shortcut": "size, light, border, camera, file name or time alone guess the class",
    "name-leak": "file names hold the name of their class",
}


def run(subject: Subject) -> Verdict:
    forms = forms_of(subject)
    leak, share = name_leak(subject.images, forms)
    told = f"; {percent(share)} of the file names hold their class" if leak else ""
    sample = Sample.of(subject.images, forms)
    n_classes = len(sample.classes)
    figures: dict[str, Any] = {"images": len(sample.images), "of": len(subject.images), "classes": n_classes,
                               "classes_left_out": sample.n_left_out, "name_leak": round(share, 4)}  # fmt: skip
    if n_classes < 2:
        told = f"not looked for: no two classes have two independent images each{told}"
        return Verdict(told, leak, figures)
    guesses = _guesses(subject, sample)
    found = [
        _finding(f, guesses[f.name], sample, subject.settings.margin) for f in FAMILIES if f.name in guesses
    ]
    shortcuts = [finding for finding in found if finding]
    figures |= {"chance": round(1 / n_classes, 4), "families": {n: g.figures() for n, g in guesses.items()}}
    told = _told(guesses, len(shortcuts), figures, subject.settings.margin) + told
    return Verdict(told, [*shortcuts, *leak], figures)


def _guesses(subject: Subject, sample: Sample) -> dict[str, Guess]:
    """Family -> how well it guesses; without the families whose traces are the same for every image."""
    found: dict[str, Guess] = {}
    pieces = folds(sample.labels, sample.groups)
    with subject.progress.task("looking for shortcuts", len(FAMILIES)) as task:
        for family in FAMILIES:
            traces = family.traces(sample)  # (N, F)
            if np.ptp(traces, axis=0).any():
                found[family.name] = Guess.of(guessed(traces, sample, pieces), sample, len(pieces))
            task.advance(note=family.name)
    return found


def _finding(family: Family, guess: Guess, sample: Sample, margin: float) -> Finding | None:
    n_classes = len(sample.classes)
    beats_chance = guess.low > 1 / n_classes + margin
    if not beats_chance and not guess.given_away.any():
        return None
    if beats_chance:
        how_well = (
            f"guesses {percent(guess.accuracy)} of the images right, all classes counted alike (95 % interval "
            f"{percent(guess.low)} to {percent(guess.high)}; chance is {percent(1 / n_classes)})"
        )
    else:
        n_given = int(guess.given_away.sum())
        others = "" if n_given == n_classes else ", though not the others"
        how_well = f"gives away {n_given} of {n_classes} classes{others}"
    best = np.argsort(-guess.recall, kind="stable")
    known = guess.recall > 1 / n_classes if beats_chance else guess.given_away
    most = ", ".join(f"{sample.classes[k]!r} ({percent(guess.recall[k])})" for k in best[known[best]][:3])
    return Finding(
        "shortcut", "warning",
        f"{family.name} alone ({family.of}) {how_well}; it knows best: {most}",
        value=round(guess.accuracy, 4),
        why=family.why,
        hint=family.fair,
    )  # fmt: skip


def _told(guesses: Mapping[str, Guess], n_found: int, figures: Mapping[str, Any], margin: float) -> str:
    best = sorted(guesses, key=lambda name: -guesses[name].accuracy)[:3]
    above = [name for name in best if guesses[name].accuracy > figures["chance"]]
    shares = ", ".join(f"{name} {percent(guesses[name].accuracy)}" for name in above)
    shares = f"{shares or 'none above chance'}; chance {percent(figures['chance'])}"
    if not guesses:
        told = "size, light, border, camera and names are the same for all images"
    elif n_found:
        verb = "tells" if n_found == 1 else "tell"
        told = f"{n_found} of {counted(len(guesses), 'family', 'families')} of traces {verb} classes apart ({shares})"
    else:
        told = f"no family of traces is sure to beat chance by {counted(round(100 * margin), 'point')} ({shares})"
    return told + "".join(_limits(figures))


def _limits(figures: Mapping[str, Any]) -> Sequence[str]:
    n, of, left_out = figures["images"], figures["of"], figures["classes_left_out"]
    sampled = f"; looked for in {n:,} of {of:,} images" if n < of else ""
    lone = f"; without {counted(left_out, 'class that lacks', 'classes that lack')} two independent images"
    lone = lone if left_out else ""
    return sampled, lone
