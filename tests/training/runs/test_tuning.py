"""What of the model is trained, and what a second stage begins with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fgvr_kit.errors import FgvrError, ModelError, SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.progress import SILENT
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint, final_checkpoint
from fgvr_kit.training.checkpoints.records import read_run
from fgvr_kit.training.data.examples import instruct_examples
from fgvr_kit.training.loop.watch import Watch
from fgvr_kit.training.planning.plan import plan_training
from fgvr_kit.training.runs import tuning
from fgvr_kit.training.runs.contenders import contenders
from fgvr_kit.training.runs.image_check import ask_of
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace
from tests.training.conftest import build_workspace

MERGE = "train.between=merge"
Reopen = Callable[..., Workspace]


class Killed(Exception):
    pass


def weights_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))


def stage_folder(workspace: Workspace, stage: str) -> Path:
    return next((workspace.state / "runs").glob(f"{stage}-*"))


def kill_at(patch: pytest.MonkeyPatch, stage: str, step: int) -> None:
    on_step = Watch.on_step

    def and_die(self: Watch, now: int, *args: Any) -> None:
        on_step(self, now, *args)
        if now == step and self.folder.name.startswith(stage):
            raise Killed

    patch.setattr(Watch, "on_step", and_die)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build_workspace(tmp_path_factory.mktemp("merged") / "work").root
    with Workspace(root, [MERGE]) as workspace:
        train_recipe(workspace)
    return root


@pytest.fixture
def merged(trained_once: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose second stage stands on the first one merged; its own copy, to be broken."""
    shutil.copytree(trained_once, tmp_path / "merged")
    with Workspace(tmp_path / "merged", [MERGE]) as workspace:
        yield workspace


def final(workspace: Workspace) -> Checkpoint:
    checkpoint = final_checkpoint(workspace)
    assert checkpoint is not None
    return checkpoint


def test_a_stage_on_the_merged_one_begins_where_that_ended(workspace: Workspace, reopen: Reopen) -> None:
    with reopen(MERGE) as merging:
        checkpoint, (_, instruct) = train_recipe(merging)
        document = read_run(checkpoint.folder)
        align = stage_folder(merging, "align")
        assert document is not None
        assert document["merged"] == document["parent"] == align.name
        assert checkpoint.base == align / "merged"
        said = json.loads((checkpoint.base / "merge.json").read_text())
        assert 0 <= said["merged"] < 1e-4 * said["largest"]
        assert 0 <= said["begun"] < 1e-4 * said["largest"]
        assert [note for note in instruct.notes if f"{said['begun']:.2g}" in note]
        assert "merge-changed-much" not in {notice.code for notice in instruct.notices}
        asks = [ask_of(row) for row in instruct_examples(merging, _material(merging)).rows[:4]]
        one = Vlm.load("toy-vlm", device="cpu", adapter=align / "adapter")
        merged = Vlm.load(str(checkpoint.base), device="cpu")
        torch.testing.assert_close(
            merged.choose(asks, ["A", "B"]), one.choose(asks, ["A", "B"]), atol=1e-4, rtol=1e-4
        )
        assert merged.note == "untrained toy model"


def test_evaluation_asks_the_adapter_on_the_base_it_belongs_on(workspace: Workspace, reopen: Reopen) -> None:
    with reopen(MERGE) as merging:
        checkpoint, _ = train_recipe(merging)
        bases = [getattr(one, "base", None) for one in contenders(merging)]
        assert bases == [None, checkpoint.base]
    train_recipe(workspace)  # the adapter goes on
    assert [getattr(one, "base", None) for one in contenders(workspace)] == [None, None]
    runs = sorted(path.name.split("-")[0] for path in (workspace.state / "runs").iterdir())
    assert runs == ["align", "instruct", "instruct"]


@pytest.mark.parametrize("settings", [(MERGE,), ("train.tune=full",)])
def test_what_is_killed_ends_like_what_is_not(
    settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, killed_in in (("whole", ()), ("killed", ("align", "instruct"))):
        build_workspace(tmp_path / name).close()
        for stage in killed_in:
            with Workspace(tmp_path / name, settings) as workspace, monkeypatch.context() as patch:
                kill_at(patch, stage, 3)
                with pytest.raises(Killed):
                    train_recipe(workspace)
        with Workspace(tmp_path / name, settings) as workspace:
            checkpoint, _ = train_recipe(workspace)
            found.append(
                (weights_of(stage_folder(workspace, "align") / "adapter"), weights_of(checkpoint.adapter))
            )
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_a_merge_that_was_cut_short_is_made_again(
    workspace: Workspace, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopen(MERGE) as merging, monkeypatch.context() as patch:
        patch.setattr(Vlm, "merged", _half_merged)
        with pytest.raises(Killed):
            train_recipe(merging)
    with reopen(MERGE) as merging:
        checkpoint, _ = train_recipe(merging)
        assert checkpoint.base is not None
        assert Vlm.load(str(checkpoint.base), device="cpu")


def test_full_fine_tuning_trains_all_but_the_vision_tower(workspace: Workspace, reopen: Reopen) -> None:
    with reopen("train.tune=full", "finedefics.learning_rate=1e-3") as whole:
        checkpoint, (align, _) = train_recipe(whole)
        assert (checkpoint.adapter / "model.safetensors").is_file()
        plain = Vlm.load("toy-vlm", device="cpu")
        tuned = Vlm.load("toy-vlm", device="cpu", adapter=checkpoint.adapter)
        moved = {
            name
            for (name, before), (_, after) in zip(
                plain.model.named_parameters(), tuned.model.named_parameters(), strict=True
            )
            if not torch.equal(before, after)
        }
        assert not [name for name in moved if plain.family.is_eye(name)]
        assert {".layers.0.", ".layers.1."} <= {
            part for part in (".layers.0.", ".layers.1.") for n in moved if part in n
        }
        assert align.done["trainable parameters"] > len(moved)


def test_targets_are_the_layers_that_get_an_adapter(workspace: Workspace, reopen: Reopen) -> None:
    with reopen(r"train.targets=.*text_model.*q_proj", "finedefics.stages=['align']") as chosen:
        checkpoint, _ = train_recipe(chosen)
        vlm = Vlm.load("toy-vlm", device="cpu", adapter=checkpoint.adapter)
        names = [name for name, _ in vlm.model.named_parameters() if "lora_A" in name]
        assert names
        assert all("text_model" in name and "q_proj" in name for name in names)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (("train.tune=full", "train.quantize=nf4"), "quantized-full"),
        (("train.tune=full", MERGE), "full-has-no-adapter"),
        (("train.tune=full", "train.targets=.*q_proj"), "full-has-no-adapter"),
        (("train.tune=dora", "train.quantize=int8"), "dora-int8"),
    ],
)
def test_settings_that_exclude_each_other_are_told_before_a_model_is_loaded(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], code: str
) -> None:
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    with reopen(*settings) as wrong:
        for tried in (train_recipe, plan_training):
            with pytest.raises(SettingsError) as caught:
                tried(wrong)
            assert caught.value.code == code


def test_a_merged_model_that_finds_no_room_is_told_before_stage_one(
    workspace: Workspace, reopen: Reopen, toy_vlm_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(toy_vlm_path, workspace.root / "base")
    monkeypatch.setattr(tuning.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with reopen(MERGE, "train.model=base") as merging, pytest.raises(FgvrError) as caught:
        train_recipe(merging)
    assert caught.value.code == "disk-full"


def test_what_is_told_of_a_merge_is_what_the_next_stage_begins_with(
    workspace: Workspace, reopen: Reopen
) -> None:
    """Stored in 4 bit, the merged weights are rounded again: that is the change, not the merge's own."""
    pytest.importorskip("bitsandbytes")
    settings = (MERGE, "train.quantize=nf4", "finedefics.learning_rate=0.02", "finedefics.epochs=3")
    with reopen(*settings) as merging:
        checkpoint, (_, instruct) = train_recipe(merging)
        said = json.loads((checkpoint.base / "merge.json").read_text())
        assert said["merged"] < 1e-3 * said["largest"] < said["begun"]
        (notice,) = [notice for notice in instruct.notices if notice.code == "merge-changed-much"]
        assert f"{said['begun']:.2g}" in notice.message
        align = stage_folder(merging, "align")
        asks = [ask_of(row) for row in instruct_examples(merging, _material(merging)).rows]
        small = [
            Vlm.load(name, device="cpu", quantize="nf4", adapter=adapter).logits_of(asks)
            for name, adapter in (("toy-vlm", align / "adapter"), (str(checkpoint.base), None))
        ]
        gap = max(float((a - b).abs().max()) for a, b in zip(*small, strict=True))
        assert said["begun"] == pytest.approx(gap, rel=0.5)  # measured on eight rows


@pytest.mark.parametrize("harm", ["removed", "cut"])
def test_a_merged_model_that_is_lost_is_made_again(merged: Workspace, harm: str) -> None:
    checkpoint = final(merged)
    assert checkpoint.base is not None
    file = checkpoint.base / "model.safetensors"
    whole = file.read_bytes()
    if harm == "removed":
        shutil.rmtree(checkpoint.base)
    else:
        file.write_bytes(whole[:1000])
    runs = merged.store.runs()
    assert train_recipe(merged)[0] == checkpoint
    assert merged.store.runs() == runs  # nothing was trained again
    assert file.read_bytes() == whole


def test_evaluation_says_what_makes_a_lost_merged_model_again(merged: Workspace) -> None:
    base = final(merged).base
    assert base is not None
    shutil.rmtree(base)
    with pytest.raises(ModelError) as caught:
        list(contenders(merged)[-1].answer(merged, [], SILENT))
    assert caught.value.code == "merged-missing"


def test_an_adapter_on_a_merged_base_does_not_fit_the_plain_one(
    merged: Workspace, trained_once: Path
) -> None:
    checkpoint = final(merged)
    assert Vlm.load(str(checkpoint.base), device="cpu", adapter=checkpoint.adapter).has_adapter
    for base, adapter in (
        ("toy-vlm", checkpoint.adapter),
        (str(checkpoint.base), stage_folder(merged, "align") / "adapter"),
    ):
        with pytest.raises(ModelError) as caught:
            Vlm.load(base, device="cpu", adapter=adapter)
        assert caught.value.code == "adapter-mismatch"
    for file in checkpoint.adapter.glob("*.json"):
        assert str(trained_once) not in file.read_text()  # another machine has another path


def test_how_it_is_tuned_is_in_the_fingerprint(workspace: Workspace, reopen: Reopen) -> None:
    from fgvr_kit.recipes.finedefics import stage_fingerprints

    plain = stage_fingerprints(workspace)
    for setting, changed in (
        ("train.tune=dora", {"align", "instruct"}),
        ("train.targets=.*q_proj", {"align", "instruct"}),
        ("train.tune=lora", set()),
        ("train.between=continue", set()),
        (MERGE, {"instruct"}),
    ):
        with reopen(setting) as other:
            now = stage_fingerprints(other)
            assert {stage for stage in plain if plain[stage] != now[stage]} == changed


def _half_merged(vlm: Vlm, folder: Path, _: Any) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    raise Killed


def _material(workspace: Workspace) -> Any:
    from fgvr_kit.recipes.finedefics import read_settings

    return read_settings(workspace).material()
