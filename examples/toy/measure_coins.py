"""What the toy VLM makes of photographs: the euro coins, which it was never trained on."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fgvr_kit import shipped
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.toy.vlm import build_vlm
from fgvr_kit.toy.world.turns import template

_AT_ONCE = 32
_SHUFFLES = 200
_DOMAIN = {"superclass": "euro coin", "unit": "denomination", "notes": "", "language": ""}


def measure(path: str) -> dict[str, Any]:
    """Answers against classes, and a linear probe on image states beside that of the untrained toy."""
    vlm = Vlm.load(path, device="cpu")
    folder = shipped.folder("examples") / "euro-coins"
    train, test = _photographs(folder / "train"), _photographs(folder / "test")
    return {
        "note": vlm.note,
        "answers": _answers(vlm, folder / "attributes.csv", train + test),
        "probe": {
            name: _probe(one, train, test) for name, one in (("trained", vlm), ("untrained", _untrained()))
        },
    }


def _untrained() -> Vlm:
    with TemporaryDirectory() as folder:
        return Vlm.load(str(build_vlm(Path(folder))), device="cpu")


def _photographs(folder: Path) -> list[tuple[str, Image.Image]]:
    """(class, picture), in the order of their names."""
    return [(path.parent.name, Image.open(path).convert("RGB")) for path in sorted(folder.glob("*/*.jpg"))]


def _answers(vlm: Vlm, attributes: Path, photographs: list[tuple[str, Image.Image]]) -> dict[str, Any]:
    """Bits that an answer tells of the class, beside what it would tell of shuffled classes."""
    classes = np.array([name for name, _ in photographs])
    with attributes.open(encoding="utf-8") as file:
        asked = {row["attribute"]: row["question"] for row in csv.DictReader(file)}
    told: dict[str, Any] = {}
    for attribute, question in asked.items():
        text = template("extract/question").render(attribute=attribute, question=question, **_DOMAIN).text
        said: list[str] = []
        for k in range(0, len(photographs), _AT_ONCE):
            asks = [Ask(text, (picture,)) for _, picture in photographs[k : k + _AT_ONCE]]
            said += [one.text for one in vlm.generate(asks, max_new_tokens=16)]
        told[attribute] = _information(np.array(said), classes)
    return told


def _information(said: NDArray[np.str_], classes: NDArray[np.str_]) -> dict[str, Any]:
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    bits = mutual_info_score(said, classes) / np.log(2)
    shuffled = [mutual_info_score(said, rng.permutation(classes)) / np.log(2) for _ in range(_SHUFFLES)]
    values, counts = np.unique(said, return_counts=True)
    common = [f"{values[k]} ({counts[k]})" for k in np.argsort(-counts)[:4]]
    return {
        "bits": round(float(bits), 3),
        "shuffled": round(float(np.mean(shuffled)), 3),
        "shuffled 97.5 %": round(float(np.quantile(shuffled, 0.975)), 3),
        "said": common,
    }


def _probe(
    vlm: Vlm, train: list[tuple[str, Image.Image]], test: list[tuple[str, Image.Image]]
) -> dict[str, Any]:
    """Accuracy of logistic regression from image states to classes; three things a state can be."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found: dict[str, Any] = {}
    seen, unseen = _states(vlm, train), _states(vlm, test)
    for name in seen:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=3000))
        model.fit(seen[name], [label for label, _ in train])
        found[name] = round(float(model.score(unseen[name], [label for label, _ in test])), 3)
    return found


def _states(vlm: Vlm, photographs: list[tuple[str, Image.Image]]) -> dict[str, NDArray[np.float32]]:
    """The state that stage I embeds an image by; the mean of its image tokens; all of them."""
    import torch

    objects, means, whole = [], [], []
    with torch.no_grad():
        for k in range(0, len(photographs), _AT_ONCE):
            some = photographs[k : k + _AT_ONCE]
            inputs = vlm.encode([Ask("Which?", (picture,)) for _, picture in some], ["A"] * len(some)).inputs
            features = vlm.image_features(inputs)
            objects.append(vlm.embed_objects(inputs, features).numpy())
            means.append(torch.stack([one.mean(dim=0) for one in features]).numpy())
            whole.append(torch.stack([one.flatten() for one in features]).numpy())
    parts = {"object state": objects, "mean image token": means, "all image tokens": whole}
    return {name: np.concatenate(rows) for name, rows in parts.items()}
