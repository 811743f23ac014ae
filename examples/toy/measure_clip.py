"""What the toy CLIP tells apart in worlds that it never saw, without being trained for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.toy import clip_captions as captions
from fgvr_kit.embedding.model import Model
from fgvr_kit.embedding.specs import parse
from fgvr_kit.toy.world import sentences
from fgvr_kit.toy.world.facts import VALUES
from fgvr_kit.toy.world.held_out import benchmark_classes
from fgvr_kit.toy.world.scenes import Scene, scene, scene_of
from fgvr_kit.toy.world.turns import template

_AT_ONCE = 64


def measure(spec: str, seed: int, n: int) -> dict[str, Any]:
    """Zero-shot accuracies with their chance."""
    model = Model(parse(spec), "fp32", "cpu")
    found = [scene(seed, number) for number in range(n)]
    seen = _images(model, found)
    return {"captions": _captions(model, found, seen), "values": _values(model, found, seen),
            "benchmark": _benchmark(model, seed, max(2, n // 25))}  # fmt: skip


def _images(model: Model, found: list[Scene]) -> NDArray[np.float32]:
    import torch

    shaped = [np.asarray(model.preparation._shape(Image.fromarray(one.pixels))) for one in found]
    parts = [model.encode_images(torch.from_numpy(np.stack(shaped[k : k + _AT_ONCE]))).numpy()
             for k in range(0, len(shaped), _AT_ONCE)]  # fmt: skip
    return np.concatenate(parts)


def _captions(model: Model, found: list[Scene], seen: NDArray[np.float32]) -> dict[str, float]:
    """The right caption among fifty."""
    rng = np.random.default_rng(0)
    told = model.encode_texts([captions.caption(one.facts, rng) for one in found]).numpy()
    right = [(seen[k : k + 50] @ told[k : k + 50].T).argmax(axis=1) == np.arange(50)
             for k in range(0, len(found) - 49, 50)]  # fmt: skip
    return {"right": round(float(np.mean(right)), 3), "chance": 0.02}


def _values(model: Model, found: list[Scene], seen: NDArray[np.float32]) -> dict[str, Any]:
    """Each attribute of coins in the words of prompts/extract/clip."""
    rng = np.random.default_rng(0)
    told: dict[str, Any] = {}
    facts = [one.facts for one in found]
    for attribute in (
        "colour",
        "second",
        "wear",
        "marking",
        "side",
        "edge",
        "stars",
        "size",
        "background",
        "light",
    ):
        right = captions.numbers(facts, "coin", attribute)
        answer = (seen @ model.encode_texts(captions.lines(attribute, "coin", rng)).numpy().T).argmax(axis=1)
        share = float((answer == right)[right >= 0].mean())
        told[attribute] = {"right": round(share, 3), "chance": round(1 / len(VALUES[attribute]), 3)}
    return told


def _benchmark(model: Model, seed: int, each: int) -> dict[str, float]:
    """The twenty classes that are kept out of training, among all twenty, told by phrases."""
    classes = list(benchmark_classes().values())
    phrases = [sentences.phrase(scene_of(fixed, seed, 0).facts, fixed["kind"]) for fixed in classes]
    told = model.encode_texts([template("mine/class").render(
        name=phrase, synonyms=[], scientific="", common="", parent="").text for phrase in phrases]).numpy()  # fmt: skip
    pictures = [scene_of(fixed, seed, c * each + k) for c, fixed in enumerate(classes) for k in range(each)]
    answer = (_images(model, pictures) @ told.T).argmax(axis=1)
    right = np.repeat(np.arange(len(classes)), each)
    return {"right": round(float((answer == right).mean()), 3), "chance": 0.05, "n": len(right)}
