"""The drawn dataset: class folders under train/ and test/, its attributes, and what a perfect describer says of it.

Classes have invented names and differ from their look-alikes in one or two attributes; light, background, size
and place are drawn for each picture and tell nothing. No picture of such a thing occurs in what the toy models
were trained on (fgvr_kit.toy.world.held_out).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fgvr_kit.edited import write_text
from fgvr_kit.errors import WorkspaceError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.toy.world import sentences, words
from fgvr_kit.toy.world.facts import Facts
from fgvr_kit.toy.world.held_out import benchmark_classes
from fgvr_kit.toy.world.scenes import scene_of

WORLD = 1_000
"""Worlds from this one on are drawn from for nothing that a toy model is trained on."""
QUESTIONS = {
    "kind": "What kind of thing is shown: a coin, a badge, a flower or a beetle?",
    "colour": "What is the main colour of it?",
    "second": "What colour is the ring, the border, the centre of the flower or the head, if it has another colour?",
    "shape": "What is the outline of it?",
    "pattern": "Which pattern does it have?",
    "marking": "What stands on it: a number, a picture, or nothing?",
    "petals": "How many petals are there?",
    "edge": "What is the edge like: smooth, notched, ribbed or wavy?",
    "size": "How large is it in the picture?",
    "background": "What does it lie on?",
    "light": "What is the light like?",
}
"""Attribute of facts.VALUES -> question. The last three tell nothing about the class, as in life."""
_SIZES = "sizes.json"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pictures of each of the twenty classes, and the world they are drawn from."""

    train: int = 12
    test: int = 12
    world: int = 0


def draw(folder: Path, sizes: Sizes, progress: Progress = SILENT) -> Path:
    """Make the dataset below folder, and return where its images lie. Killed, the same call goes on.

    Raises WorkspaceError "other-pictures" when pictures of other sizes lie there already.
    """
    _same_sizes(folder, sizes)
    classes = benchmark_classes()
    replies: list[str] = []
    with progress.task("draw", len(classes) * (sizes.train + sizes.test)) as task:
        for split, n, offset in (("train", sizes.train, 0), ("test", sizes.test, sizes.train)):
            for name, fixed in classes.items():
                for index in range(offset, offset + n):
                    scene = scene_of(fixed, WORLD + sizes.world, index)
                    _write(folder / "images" / split / name / f"{index:04}.png", scene.pixels)
                    rng = np.random.default_rng([WORLD + sizes.world, index])
                    replies += [
                        json.dumps(line, ensure_ascii=False) for line in _said(scene.facts, scene.pixels, rng)
                    ]
                    task.advance(1)
    write_text(folder / "attributes.csv", _attributes())
    write_text(folder / "replies.jsonl", "\n".join(replies) + "\n")
    return folder / "images"


def _same_sizes(folder: Path, sizes: Sizes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    note, own = folder / _SIZES, {"train": sizes.train, "test": sizes.test, "world": sizes.world}
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != own:
        raise WorkspaceError(
            "other pictures lie here already",
            code="other-pictures",
            where=str(folder),
            why=note.read_text(encoding="utf-8").strip(),
            hint="name another folder, or the same numbers",
        )
    write_text(note, json.dumps(own) + "\n")


def _write(path: Path, pixels: np.ndarray) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    Image.fromarray(pixels).save(part, format="PNG")
    part.replace(path)


def _said(facts: Facts, pixels: np.ndarray, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Lines of a recording (backends/replay.py): the answers, and the summary that is made of them."""
    from fgvr_kit.dataset.images import pixel_sha256

    image, thing = pixel_sha256(Image.fromarray(pixels)), facts.kind
    answers = {
        "general": sentences.brief(facts, thing, rng),
        **{name: words.value(facts, name) for name in QUESTIONS},
    }
    who = {"image": image, "model": "what was drawn", "note": "drawn pictures, described without a mistake"}
    yield {"purpose": "extract", **who, "answers": answers}
    yield {"purpose": "describe", **who, "text": sentences.description(facts, thing, rng)}


def _attributes() -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("attribute", "question", "note"))
    rows.writerows((name, question, "") for name, question in QUESTIONS.items())
    return text.getvalue()
