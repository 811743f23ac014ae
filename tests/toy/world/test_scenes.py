"""Scenes are functions of their number, and the benchmark's classes are kept out of training."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fgvr_kit.toy.world import facts
from fgvr_kit.toy.world.facts import IDENTITY, VALUES
from fgvr_kit.toy.world.held_out import KEPT_OUT, benchmark_classes
from fgvr_kit.toy.world.scenes import TRAINING_SEEDS, scene, scene_of


def test_a_scene_is_the_same_whenever_it_is_drawn() -> None:
    first, again, other = scene(3, 17), scene(3, 17), scene(4, 17)
    assert first.facts == again.facts
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.pixels.tobytes() != other.pixels.tobytes()
    assert first.pixels.shape == (112, 112, 3)


def test_easy_scenes_are_as_many_as_asked_for_and_fill_the_picture() -> None:
    easy = [scene(3, n, 1.0).facts for n in range(20)]
    assert all(one[name] in (value, "") for one in easy for name, value in facts.EASY.items())
    half = [scene(3, n, 0.5).facts["size"] for n in range(60)]
    assert 0.4 < half.count("large") / 60 < 0.95
    assert scene(3, 5, 0.0).pixels.tobytes() == scene(3, 5).pixels.tobytes()


def test_all_values_occur_and_no_others() -> None:
    rng = np.random.default_rng(0)
    seen: dict[str, set[str]] = {name: set() for name in VALUES}
    for _ in range(6000):
        for name, value in facts.draw(rng).values.items():
            seen[name].add(value)
    assert seen == {name: set(values) for name, values in VALUES.items()}


def test_kept_out_combinations_occur_by_chance_but_never_in_a_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn without the rule, some of 10,000 would be kept out: the rule is what keeps them away."""
    rng = np.random.default_rng(0)
    assert sum(facts.draw(rng).identity in KEPT_OUT for _ in range(10_000)) > 10
    monkeypatch.setattr("fgvr_kit.toy.world.scenes.picture", lambda *_: (None, None))
    found = [scene(TRAINING_SEEDS[1], n).facts.identity for n in range(10_000)]
    assert not KEPT_OUT & set(found)


def test_the_values_of_the_kept_out_classes_occur_in_training() -> None:
    """What is new about a class is the combination, not a value."""
    rng = np.random.default_rng(0)
    drawn = [one for one in (facts.draw(rng) for _ in range(8000)) if one.identity not in KEPT_OUT]
    for fixed in benchmark_classes().values():
        for name, value in fixed.items():
            assert any(one.kind == fixed["kind"] and one[name] == value for one in drawn), (name, value)


def test_the_benchmark_has_twenty_classes_in_groups_of_look_alikes() -> None:
    classes = list(benchmark_classes().values())
    assert len(classes) == len(KEPT_OUT) == 20
    for group in (classes[n : n + 4] for n in range(0, 20, 4)):
        assert len({one["kind"] for one in group}) == 1
        for one in group:
            apart = [sum(one[name] != other[name] for name in one) for other in group if other is not one]
            assert 1 <= min(apart) <= 2


def test_a_scene_of_a_class_has_its_values_and_is_kept_out() -> None:
    for fixed in benchmark_classes().values():
        found = scene_of(fixed, 2000, 0)
        assert {name: found.facts[name] for name in fixed} == fixed
        assert found.facts.identity in KEPT_OUT


def test_identities_name_attributes_that_their_kind_has() -> None:
    for kind, names in IDENTITY.items():
        assert set(names) <= set(facts.HAS[kind])


def test_drawing_needs_no_torch() -> None:
    code = (
        "import sys; from fgvr_kit.toy.world import scenes, turns, texts; scenes.scene(1, 1);"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
