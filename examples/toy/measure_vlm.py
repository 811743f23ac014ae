"""Answers of the toy VLM about worlds that it never saw."""

from __future__ import annotations

import json
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.toy.world import sentences, texts, turns, words
from fgvr_kit.toy.world.held_out import benchmark_classes
from fgvr_kit.toy.world.scenes import Scene, scene, scene_of
from fgvr_kit.toy.world.turns import Turn

_AT_ONCE = 32


def measure(path: str, seed: int, n: int) -> dict[str, Any]:
    """Everything that is told of the VLM, as shares of 0..1 with their numbers."""
    vlm = Vlm.load(path, device="cpu")
    found = [scene(seed, number) for number in range(n)]
    return {
        "note": vlm.note,
        "attributes": _attributes(vlm, found),
        "closed": _closed(vlm, found),
        "choice": _choice(vlm, found),
        "json": _json(vlm, found[: n // 4]),
        "words": _words(vlm, seed, n // 10),
        "benchmark": _benchmark(vlm, seed, max(2, n // 50)),
    }


def _asked(vlm: Vlm, asks: Sequence[Ask], most: int) -> list[str]:
    said: list[str] = []
    for first in range(0, len(asks), _AT_ONCE):
        said += [one.text for one in vlm.generate(asks[first : first + _AT_ONCE], max_new_tokens=most)]
    return said


def _ask(turn: Turn, one: Scene | None = None, **more: Any) -> Ask:
    return Ask(turn.text, (Image.fromarray(one.pixels),) if one else (), **more)


def _dice(n: int) -> np.random.Generator:
    return np.random.default_rng([5, n])


def _attributes(vlm: Vlm, found: Sequence[Scene]) -> dict[str, Any]:
    """Each attribute of each picture, asked by itself and answered in the model's own words."""
    pairs = [(one, name) for one in found for name in words.askable(one.facts)]
    made = [turns.question(one.facts, _dice(n), name) for n, (one, name) in enumerate(pairs)]
    said = _asked(vlm, [_ask(turn, one) for turn, (one, _) in zip(made, pairs, strict=True)], 12)
    rights: dict[str, list[bool]] = defaultdict(list)
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for turn, answer in zip(made, said, strict=True):
        rights[turn.attribute].append(answer == turn.answer)
        wanted[turn.attribute][turn.answer] += 1
    each = {
        name: {"right": _mean(some), "commonest": _share(wanted[name]), "n": len(some)}
        for name, some in rights.items()
    }
    return {"right": _mean([right for some in rights.values() for right in some]), "each": each}


def _closed(vlm: Vlm, found: Sequence[Scene]) -> dict[str, float]:
    """Attributes with lettered options, weighed as fgvr-kit weighs them; chance is one in the options' number."""
    made = [turns.closed(one.facts, _dice(n)) for n, one in enumerate(found)]
    asks = [_ask(turn, one) for turn, one in zip(made, found, strict=True)]
    likeliest = vlm.choose(asks, list(string.ascii_uppercase[:8])).argmax(dim=1).tolist()
    rights = [string.ascii_uppercase[k] == turn.answer for k, turn in zip(likeliest, made, strict=True)]
    return {"right": _mean(rights), "n": len(rights)}


def _choice(vlm: Vlm, found: Sequence[Scene]) -> dict[str, float]:
    """Which of several phrases: whether one of the letters is answered, and the right one."""
    made = [turns.choice(one.facts, _dice(n)) for n, one in enumerate(found)]
    said = _asked(vlm, [_ask(turn, one) for turn, one in zip(made, found, strict=True)], 12)
    offered = [[letter for letter in "ABCDE" if f"{letter}{_sign(turn.text)}" in turn.text] for turn in made]
    return {
        "a letter": _mean([answer in some for answer, some in zip(said, offered, strict=True)]),
        "right": _mean([answer == turn.answer for answer, turn in zip(said, made, strict=True)]),
        "chance": _mean([1 / len(some) for some in offered]),
        "n": len(said),
    }


def _sign(text: str) -> str:
    return next((sign for sign in (". ", ") ", ": ") if f"A{sign}" in text and f"B{sign}" in text), ". ")


def _json(vlm: Vlm, found: Sequence[Scene]) -> dict[str, float]:
    """Attributes asked jointly: valid JSON with the keys that were asked for, without and with a schema."""
    made = [turns.joint(one.facts, _dice(n)) for n, one in enumerate(found)]
    free = _asked(vlm, [_ask(turn, one) for turn, one in zip(made, found, strict=True)], 160)
    schemas = [_schema(json.loads(turn.answer)) for turn in made]
    asks = [_ask(t, one, schema=schema) for t, one, schema in zip(made, found, schemas, strict=True)]
    bound = _asked(vlm, asks, 160)
    wanted = [json.loads(turn.answer) for turn in made]
    values = [(pair[key], said.get(key)) for pair, text in zip(wanted, bound, strict=True)
              for said in [_read(text)] for key in pair]  # fmt: skip
    return {
        "valid": _mean([_read(text).keys() == keys.keys() for text, keys in zip(free, wanted, strict=True)]),
        "valid with a schema": _mean(
            [_read(t).keys() == keys.keys() for t, keys in zip(bound, wanted, strict=True)]
        ),
        "values right": _mean([a == b for a, b in values]),
        "n": len(made),
    }


def _schema(answer: dict[str, str]) -> dict[str, Any]:
    shape = {"type": "string", "maxLength": 200}
    return {"type": "object", "properties": dict.fromkeys(answer, shape), "required": list(answer),
            "additionalProperties": False}  # fmt: skip


def _read(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(vlm: Vlm, seed: int, n: int) -> dict[str, float]:
    """Requests without a picture: whether the reply is the expected one, word for word; lists: valid JSON."""
    found: dict[str, float] = {}
    for task, (_, make) in texts.TOLD.items():
        made = [make(np.random.default_rng([seed, 9, k])) for k in range(n)]
        asks = [Ask(turn.text, turns=turn.before) for turn in made]
        said = _asked(vlm, asks, 320 if task == "attributes" else 96)
        right: Callable[[str, Turn], bool] = _is_list if task == "attributes" else _is_same
        found[task] = _mean([right(answer, turn) for answer, turn in zip(said, made, strict=True)])
    return found


def _is_same(answer: str, turn: Turn) -> bool:
    return answer == turn.answer


def _is_list(answer: str, turn: Turn) -> bool:
    """A list of as many attributes as were asked for, each with its name and its question."""
    listed = _read(answer).get("attributes")
    wanted = json.loads(turn.answer)["attributes"]
    return (
        isinstance(listed, list) and len(listed) == len(wanted) and all("question" in one for one in listed)
    )


def _benchmark(vlm: Vlm, seed: int, each: int) -> dict[str, Any]:
    """The twenty classes that are kept out of training, told by phrases: the right one of its four look-alikes."""
    classes = list(benchmark_classes().values())
    letters = list("ABCD")
    asks, right = [], []
    for c, fixed in enumerate(classes):
        group = classes[c - c % 4 : c - c % 4 + 4]
        phrases = [sentences.phrase(scene_of(one, seed, 0).facts, fixed["kind"]) for one in group]
        for k in range(each):
            picture = scene_of(fixed, seed, c * each + k)
            fill = {
                "superclass": fixed["kind"],
                "unit": "class",
                "options": list(zip(letters, phrases, strict=True)),
            }
            asks.append(_ask(Turn("choice", turns.template("ask/choice").render(**fill).text, ""), picture))
            right.append(c % 4)
    likeliest = vlm.choose(asks, letters).argmax(dim=1).tolist()
    rights = [a == b for a, b in zip(likeliest, right, strict=True)]
    kinds = [fixed["kind"] for fixed in classes for _ in range(each)]
    by_kind = {
        kind: _mean([r for r, k in zip(rights, kinds, strict=True) if k == kind])
        for kind in dict.fromkeys(kinds)
    }
    return {"right": _mean(rights), "chance": 0.25, "n": len(rights), "by kind": by_kind}


def _share(counts: Counter[str]) -> float:
    """What always saying the commonest answer would get right."""
    return round(max(counts.values()) / counts.total(), 3)


def _mean(values: Sequence[float | bool]) -> float:
    return round(float(np.mean(values)), 4)
