"""What `mine` says at its end: a short table about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgvr_kit.pipeline.mine.mined import LookAlikes
from fgvr_kit.pipeline.mine.negatives import Negatives
from fgvr_kit.settings import MineSettings
from fgvr_kit.types import Image, Notice, Option, Summary

_PAIRS = 3  # of look-alikes that the table names
_BY = {
    "text": "of the classes whose texts are most similar",
    "centroid": "of the classes whose images are most similar on average",
    "image": "of the classes that have the most similar image",
}
_PICK = {"nearest": "the nearest image", "random": "an image drawn at random"}
_OPTIONS = {
    "hard": "the most similar classes",
    "random": "classes drawn at random",
    "mixed": "half the most similar classes, half drawn at random",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the table is made of.  file: the option file that was read, "" for none.  dropped: of it (what, how many,
    why)."""

    settings: MineSettings
    note: str | None
    train: Sequence[Image]
    test: Sequence[Image]
    n_classes: int
    found: Negatives
    options: Sequence[Option]
    labels_checked: bool
    is_toy: bool
    file: str = ""
    dropped: tuple[tuple[str, int, str], ...] = ()
    notices: tuple[Notice, ...] = field(default=())

    def summary(self) -> Summary:
        settings, note = self.settings, self.note
        return Summary(
            "mine",
            {**self._about_negatives(), **self._about_options(), "seed": settings.seed},
            (*((f"candidates: {d.guard}", d.n, d.why) for d in self.found.drops), *self.dropped),
            (f"{settings.model}: {note}",) if note else (),
            (*self._few_negatives(), *self._few_options(), *self._labels(), *self.notices),
        )

    def _about_negatives(self) -> dict[str, Any]:
        settings, found, n = self.settings, self.found, len(self.train)
        drawn = "an image drawn at random of classes drawn at random"
        how = f"{_PICK[settings.pick]} {_BY[settings.by]}" if settings.kind == "hard" else drawn
        done: dict[str, Any] = {
            "model": settings.model,
            "training images": n,
            "negatives": f"{len(found.negatives):,}: {how}",
        }
        if found.own_class:
            done["cosine with the text of the own class"] = str(found.own_class)
        if found.wrong_class:
            done["... of the class of a negative"] = str(found.wrong_class)
            done["cosine with the negative image"] = str(found.wrong_image)
        share = f" ({100 * found.n_strays / n:.1f} %)" if n else ""
        done["closer to the text of a wrong class"] = f"{found.n_strays:,} of {n:,} images{share}"
        done["each other's look-alikes"] = _told_pairs(found.look_alikes) or "no two classes"
        done["wrong labels looked for"] = "by check" if self.labels_checked else "no"
        return done

    def _about_options(self) -> dict[str, Any]:
        sizes = Counter(Counter(option.image_id for option in self.options).values())
        done: dict[str, Any] = {"test images": len(self.test)}
        source = f"as in {Path(self.file).name}" if self.file else _OPTIONS[self.settings.options]
        for size, n in sorted(sizes.items(), reverse=True):
            done[f"questions of {size} options"] = f"{n:,}, wrong ones: {source}"
        return done

    def _few_negatives(self) -> list[Notice]:
        wanted = self.settings.n_negatives
        per_image = Counter(negative.image_id for negative in self.found.negatives)
        short = sum(per_image[image.id] < wanted for image in self.train)
        if not short:
            return []
        none = sum(not per_image[image.id] for image in self.train)
        by_clip = any(drop.guard == "near copy" for drop in self.found.drops)
        return [
            Notice(
                f"{short:,} training images have fewer than {wanted} negatives"
                + (f", {none:,} have none" if none else ""),
                code="few-negatives",
                why="there are fewer other classes with training images"
                + (" that the guards let through" if self.found.drops else ""),
                hint=f"[mine] n_negatives = {wanted} asks for more than there are"
                + ("; a higher [mine] near_copy lets more through" if by_clip else ""),
            )
        ]

    def _few_options(self) -> list[Notice]:
        wanted = self.settings.n_options
        sizes = Counter(option.image_id for option in self.options)
        short = sum(size < wanted for size in sizes.values())
        if not short or self.file:
            return []
        most = max(sizes.values())
        return [
            Notice(
                f"{short:,} questions have fewer than {wanted} options",
                code="few-options",
                why=f"there are {self.n_classes} classes" if most < wanted
                else "classes that are right answers too are not offered (classes.csv: synonyms, parent)",
                hint="accuracies of questions with fewer options are higher by chance alone",
            )
        ]  # fmt: skip

    def _labels(self) -> list[Notice]:
        if self.labels_checked or self.is_toy:
            return []
        return [
            Notice(
                "nobody has looked for wrong labels yet, so that a negative may show the anchor's own class",
                code="labels-not-checked",
                hint=f"fgvr-kit check --model {self.settings.model}, then fgvr-kit mine again",
            )
        ]


def _told_pairs(pairs: Sequence[LookAlikes]) -> str:
    told = "; ".join(f"{p.first} / {p.second} ({p.n_first + p.n_second:,} images)" for p in pairs[:_PAIRS])
    more = len(pairs) - _PAIRS
    return told + (f"; and {more} more pairs" if more > 0 else "")
