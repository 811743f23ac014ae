"""What a stage leaves behind when it is done: the adapter in its place, the curves, and the rows that tell of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints import records
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint
from fgvr_kit.training.data.examples import Examples
from fgvr_kit.training.loop.interrupted import telling_of_full_disk
from fgvr_kit.training.loop.validation import told_of_share
from fgvr_kit.training.schedule import Schedule
from fgvr_kit.types import Notice, Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm


def summarise(
    workspace: Workspace,
    recipe: str,
    stage: str,
    folder: Path,
    vlm: Vlm,
    examples: Examples[Any],
    asked: Schedule,
    used: Schedule,
    seconds: float,
    notices: Sequence[Notice],
) -> Summary:
    """What is told of a stage that has just been trained.

    asked, used: the schedule of the settings, and the one that fitted the examples and the memory.
    """
    from fgvr_kit.training.loop.watch import best_of

    n, best = len(examples.rows), best_of(folder)
    steps = workspace.store.steps(folder.name)
    notes = [f"{workspace.settings.train.model}: {vlm.note}"] if vlm.note else []  # a merged one is a path
    notes += told_of_share(workspace)
    if used.batch < asked.batch:
        notes.append(f"stage {stage}: a batch is all {used.batch} examples, not {asked.batch}")
    if len(steps) < used.n_steps(n):
        notes.append(f"stage {stage} ended after {len(steps)} of {used.n_steps(n)} steps: it got no better")
    done = {
        "examples": n,
        "steps": len(steps),
        **{name: round(value, 4) for name, value in steps[-1]["terms"].items() if name != "lr"},
        **({"best accuracy": best["accuracy"], "kept weights of step": best["step"]} if best else {}),
        "trainable parameters": vlm.trainable_parameters(),
        "seconds": round(seconds, 1),
    }
    few = records.notices_of(recipe, stage, n, len(steps), used)
    return Summary(stage, done, examples.dropped, tuple(notes), (*notices, *few))


def keep(workspace: Workspace, folder: Path, save: Callable[[Path], None], document: dict[str, Any]) -> None:
    """Put the best weights in their place in one rename, draw the curves, and let the checkpoints go.

    save: writes the weights of the last step, which are kept where nothing was validated.
    """
    from fgvr_kit.training.loop.curves import draw_curves
    from fgvr_kit.training.objectives.bank import FILES as BANK_FILES

    if processes.is_first():
        part = folder / "adapter.part"
        with telling_of_full_disk(folder):
            shutil.rmtree(part, ignore_errors=True)
            if (folder / "best").is_dir():
                shutil.copytree(folder / "best", part, ignore=shutil.ignore_patterns("best.json"))
            else:
                save(part)
            for beside in BANK_FILES:  # of use to a training that goes on, and to nobody else
                (part / beside).unlink(missing_ok=True)
            draw_curves(workspace.store.steps(folder.name), folder / "curves.png", folder.name)
            records.write_run(folder, {**document, "finished": records.now()})
        part.rename(folder / "adapter")
    processes.wait()


def write_down(workspace: Workspace, checkpoint: Checkpoint, *, stands: bool) -> Summary:
    """The rows of a stage that is done; again after a kill between the rename and the database.

    stands: whether the walk stands at it.
    """
    document = records.read_run(checkpoint.folder)
    assert document is not None, "a checkpoint is found by its run.json"
    summary = records.summary_of(document["summary"])
    if not processes.is_first():
        return summary
    for left in ("checkpoints", "best"):  # by a kill after the rename
        shutil.rmtree(checkpoint.folder / left, ignore_errors=True)
    store = workspace.store
    row = store.run(checkpoint.run_id)
    if row is None or row["status"] != "done":
        columns = records.row_of(checkpoint.folder, document)
        store.put_run(**columns, status="done", finished=document["finished"])
    standing = store.walk().get(checkpoint.stage)
    if stands and (standing is None or standing["fingerprint"] != checkpoint.fingerprint):
        store.finish(checkpoint.stage, checkpoint.fingerprint, summary)
    return summary
