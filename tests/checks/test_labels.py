from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fgvr_kit.checks import labels
from fgvr_kit.checks.base import Subject, Verdict
from fgvr_kit.checks.labels import MOST_TOLD, confident_errors, out_of_fold
from tests.checks.conftest import Datasets, of_kind, pairs
from tests.photographs import photograph

COLOURS = {"amber": (225, 160, 20), "jade": (20, 150, 90), "ruby": (180, 20, 50), "sapphire": (30, 60, 190)}


def gem(class_name: str, seed: int) -> Image.Image:
    """A stone of the colour of its class somewhere on a grey table: easily told apart, no two alike."""
    noise = random.Random(f"{class_name}{seed}")
    table = Image.fromarray(np.random.default_rng(seed).integers(90, 160, (8, 8, 3), dtype=np.uint8)).resize(
        (64, 64)
    )
    left, top, size = noise.randrange(10), noise.randrange(10), noise.randrange(40, 52)
    colour = tuple(channel + noise.randrange(-15, 15) for channel in COLOURS[class_name])
    ImageDraw.Draw(table).ellipse((left, top, left + size, top + size), fill=colour)
    return table


def gems(root: Path, n: int, moved: int = 0) -> tuple[Path, dict[str, str]]:
    """n stones of each class, and `moved` of them in all in the folder of another class: (root, path -> true class)."""
    places = [(name, number) for name in COLOURS for number in range(n)]
    wrong = {}
    for name, number in random.Random(5).sample(places, moved):
        other = random.Random(number).choice([c for c in COLOURS if c != name])
        wrong[name, number] = other
    for name, number in places:
        folder = root / wrong.get((name, number), name)
        folder.mkdir(parents=True, exist_ok=True)
        gem(name, 100 * list(COLOURS).index(name) + number).save(folder / f"{name[0]}{number:03}.png")
    return root, {f"{other}/{name[0]}{number:03}.png": name for (name, number), other in wrong.items()}


def run(subject: Subject, model: str) -> Verdict:
    return labels.run(replace(subject, settings=subject.settings.model_copy(update={"model": model})))


def test_planted_wrong_labels_are_found(datasets: Datasets, toy_clip_model: str) -> None:
    """12 of 240 lie in a wrong folder. At least 9 of them are found (recall 0.75; a class whose images are told very
    surely believes nothing less), and of what is told at least 9 in 10 are wrong indeed (precision 0.9). Each is
    said to look like what it is, and shown beside an image of that class."""
    folder, wrong = gems(datasets.root / "gems", 60, moved=12)

    verdict = run(datasets.subject(folder), toy_clip_model)

    found = of_kind(verdict, "wrong-label")
    paths = [finding.path for finding in found]
    right = [finding for finding in found if finding.path in wrong]
    assert len(right) / len(wrong) >= 0.75
    assert len(right) / len(found) >= 0.9
    assert len(set(paths)) == len(paths)
    for finding in right:
        assert finding.path is not None
        assert finding.other is not None
        true = wrong[finding.path]
        assert finding.message == f"labelled {finding.path.split('/')[0]!r}, looks more like {true!r}"
        assert finding.other.startswith(f"{true}/")
    values = [finding.value for finding in found if finding.value is not None]
    assert values == sorted(values, reverse=True)
    assert verdict.figures["wrong_labels"] == len(found)
    assert verdict.figures["probe_agreement"] > 0.9


def test_right_labels_are_left_alone(datasets: Datasets, toy_clip_model: str) -> None:
    verdict = run(datasets.subject(gems(datasets.root / "gems", 15)[0]), toy_clip_model)
    assert len(of_kind(verdict, "wrong-label")) <= 1


def test_a_probe_that_is_mostly_wrong_tells_nothing(datasets: Datasets, toy_clip_model: str) -> None:
    noise = random.Random(0)
    for number in range(60):
        place = datasets.root / "gems" / noise.choice(list(COLOURS))
        place.mkdir(parents=True, exist_ok=True)
        gem("jade", number).save(place / f"{number}.png")

    verdict = run(datasets.subject(datasets.root / "gems"), toy_clip_model)

    assert of_kind(verdict, "wrong-label") == []
    assert "cannot be told with this model" in verdict.told


def test_only_the_surest_are_told_and_all_are_counted(datasets: Datasets, toy_clip_model: str) -> None:
    folder, wrong = gems(datasets.root / "gems", 100, moved=MOST_TOLD + 20)

    verdict = run(datasets.subject(folder), toy_clip_model)

    assert len(of_kind(verdict, "wrong-label")) == MOST_TOLD
    assert MOST_TOLD < verdict.figures["wrong_labels"] <= len(wrong)
    assert f"the {MOST_TOLD} surest are told" in verdict.told


def test_an_untrained_model_is_called_so(datasets: Datasets) -> None:
    verdict = run(datasets.subject(gems(datasets.root / "gems", 4)[0]), "toy-clip")
    assert verdict.notes == ("untrained toy model",)
    assert verdict.told.endswith("; untrained toy model")


def test_the_model_of_mine_serves_where_check_names_none(datasets: Datasets, toy_clip_model: str) -> None:
    folder = gems(datasets.root / "gems", 4)[0]
    subject = datasets.subject(folder, f"mine.model='{toy_clip_model}'")
    assert labels.run(subject).figures["model"] == toy_clip_model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("", "not looked for: no CLIP model named (--model ...)"),
        ("ViT-B-32", "does not say which weights"),
        ("local-dir:/nowhere", "the weights of local-dir:/nowhere cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_used_is_told(datasets: Datasets, model: str, words: str) -> None:
    verdict = run(datasets.subject(gems(datasets.root / "gems", 3)[0]), model)
    assert words in verdict.told
    assert verdict.told.startswith("not looked for: ")
    assert verdict.findings == ()


def test_a_missing_extra_is_told(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    verdict = run(datasets.subject(gems(datasets.root / "gems", 3)[0]), "ViT-B-32:openai")
    assert verdict.told.startswith("not looked for: ")
    assert "pip install 'fgvr-kit[local]'" in verdict.told


def test_pictures_that_vanished_or_changed_are_told_and_the_others_judged(
    datasets: Datasets, toy_clip_model: str
) -> None:
    folder = gems(datasets.root / "gems", 5)[0]
    subject = datasets.subject(folder)
    (folder / "jade" / "j000.png").unlink()
    photograph(3).save(folder / "ruby" / "r001.png")

    verdict = run(subject, toy_clip_model)

    assert verdict.figures["images"] == 18
    assert verdict.notes[-1].startswith("without 2 files that cannot be opened any more")


def test_a_repeated_test_image_is_told_where_pixels_did_not_show_it(
    datasets: Datasets, toy_clip_model: str
) -> None:
    """The pixel search is told to have found nothing but one pair, which is not told again."""
    root = datasets.root / "gems"
    for side, numbers in (("train", range(12)), ("test", range(20, 24))):
        for name in COLOURS:
            (root / side / name).mkdir(parents=True)
            for number in numbers:
                gem(name, number).save(root / side / name / f"{number}.png")
    for name in ("amber", "jade"):
        gem(name, 0).save(root / "test" / name / "again.jpg", quality=90)
    subject = datasets.subject(root)
    hashes = {image.path: image.sha256 for image in subject.images}
    lone = [replace(image, group=None) for image in subject.images]
    known = [(hashes["test/jade/again.jpg"], hashes["train/jade/0.png"], 0.99)]

    verdict = run(replace(subject, images=lone, alike=known), toy_clip_model)

    told = pairs(verdict, "look-alike")
    assert ("test/amber/again.jpg", "train/amber/0.png") in told
    assert ("test/jade/again.jpg", "train/jade/0.png") not in told
    grouped = [
        replace(image, group="g" if image.path in ("test/amber/again.jpg", "train/amber/0.png") else None)
        for image in lone
    ]
    again = run(replace(subject, images=grouped, alike=known), toy_clip_model)
    assert ("test/amber/again.jpg", "train/amber/0.png") not in pairs(again, "look-alike")


# --- the rule, on numbers worked out by hand ------------------------------------------------------------------


def errors(confidence: Sequence[Sequence[float]], given: Sequence[int]) -> list[tuple[int, int, float]]:
    found = confident_errors(np.array(confidence, dtype=np.float32), np.array(given))
    return [(int(a), int(b), round(float(c), 3)) for a, b, c in zip(*found, strict=True)]


def test_the_rule_of_confident_learning() -> None:
    """Usual confidence of class 0: (0.9 + 0.7 + 0.2) / 3 = 0.6, of class 1: (0.8 + 0.6 + 0.1) / 3 = 0.5.
    Row 2: 0.8 >= 0.5 for class 1, 0.2 < 0.6 for its own. Row 5: 0.9 >= 0.6 and 0.1 < 0.5. The others are believed."""
    confidence = [(0.9, 0.1), (0.7, 0.3), (0.2, 0.8), (0.2, 0.8), (0.4, 0.6), (0.9, 0.1)]
    assert errors(confidence, [0, 0, 0, 1, 1, 1]) == [(5, 0, 0.8), (2, 1, 0.6)]


def test_a_class_that_is_never_seen_surely_is_believed_at_its_own_measure() -> None:
    """Class 2 usually gets 0.35, so 0.45 is much for it; class 1 usually gets 0.9, so 0.45 is little."""
    confidence = [(0.9, 0.05, 0.05), (0.1, 0.45, 0.45), (0.05, 0.9, 0.05), (0.35, 0.3, 0.35)]
    assert errors(confidence, [0, 0, 1, 2]) == [(1, 2, 0.35)]


def test_nothing_is_told_where_every_label_is_believed() -> None:
    assert errors([(1, 0), (0, 1)], [0, 1]) == []


def test_confidence_comes_from_folds_without_the_group() -> None:
    """Each group is one point far from all others: a probe that saw it would be sure of its random label."""
    noise = np.random.default_rng(0)
    points = np.repeat(noise.normal(size=(20, 50)), 5, axis=0).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    given = np.repeat(np.arange(20) % 2, 5)
    alone = out_of_fold(points, given, np.repeat(np.arange(20), 5))
    torn = out_of_fold(points, given, np.arange(100))
    rows = np.arange(100)
    assert torn[rows, given].mean() > 0.9
    assert alone[rows, given].mean() < 0.7
    assert np.allclose(alone.sum(axis=1), 1, atol=1e-5)
