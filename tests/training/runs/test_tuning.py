"""What of the model is trained, and what a second stage begins with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.errors import SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint, find_checkpoint
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


def test_a_stage_on_the_merged_one_begins_where_that_ended(workspace: Workspace, reopen: Reopen) -> None:
    with reopen(MERGE) as merging:
        checkpoint, (_, instruct) = train_recipe(merging)
        document = read_run(checkpoint.folder)
        align = stage_folder(merging, "align")
        assert document is not None
        assert document["merged"] == document["parent"] == align.name
        assert checkpoint.base == align / "merged"
        said = json.loads((checkpoint.base / "merge.json").read_text())
        assert 0 <= said["difference"] < 1e-4 * said["largest"]
        assert [note for note in instruct.notes if f"{said['difference']:.2g}" in note]
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


@pytest.mark.parametrize("settings", [(MERGE,), ("train.tune=full",), ("train.tune=dora",)])
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
    with reopen("train.tune=full", MERGE, "finedefics.learning_rate=1e-3") as whole:
        checkpoint, (align, _) = train_recipe(whole)
        assert checkpoint.base is None  # nothing to merge
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


def test_weights_in_four_bit_are_not_trained_whole(
    workspace: Workspace, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    with reopen("train.tune=full", "train.quantize=nf4") as whole:
        for tried in (train_recipe, plan_training):
            with pytest.raises(SettingsError) as caught:
                tried(whole)
            assert caught.value.code == "quantized-full"


def test_how_it_is_tuned_is_in_the_fingerprint(workspace: Workspace, reopen: Reopen) -> None:
    from fgvr_kit.recipes.finedefics import stage_fingerprints

    plain = stage_fingerprints(workspace)
    for setting, changed in (
        ("train.tune=dora", {"align", "instruct"}),
        ("train.targets=.*q_proj", {"align", "instruct"}),
        (MERGE, {"instruct"}),
    ):
        with reopen(setting) as other:
            now = stage_fingerprints(other)
            assert {stage for stage in plain if plain[stage] != now[stage]} == changed
    with reopen(MERGE, "train.tune=full") as merging, reopen("train.tune=full") as whole:
        assert stage_fingerprints(merging) == stage_fingerprints(whole)


def test_a_checkpoint_says_which_base_it_belongs_on(workspace: Workspace, reopen: Reopen) -> None:
    with reopen(MERGE) as merging:
        checkpoint, _ = train_recipe(merging)
        again = find_checkpoint(merging, checkpoint.stage, checkpoint.fingerprint)
        assert again == checkpoint
        assert isinstance(again, Checkpoint)
        assert tuning.merges(merging)


def _half_merged(vlm: Vlm, folder: Path, _: Any) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    raise Killed


def _material(workspace: Workspace) -> Any:
    from fgvr_kit.recipes.finedefics import read_settings

    return read_settings(workspace).material()
