from __future__ import annotations

import json
from pathlib import Path

from fgvr_kit.training.checkpoints.checkpoint import (
    Checkpoint,
    find_checkpoint,
    keep_newest,
    last_complete,
    model_identity,
    run_folder,
)
from fgvr_kit.training.checkpoints.records import write_run
from fgvr_kit.workspace import Workspace


def put_checkpoint(folder: Path, step: int, state: str | None) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "optimizer.pt").write_bytes(b"...")
    if state is not None:
        (made / "trainer_state.json").write_text(state)
    return made


def test_only_a_whole_checkpoint_is_resumed_and_the_others_are_removed(tmp_path: Path) -> None:
    whole = [put_checkpoint(tmp_path, n, json.dumps({"global_step": n})) for n in (2, 10)]
    put_checkpoint(tmp_path, 11, '{"global_st')
    put_checkpoint(tmp_path, 12, None)
    assert last_complete(tmp_path) == whole[1]
    assert sorted(tmp_path.iterdir()) == sorted(whole)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    made = [put_checkpoint(tmp_path, n, json.dumps({"global_step": n})) for n in (8, 9, 10)]
    keep_newest(tmp_path, 2)
    assert sorted(tmp_path.iterdir()) == sorted(made[1:])


def test_there_may_be_no_checkpoint_at_all(tmp_path: Path) -> None:
    assert last_complete(tmp_path / "never") is None


def test_a_stage_stands_when_its_adapter_does(workspace: Workspace) -> None:
    folder = run_folder(workspace, "align", "f00d")
    write_run(folder, {"fingerprint": "f00d", "note": "untrained toy model"})
    assert find_checkpoint(workspace, "align", "f00d") is None
    (folder / "adapter").mkdir()
    assert find_checkpoint(workspace, "align", "f00d") == Checkpoint(
        "align", "f00d", folder, "untrained toy model"
    )


def test_a_run_folder_that_was_renamed_by_hand_is_not_taken(workspace: Workspace) -> None:
    folder = run_folder(workspace, "align", "f00d")
    write_run(folder, {"fingerprint": "beef", "note": None})
    (folder / "adapter").mkdir()
    assert find_checkpoint(workspace, "align", "f00d") is None


def test_a_hub_id_is_its_own_identity(tmp_path: Path) -> None:
    assert model_identity(tmp_path, "HuggingFaceM4/idefics2-8b") == "HuggingFaceM4/idefics2-8b"
