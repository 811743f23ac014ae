from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fgvr_kit.errors import SettingsError, WorkspaceError
from fgvr_kit.families.base import Vlm
from fgvr_kit.recipes import finedefics
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint, final_checkpoint
from fgvr_kit.training.checkpoints.records import read_run
from fgvr_kit.training.loop.watch import Watch
from fgvr_kit.training.runs.run import Run, train_recipe
from fgvr_kit.types import Description, Summary
from fgvr_kit.workspace import Workspace
from tests.training.conftest import build_workspace

ALIGN_TERMS = {"generation", "object_attribute", "attribute_category", "category_category", "total", "lr"}


Trained = tuple[Workspace, Checkpoint, tuple[Summary, ...]]


def adapter_bytes(workspace: Workspace, stage: str) -> bytes:
    folder = next((workspace.state / "runs").glob(f"{stage}-*"))
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A workspace whose two stages were trained without a disturbance. Do not change it."""
    torch.set_num_threads(1)
    with build_workspace(tmp_path_factory.mktemp("trained") / "work") as workspace:
        yield (workspace, *train_recipe(workspace))


def test_both_stages_leave_an_adapter_rows_and_a_summary(trained: Trained) -> None:
    workspace, checkpoint, _ = trained
    store = workspace.store
    rows = store.runs()
    fingerprints = finedefics.stage_fingerprints(workspace)
    assert [(r["stage"], r["status"], r["note"]) for r in rows] == [
        ("align", "done", "untrained toy model"),
        ("instruct", "done", "untrained toy model"),
    ]
    assert rows[1]["parent"] == rows[0]["id"]
    assert {stage: store.walk()[stage]["fingerprint"] for stage in finedefics.STAGES} == fingerprints
    assert final_checkpoint(workspace) == checkpoint
    assert sorted(p.name for p in checkpoint.folder.iterdir()) == ["adapter", "curves.png", "run.json"]
    document = read_run(checkpoint.folder)
    assert document is not None
    assert set(document["versions"]) == {"fgvr_kit", "torch", "transformers", "peft", "accelerate"}


def test_every_step_is_written_down_with_all_terms(trained: Trained) -> None:
    workspace, _, _ = trained
    align, instruct = (workspace.store.steps(row["id"]) for row in workspace.store.runs())
    assert [step["step"] for step in align] == [1, 2, 3]
    assert set(align[0]["terms"]) == ALIGN_TERMS
    assert set(instruct[0]["terms"]) == {"generation", "total", "lr"}
    terms = align[-1]["terms"]
    half = terms["object_attribute"] + terms["attribute_category"] + terms["category_category"]
    assert terms["total"] == pytest.approx(terms["generation"] + half / 2, abs=1e-5)


def test_a_summary_tells_what_was_done_and_what_it_rests_on(
    trained: Trained,
) -> None:
    _, _, summaries = trained
    align, instruct = summaries
    assert (align.step, align.done["examples"], align.done["steps"], align.dropped) == ("align", 12, 3, ())
    assert (instruct.done["examples"], instruct.done["steps"]) == (24, 3)
    assert align.done["trainable parameters"] > 0
    assert "toy-vlm: untrained toy model" in align.notes
    assert [notice.code for notice in align.notices] == ["few-steps"]


def test_a_stage_that_stands_is_not_trained_again(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, checkpoint, summaries = trained
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    assert train_recipe(workspace) == (checkpoint, summaries)


def test_the_adapter_is_what_the_last_stage_trained_on_from_the_first(
    trained: Trained,
) -> None:
    workspace, checkpoint, _ = trained
    assert adapter_bytes(workspace, "align") != adapter_bytes(workspace, "instruct")
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none", adapter=checkpoint.adapter)
    assert any("lora_B" in name and bool(p.any()) for name, p in vlm.model.named_parameters())


def test_a_killed_run_ends_like_an_undisturbed_one(trained: Trained, tmp_path: Path) -> None:
    """kill -9 while the second checkpoint is half-written; the adapters and all losses must be equal bit for
    bit, and so must those of stage instruct, which then starts from the adapter on disk."""
    workspace, _, _ = trained
    with build_workspace(tmp_path / "work") as killed:
        script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
import torch
from pathlib import Path
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace
torch.set_num_threads(1)
save = torch.save
def save_and_die(what, path, *args, **kwargs):
    if "checkpoint-3" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)
    save(what, path, *args, **kwargs)
torch.save = save_and_die
train_recipe(Workspace(Path({str(killed.root)!r})))
"""
        code = subprocess.run([sys.executable, "-c", script], check=False).returncode
        assert code == -signal.SIGKILL
        folder = next((killed.state / "runs").glob("align-*"))
        assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-3"]
        assert killed.store.runs()[0]["status"] == "running"
        assert final_checkpoint(killed) is None

        train_recipe(killed)
        for stage in finedefics.STAGES:
            assert adapter_bytes(killed, stage) == adapter_bytes(workspace, stage)
        for mine, theirs in zip(killed.store.runs(), workspace.store.runs(), strict=True):
            assert killed.store.steps(mine["id"]) == [
                {**step, "run_id": mine["id"]} for step in workspace.store.steps(theirs["id"])
            ]


def test_a_changed_setting_trains_again_what_depends_on_it_and_leaves_the_rest(
    workspace: Workspace, reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_recipe(workspace)
    trained_stages = []
    inner = Run._train
    monkeypatch.setattr(
        Run, "_train", lambda self, stage, *a: trained_stages.append(stage.name) or inner(self, stage, *a)
    )
    with reopen("finedefics.instruct_batch=24") as changed:
        train_recipe(changed)
    assert trained_stages == ["instruct"]
    runs = sorted(p.name.split("-")[0] for p in (workspace.state / "runs").iterdir())
    assert runs == ["align", "instruct", "instruct"]


def test_a_stage_from_the_adapter_on_disk_equals_one_from_the_adapter_in_memory(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    checkpoint, _ = train_recipe(workspace)
    before = adapter_bytes(workspace, "instruct")
    shutil.rmtree(checkpoint.folder)
    with reopen() as again:
        train_recipe(again)
    assert adapter_bytes(workspace, "instruct") == before


@pytest.mark.parametrize("epochs", [1, 1.5])
def test_a_kill_after_the_last_step_needs_no_training_again(
    epochs: float,
    reopen: Callable[..., Workspace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the last step is in the midst of an epoch."""
    settings = ("finedefics.stages=['align']", f"finedefics.epochs={epochs}")
    with reopen(*settings) as workspace, monkeypatch.context() as patch:
        patch.setattr(Vlm, "save_adapter", _save_checkpoints_only(Vlm.save_adapter))
        with pytest.raises(KeyboardInterrupt):
            train_recipe(workspace)
    written: list[int] = []
    with reopen(*settings) as again, monkeypatch.context() as patch:
        patch.setattr(Watch, "on_step", lambda _, step, *__: written.append(step))
        train_recipe(again)
    assert written == []
    build_workspace(tmp_path / "other").close()
    with Workspace(tmp_path / "other", settings) as undisturbed:
        train_recipe(undisturbed)
        assert adapter_bytes(workspace, "align") == adapter_bytes(undisturbed, "align")


def _save_checkpoints_only(save: Callable[[Vlm, Path], None]) -> Callable[[Vlm, Path], None]:
    def save_or_stop(vlm: Vlm, folder: Path) -> None:
        if folder.name == "adapter.part":
            raise KeyboardInterrupt
        save(vlm, folder)

    return save_or_stop


def test_gradient_checkpointing_does_not_change_what_is_learned(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    """But for dropout, which falls elsewhere: without checkpointing the last layer's MLP passes fewer tokens."""
    seen = []
    for whether in ("true", "false"):
        with reopen(
            f"finedefics.gradient_checkpointing={whether}", "finedefics.dropout=0", "finedefics.micro_batch=2"
        ) as own:
            train_recipe(own)
            seen.append([step["terms"] for row in own.store.runs() for step in own.store.steps(row["id"])])
            shutil.rmtree(own.state / "runs")
    assert len(seen[0]) == 6
    for step, other in zip(*seen, strict=True):
        assert step == pytest.approx(other, rel=1e-4)


def test_what_a_kill_after_the_rename_left_behind_is_removed(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    checkpoint, _ = train_recipe(workspace)
    for name in ("checkpoints", "best"):
        (checkpoint.folder / name / "checkpoint-2").mkdir(parents=True)
    with reopen() as again:
        train_recipe(again)
    assert sorted(p.name for p in checkpoint.folder.iterdir()) == ["adapter", "curves.png", "run.json"]


def test_a_kill_before_the_database_was_told_is_healed(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    checkpoint, _ = train_recipe(workspace)
    workspace.store.put_run(id=checkpoint.run_id, status="running")
    workspace.store.db["walk"].delete_where("step = 'instruct'")
    with reopen() as again:
        train_recipe(again)
        row = again.store.run(checkpoint.run_id)
        assert row is not None
        assert row["status"] == "done"
        assert again.store.walk()["instruct"]["fingerprint"] == checkpoint.fingerprint


def test_a_batch_larger_than_the_dataset_is_capped_and_said(reopen: Callable[..., Workspace]) -> None:
    with reopen("finedefics.align_batch=64") as workspace:
        _, (align, _) = train_recipe(workspace)
    assert align.done["steps"] == 1
    assert "stage align: a batch is all 12 examples, not 64" in align.notes


@pytest.mark.filterwarnings("default")
def test_training_prints_nothing(reopen: Callable[..., Workspace], capfd: pytest.CaptureFixture[str]) -> None:
    with reopen("finedefics.gradient_checkpointing=true") as workspace:
        train_recipe(workspace)
    assert capfd.readouterr() == ("", "")


def test_without_a_base_model_the_flag_is_named(reopen: Callable[..., Workspace]) -> None:
    with reopen("train.model=''") as workspace:
        with pytest.raises(SettingsError) as caught:
            train_recipe(workspace)
        assert caught.value.code == "no-train-model"
        assert final_checkpoint(workspace) is None


def test_missing_data_is_told_before_the_model_is_loaded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    workspace.store.put_descriptions([])
    with pytest.raises(WorkspaceError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "no-descriptions"


def test_descriptions_of_the_wrong_images_alone_leave_nothing_to_train_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    kept = [n for ns in workspace.store.negatives().values() for n in ns]
    only = {n.image_id for n in kept} - {n.negative_id for n in kept}
    workspace.store.put_descriptions([Description(i, "words", "model") for i in sorted(only)])
    with pytest.raises(WorkspaceError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "no-examples"


def test_a_run_json_says_which_settings_trained_it(trained: Trained) -> None:
    _, checkpoint, _ = trained
    document = json.loads((checkpoint.folder / "run.json").read_text())
    assert document["settings"]["finedefics"]["micro_batch"] == 4
    assert document["settings"]["train"]["model"] == "toy-vlm"
