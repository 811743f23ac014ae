from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fgvr_kit.errors import SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.recipes import finedefics
from fgvr_kit.training import processes
from fgvr_kit.training.loop import validation
from fgvr_kit.training.loop.watch import Watch, open_trackers
from fgvr_kit.training.planning.plan import plan_training
from fgvr_kit.training.runs import run
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace

VALIDATED = (
    "finedefics.stages=['instruct']",
    "finedefics.instruct_batch=4",
    "finedefics.learning_rate=0.01",
    "train.val_share=0.3",
    "train.val_steps=1",
)
"""8 images and 16 examples in batches of 4: four steps."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """The accuracies that validation is to find, one after the other; returns how often it was asked."""

    def script(*accuracies: float) -> list[int]:
        asked: list[int] = []

        def measure(_: Vlm, __: Workspace, images: list[object]) -> float:
            asked.append(len(images))
            return accuracies[len(asked) - 1]

        monkeypatch.setattr(validation, "choice_accuracy", measure)
        return asked

    return script


def adapter_bytes(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, bytes]]:
    """step -> the adapter's bytes as it stood then."""
    seen: dict[int, bytes] = {}
    inner = Watch.validate

    def remember(watch: Watch, step: int) -> None:
        from safetensors.torch import save

        inner(watch, step)
        state = {n: p.detach().clone() for n, p in watch.trainer.model.named_parameters() if "lora" in n}
        seen[step] = save(state)

    monkeypatch.setattr(Watch, "validate", remember)
    return seen


def test_the_weights_of_the_best_validation_are_kept(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]], after: dict[int, bytes]
) -> None:
    asked = scripted(0.25, 0.75, 0.5, 0.5)
    with reopen(*VALIDATED) as workspace:
        checkpoint, (summary,) = train_recipe(workspace)
        assert asked == [4, 4, 4, 4]
        assert (summary.done["best accuracy"], summary.done["kept weights of step"]) == (0.75, 2)
        run = workspace.store.runs()[0]["id"]
        accuracies = [step["terms"]["val_accuracy"] for step in workspace.store.steps(run)]
        assert accuracies == [0.25, 0.75, 0.5, 0.5]
        assert sorted(p.name for p in checkpoint.folder.iterdir()) == ["adapter", "curves.png", "run.json"]
        kept = Vlm.load("toy-vlm", device="cpu", quantize="none", adapter=checkpoint.adapter)
        from safetensors.torch import load

        stood = load(after[2])
        now = {n: p for n, p in kept.model.named_parameters() if "lora" in n}
        assert stood.keys() == now.keys()
        assert all(bool((now[name] == value).all()) for name, value in stood.items())
        assert after[2] != after[4]


def test_of_equal_validations_the_longer_trained_weights_are_kept(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]]
) -> None:
    scripted(0.5, 0.5, 0.25, 0.5)
    with reopen(*VALIDATED) as workspace:
        _, (summary,) = train_recipe(workspace)
    assert summary.done["kept weights of step"] == 4


def test_training_ends_when_it_gets_no_better(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]]
) -> None:
    scripted(0.5, 0.5, 0.25, 1.0)
    with reopen(*VALIDATED, "train.patience=2") as workspace:
        _, (summary,) = train_recipe(workspace)
    assert summary.done["steps"] == 3
    assert summary.notes[-1] == "stage instruct ended after 3 of 4 steps: it got no better"


def test_a_stage_that_ended_early_stands(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(0.5, 0.5, 0.25)
    with reopen(*VALIDATED, "train.patience=2") as workspace:
        before = train_recipe(workspace)
        monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
        assert train_recipe(workspace) == before


def test_a_stage_that_was_killed_when_it_had_ended_early_goes_no_further(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scripted(0.5, 0.75, 0.5, 0.25, 1.0, 1.0)
    settings = (*VALIDATED, "train.patience=2", "finedefics.epochs=2")
    with monkeypatch.context() as patch, reopen(*settings) as workspace:
        patch.setattr(run, "keep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(workspace)
    with reopen(*settings) as workspace:
        _, (summary,) = train_recipe(workspace)
    assert asked == [4, 4, 4, 4]
    assert (summary.done["steps"], summary.done["kept weights of step"]) == (4, 2)


def test_ctrl_c_at_a_validation_leaves_out_none(
    reopen: Callable[..., Workspace], scripted: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scripted(0.25, 0.75, 0.5, 0.5)
    inner = Watch.on_step

    def pressed(watch: Watch, step: int, epoch: float, terms: dict[str, float]) -> None:
        inner(watch, step, epoch, terms)
        if step == 1:
            watch.interrupt()

    with monkeypatch.context() as patch, reopen(*VALIDATED) as workspace:
        patch.setattr(Watch, "on_step", pressed)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(workspace)
    assert asked == [4, 4]
    with reopen(*VALIDATED) as workspace:
        _, (summary,) = train_recipe(workspace)
    assert asked == [4, 4, 4, 4]
    assert summary.done["kept weights of step"] == 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("measure", [validation.choice_accuracy, validation.nearest_class_accuracy])
def test_accuracies_are_those_of_counting_by_hand(
    workspace: Workspace, measure: validation.Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is told the truth is always right, and one that is told a lie never."""
    images = workspace.store.images("train")
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    value = measure(vlm, workspace, images)
    assert 0 <= value <= 1
    assert (value * len(images)) == pytest.approx(round(value * len(images)))
    monkeypatch.setattr(workspace.settings.evaluate.__class__, "batch_size", 1, raising=False)
    assert measure(vlm, workspace, images) == value
    assert measure(vlm, workspace, images[:1]) in (0.0, 1.0)
    assert not vlm.model.training


def test_validation_changes_nothing_but_what_is_kept(reopen: Callable[..., Workspace]) -> None:
    """The same images, once validated and once not: the same steps."""
    steps = []
    for every in (1, 100):
        with reopen(*VALIDATED[:-1], f"train.val_steps={every}") as workspace:
            train_recipe(workspace)
            run = workspace.store.runs()[-1]["id"]
            steps.append([
                {n: v for n, v in step["terms"].items() if n != "val_accuracy"}
                for step in workspace.store.steps(run)
            ])  # fmt: skip
    assert steps[0] == steps[1]


def test_what_is_validated_changes_the_fingerprint(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    prints = {
        finedefics.stage_fingerprints(reopen(*overrides))["instruct"]
        for overrides in (
            [],
            ["train.shots=2"],
            ["train.val_share=0.3"],
            ["train.val_share=0.3", "train.patience=3"],
            ["train.val_share=0.3", "finedefics.save_steps=7"],  # where val_steps is 0
            ["train.val_share=0.3", "mine.n_options=2"],
        )
    }
    assert len(prints) == 6


def test_without_validation_its_settings_change_no_fingerprint(reopen: Callable[..., Workspace]) -> None:
    with reopen() as plain, reopen("train.patience=3", "train.val_steps=7", "mine.n_options=2") as other:
        assert finedefics.stage_fingerprints(plain) == finedefics.stage_fingerprints(other)


@pytest.mark.parametrize("setting", ["train.patience=3", "train.val_share=0.01"])
def test_settings_that_need_validation_images_are_refused_where_there_are_none(
    reopen: Callable[..., Workspace], setting: str
) -> None:
    for asked in (plan_training, train_recipe):
        with reopen(setting) as workspace, pytest.raises(SettingsError) as caught:
            asked(workspace)
        assert caught.value.code == "nothing-to-validate"


def test_a_share_that_is_not_used_is_told(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopen("train.val_share=0.3") as workspace:
        assert validation.told_of_share(workspace) == []
        images = workspace.store.images("train")[:1]
        monkeypatch.setattr(workspace.store, "images", lambda split: images)  # the dataset's own
        (note,) = validation.told_of_share(workspace)
        assert "val_share = 0.3 is not used" in note


def test_a_tracker_is_looked_for_before_anything_is_loaded(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    with reopen("train.report_to='nobody'") as workspace, pytest.raises(SettingsError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "unknown-tracker"


def test_processes_that_measure_differently_go_by_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "everyone", lambda _: [0.5, 0.25])
    watch = Watch(None, tmp_path, None, measure=lambda: 0.25, writes=False)  # type: ignore[arg-type]
    watch.validate(1)
    assert watch.accuracies == {1: 0.5}


@pytest.mark.parametrize(
    ("name", "code"), [("nobody", "unknown-tracker"), ("tensorboard", "tracker-missing")]
)
def test_trackers_that_cannot_be_opened_say_so(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.integrations import integration_utils

    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: False)
    with pytest.raises(SettingsError) as caught:
        open_trackers(name, tmp_path)
    assert caught.value.code == code


def test_a_tracker_is_told_every_step(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    told: list[tuple[int, float]] = []

    class Ledger(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):  # type: ignore[no-untyped-def]
            if "total" in logs:
                told.append((state.global_step, logs["total"]))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "ledger", Ledger)
    with reopen("finedefics.stages=['instruct']", "train.report_to='ledger'") as workspace:
        train_recipe(workspace)
        run = workspace.store.runs()[0]["id"]
        assert told == [(s["step"], s["terms"]["total"]) for s in workspace.store.steps(run)]
