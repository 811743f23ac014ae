"""The formula against simulated models, and what is told of a test set."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from fgvr_kit.checks import power
from fgvr_kit.evaluation.metrics import Z95, wilson_interval
from tests.checks.conftest import Datasets, of_kind
from tests.photographs import class_folders


def seen(n: int, difference: float, disagreement: float, tries: int = 20_000) -> float:
    """Share of simulated comparisons in which McNemar's test sees a difference that is there."""
    better = (disagreement + difference) / 2
    draws = np.random.default_rng(7).multinomial(n, [better, disagreement - better, 1 - disagreement], tries)
    wins, losses = draws[:, 0], draws[:, 1]
    return float(np.mean(np.abs(wins - losses) > Z95 * np.sqrt(np.maximum(wins + losses, 1))))


@pytest.mark.parametrize(
    ("n", "disagreement"), [(100, 0.2), (155, 0.2), (400, 0.1), (1000, 0.3), (5000, 0.2)]
)
def test_the_smallest_difference_is_seen_in_eight_of_ten_tries(n: int, disagreement: float) -> None:
    difference = power.smallest_difference(n, disagreement)
    assert difference is not None
    assert difference < disagreement
    assert seen(n, difference, disagreement) == pytest.approx(0.8, abs=0.04)
    assert seen(n, difference / 2, disagreement) < 0.4


@pytest.mark.parametrize("n", [6, 10, 20, 30])
def test_a_small_set_shows_only_what_the_exact_test_shows(n: int) -> None:
    """Where the formula asks for more than the disagreement, all of it must be of one sign."""
    difference = power.smallest_difference(n, 0.2)
    assert difference is not None
    assert difference > 0.2
    wins = np.random.default_rng(7).binomial(n, difference, 20_000)
    seen = [binomtest(int(k), int(k)).pvalue < 0.05 if k else False for k in range(n + 1)]
    assert np.mean(np.take(seen, wins)) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("disagreement", [0.02, 0.2, 0.5])
def test_more_answers_always_show_more(disagreement: float) -> None:
    differences = [power.smallest_difference(n, disagreement) or 0.0 for n in range(6, 900)]
    assert all(a > b > 0 for a, b in pairwise(differences))


@pytest.mark.parametrize("n", range(6))
def test_five_answers_show_nothing(n: int) -> None:
    assert power.smallest_difference(n, 0.2) is None


@pytest.mark.parametrize("difference", [0.02, 0.05, 0.1, 0.3])
def test_the_number_needed_is_the_formula_turned_round(difference: float) -> None:
    n = power.n_needed(difference, 0.2)
    shown, not_yet = power.smallest_difference(n, 0.2), power.smallest_difference(n - 1, 0.2)
    assert shown is not None
    assert not_yet is not None
    assert shown <= difference < not_yet


@pytest.mark.parametrize("n", [2, 40, 155, 10_000])
def test_the_half_width_is_that_of_the_interval_that_eval_prints(n: int) -> None:
    low, high = wilson_interval(n // 2, n)
    half = power.half_width(n)
    assert half is not None
    assert math.isclose(half, (high - low) / 2, rel_tol=1e-3 if n % 2 else 1e-9)


def test_what_a_small_test_set_can_show_is_told(datasets: Datasets, tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {"train/bee": 3, "train/wasp": 3, "test/bee": 30, "test/wasp": 20}
    )
    verdict = power.run(datasets.subject(folder, "dataset.group_by=[]"))
    [finding] = of_kind(verdict, "small-test")
    assert finding.severity == "warning"
    assert finding.value == verdict.figures["smallest difference"]
    assert (finding.value or 0) > 0.1
    assert verdict.figures["images"] == 50
    assert {name: f["independent"] for name, f in verdict.figures["classes"].items()} == {
        "bee": 30,
        "wasp": 20,
    }
    json.dumps(verdict.figures)


def test_the_worst_class_is_told_beside_the_best_and_those_that_show_nothing_are_counted(
    datasets: Datasets, tmp_path: Path
) -> None:
    counts = {"train/bee": 3, "train/wasp": 3, "train/ant": 3, "test/bee": 60, "test/wasp": 10, "test/ant": 2}
    verdict = power.run(datasets.subject(class_folders(tmp_path / "pests", counts), "dataset.group_by=[]"))
    best, worst = (100 * verdict.figures["classes"][name]["smallest difference"] for name in ("bee", "wasp"))
    assert f"by {best:.1f} points (the best class) to {worst:.1f} points (the worst)" in verdict.told
    assert "in 1 of 3 classes not at all" in verdict.told


@pytest.mark.parametrize(("n", "is_within"), [(20, False), (60, True)])
def test_no_difference_is_told_that_is_larger_than_the_disagreement_it_is_said_to_rest_on(
    datasets: Datasets, tmp_path: Path, n: int, is_within: bool
) -> None:
    counts = {"train/bee": 3, "train/wasp": 3, "test/bee": n // 2, "test/wasp": n // 2}
    verdict = power.run(datasets.subject(class_folders(tmp_path / "pests", counts), "dataset.group_by=[]"))
    [finding] = of_kind(verdict, "small-test")
    assert ((finding.value or 0) <= 0.2) == is_within
    assert ("20%" in (finding.why or "")) == is_within


def test_one_test_image_is_one(datasets: Datasets, tmp_path: Path) -> None:
    counts = {"train/bee": 3, "train/wasp": 3, "test/bee": 1}
    told = power.run(datasets.subject(class_folders(tmp_path / "pests", counts))).told
    assert told.startswith("1 test image: too few")


def test_a_large_test_set_is_no_finding(datasets: Datasets, tmp_path: Path) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5}))
    [one] = [image for image in subject.images if image.split == "test"][:1]
    many = [replace(one, path=f"{n}.png", group=str(n)) for n in range(200)]
    assert power.run(replace(subject, images=many)).findings == []


def test_images_of_one_group_count_once(datasets: Datasets, tmp_path: Path) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5}))
    [one] = [image for image in subject.images if image.split == "test"][:1]
    many = [replace(one, path=f"{n}.png", group=str(n // 10)) for n in range(200)]
    verdict = power.run(replace(subject, images=many))
    assert (verdict.figures["images"], verdict.figures["independent"]) == (200, 20)
    assert "200 test images (20 independent)" in verdict.told
    assert "20 groups" in (of_kind(verdict, "small-test")[0].why or "")


def test_no_test_image_is_a_problem(datasets: Datasets, tmp_path: Path) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5}))
    verdict = power.run(replace(subject, images=[i for i in subject.images if i.split == "train"]))
    assert [(f.kind, f.severity) for f in verdict.findings] == [("no-test", "problem")]
    assert verdict.told == "no test image: nothing can be measured"
