from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.errors import FgvrError, SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.recipes.finedefics import Settings
from fgvr_kit.training.ablation.ablate import ablate, over_seeds
from fgvr_kit.training.ablation.variants import known_ablations, n_steps, trials
from fgvr_kit.types import Option
from fgvr_kit.workspace import Workspace

OWN = """
[paper]
about = "fast"
settings = { "finedefics.stages" = ["instruct"] }
[open-only]
settings = { "finedefics.stages" = ["instruct"], "finedefics.questions" = ["open"] }
"""


@pytest.fixture
def asked(workspace: Workspace) -> Workspace:
    """With options for the test images, and an own list of ablations."""
    negatives = [n for ns in workspace.store.negatives().values() for n in ns]
    names = ["bee", "black ant", "red ant", "wasp"]
    options = []
    for image in workspace.store.images("test"):
        shown = [image.class_name, *(name for name in names if name != image.class_name)]
        options += [Option(image.id, rank, name, 0.5, rank) for rank, name in enumerate(shown)]
    workspace.store.put_mined(negatives, options)
    (workspace.root / "ablations.toml").write_text(OWN)
    return workspace


def test_every_shipped_ablation_is_a_setting_that_exists(workspace: Workspace) -> None:
    known = known_ablations(workspace)
    assert {"paper", "instruct-only", "one-stage", "no-attributes", "noisy", "random-negatives"} <= set(known)
    for ablation in known.values():
        with Workspace(workspace.root, ablation.overrides()) as varied:
            assert varied.settings
        changed = {key.removeprefix("finedefics."): value for key, value in ablation.settings.items()}
        assert Settings.model_validate(changed).model_dump(include=set(changed)) == changed


def test_each_attribute_can_be_left_out(workspace: Workspace) -> None:
    (workspace.root / "attributes.csv").write_text("attribute,question\nwing_shape,Which?\nsize,How large?\n")
    known = known_ablations(workspace)
    assert known["without-wing-shape"].settings == {
        "finedefics.composed": True,
        "finedefics.left_out": ["wing_shape"],
    }
    assert known["without-wing-shape"].against == "composed"  # against "paper" two things would differ


def test_an_ablation_is_compared_with_what_it_names(asked: Workspace) -> None:
    (asked.root / "ablations.toml").write_text(
        OWN + '[more]\nagainst = "open-only"\nsettings = { "finedefics.stages" = ["instruct"], '
        '"finedefics.questions" = ["open"], "finedefics.rank" = 2 }\n'
    )
    planned = trials(asked, ["more"], 1)
    assert [trial.ablation.name for trial in planned] == ["paper", "open-only", "more"]
    results = {r.name: r for r in ablate(asked, planned)}
    more, other = results["more"], results["open-only"]
    assert (other.against, more.against) == ("paper", "open-only")
    assert more.gain is not None
    assert more.gain.value == pytest.approx(more.over_images.value - other.over_images.value)


def test_trials_share_stages_and_say_what_cannot_be_trained(workspace: Workspace) -> None:
    planned = trials(workspace, [], 2)
    assert {trial.seed for trial in planned} == {42, 43}
    why_not = {trial.ablation.name: trial.why_not.code for trial in planned if trial.why_not}
    assert why_not == {"class-attributes": "no-attributes", "composed": "no-attributes"}
    stages, steps = n_steps(planned)
    alone = [s.fingerprint for t in planned for s in t.stages]
    assert stages == len(set(alone)) < len(alone)
    assert steps == sum({s.fingerprint: s.steps for t in planned for s in t.stages}.values())


def test_one_that_is_named_and_cannot_be_trained_raises_why(workspace: Workspace) -> None:
    with pytest.raises(FgvrError) as caught:
        trials(workspace, ["composed"], 1)
    assert caught.value.code == "no-attributes"
    with pytest.raises(SettingsError) as caught:
        trials(workspace, ["nois"], 1)
    assert (caught.value.code, caught.value.hint) == ("unknown-ablation", "did you mean 'noisy'?")


@pytest.mark.parametrize("text", ["[a]\nsettngs = {}\n", "a = 3\n", "[a\n"])
def test_a_file_that_is_no_list_is_refused(workspace: Workspace, text: str) -> None:
    (workspace.root / "ablations.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        known_ablations(workspace)
    assert caught.value.code == "ablations-file"


def test_ablations_are_compared_and_leave_the_walk_alone(
    asked: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = trials(asked, ["open-only"], 2)
    results = ablate(asked, planned)
    assert [(r.name, r.seeds) for r in results] == [
        ("zero-shot", ()), ("paper", (42, 43)), ("open-only", (42, 43)),
    ]  # fmt: skip
    base, paper, other = results
    assert (base.n, len(paper.accuracies), paper.gain) == (4, 2, None)
    assert all(a in (0, 0.25, 0.5, 0.75, 1) for r in results for a in r.accuracies)
    assert other.over_seeds == over_seeds(other.accuracies)
    assert other.gain is not None
    assert other.gain.value == pytest.approx(other.over_images.value - paper.over_images.value)
    assert "untrained toy model" in (paper.note or "")
    assert asked.store.walk() == {}
    assert asked.store.scores() == []
    assert n_steps(trials(asked, ["open-only"], 2)) == (0, 0)
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    assert ablate(asked, planned) == results


def test_settings_of_the_command_reach_every_trial(
    asked: Workspace, reopen: Callable[..., Workspace], tmp_path: Path
) -> None:
    with reopen("finedefics.rank=2") as changed:
        planned = trials(changed, ["open-only"], 1, ["finedefics.rank=2"])
    assert {trial.stages[0].fingerprint for trial in planned}.isdisjoint(
        trial.stages[0].fingerprint for trial in trials(asked, ["open-only"], 1)
    )


def test_an_interval_over_seeds_is_students() -> None:
    assert over_seeds([0.5]) is None
    interval = over_seeds([0.5, 0.6, 0.7])
    assert interval is not None
    half = 4.302652729911275 * 0.1 / 3**0.5
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))
