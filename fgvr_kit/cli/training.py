"""What `train` tells without training: its plan, what the model sees, what fits on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from fgvr_kit.cli.opened import opened, overrides_of
from fgvr_kit.cli.options import ROOT
from fgvr_kit.cli.output import Output

if TYPE_CHECKING:
    from fgvr_kit.training.planning.measured import Measured, Measurement
    from fgvr_kit.training.planning.preview import Seen
    from fgvr_kit.workspace import Workspace

_TRAINED = "\N{LEFT DOUBLE ANGLE BRACKET}", "\N{RIGHT DOUBLE ANGLE BRACKET}"


def dry_run(out: Output, workspace: Workspace) -> None:
    """Settings in force, rows, what is dropped and why, steps."""
    from fgvr_kit.training.loop.validation import told_of_share
    from fgvr_kit.training.planning.plan import plan_training

    plan = plan_training(workspace)
    out.data["plan"] = asdict(plan)
    counts = plan.classes.values()
    rows = [
        ("model", plan.model),
        ("recipe", plan.recipe),
        (
            "training images",
            f"{sum(counts):,} of {len(counts):,} classes, {min(counts)} to {max(counts)} each",
        ),
        ("validation images", f"{plan.validation:,}"),
        ("augmentation", plan.augment),
    ]
    out.table("train", None, rows)
    header = ("stage", "rows", "images", "samples a step", "at once", "epochs", "steps", "checkpoints", "")
    out.table("stages", header, [
        (s.stage, f"{s.examples:,}", f"{s.images:,}", f"{s.batch:,}", f"{s.micro_batch}", f"{s.epochs:g}",
         f"{s.steps:,}", f"{s.checkpoints}", "stands" if s.stands else "to do")
        for s in plan.stages
    ])  # fmt: skip
    out.notes(told_of_share(workspace))
    dropped = [(s.stage, what, f"{n:,}", why) for s in plan.stages for what, n, why in s.dropped]
    if dropped:
        out.table("left out", ("stage", "what", "how many", "why"), dropped)
    settings = [
        (f"{section}.{key}", str(value))
        for section, keys in plan.settings.items()
        for key, value in keys.items()
    ]
    out.table("settings in force", None, settings)


def preview(out: Output, workspace: Workspace, n: int) -> None:
    """A page with the pictures, and the texts here."""
    from fgvr_kit.report.preview_page import write_preview_page
    from fgvr_kit.training.planning.preview import preview as look

    found = look(workspace, n)
    page = workspace.root / "reports" / "preview.html"
    write_preview_page(found, workspace.dataset, page)
    out.data |= {"page": str(page), "model": found.model, "stages": [
        {"stage": stage.stage, "rows": stage.n_rows, "longest": _seen(stage.longest),
         "examples": [_seen(row) for row in stage.rows]}
        for stage in found.stages
    ]}  # fmt: skip
    for stage in found.stages:
        rows = [(row.path, _marked(row), _counts(row)) for row in (stage.longest, *stage.rows)]
        title = f"stage {stage.stage}: the longest of {stage.n_rows:,} rows, then {len(stage.rows)} others"
        out.table(
            f"{title}; trained is what stands in {' '.join(_TRAINED)}", ("image", "text", "tokens"), rows
        )
    out.notes([f"{found.model}: {found.note}"] if found.note else [])
    out.say(f"page     {page}")


def measure(out: Output, workspace: Workspace) -> None:
    """The table of what fits."""
    from fgvr_kit.training.planning.measured import measure_training

    found = measure_training(workspace, out.progress)
    _tell(out, found)
    _warn(out, workspace, found.best)
    if found.best:
        out.next.append("fgvr-kit train --auto")


def adopt(out: Output, workspace: Workspace) -> dict[str, Any]:
    """ "section.key" -> value of the fastest that fits. Raises ModelError "nothing-fits"."""
    from fgvr_kit.training.planning.measured import measure_training, nothing_fits

    found = measure_training(workspace, out.progress)
    _tell(out, found)
    if not found.best:
        raise nothing_fits(found)
    _warn(out, workspace, found.best)
    return found.best


def print_job(out: Output, workspace: Workspace, choices: dict[str, Any], n: int) -> None:
    """A task file for `sky launch`, on stdout."""
    from fgvr_kit.training.planning.cloud import sky_job

    out.data["job"] = job = sky_job(workspace, overrides_of(choices), n_gpus=n)
    if not out.is_json:
        typer.echo(job, nl=False)


def launch(choices: dict[str, Any], n: int, n_machines: int, this: int | None, main: str | None) -> NoReturn:
    """Run this command again, in n processes on each machine; ends with their exit code."""
    from fgvr_kit.training.launch import launch_environment, launch_line, machines, own_words, refuse_too_many
    from fgvr_kit.workspace import Workspace

    among = machines(n_machines, this, main)
    with Workspace.find(
        ROOT.workspace, overrides_of(choices)
    ) as workspace:  # the first of the processes tells
        on_gpus = refuse_too_many(workspace, n)
    line = launch_line(n, own_words(sys.argv[1:]), on_gpus=on_gpus, among=among)
    try:
        code = subprocess.run(line, check=False, env=launch_environment(n, among)).returncode
    except KeyboardInterrupt:  # they have heard it too
        code = 130
    raise typer.Exit(code)


def train_silently(choices: dict[str, Any]) -> None:
    """One of several processes that is not the first: it trains, and neither writes nor says anything."""
    from fgvr_kit.training.runs.run import train_recipe

    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        opened("train", choices, keep=False) as (_, workspace),
    ):
        train_recipe(workspace)


def types_told() -> dict[str, Any]:
    """Key -> type of what `train` puts under "data" beside its summaries."""
    from fgvr_kit.training.planning.measured import Measured
    from fgvr_kit.training.planning.plan import TrainPlan

    own: dict[str, Any] = {"adapter": str, "curves": str, "plan": TrainPlan, "page": str, "model": str}
    own |= {"stages": list[dict[str, Any]], "device": str, "measured": list[Measured], "job": str}
    return own | {"best": dict[str, Any]}


def _warn(out: Output, workspace: Workspace, best: dict[str, Any]) -> None:
    from fgvr_kit.training.planning.measured import changed_by

    for notice in changed_by(workspace, best):
        out.warn(notice)


def _tell(out: Output, found: Measurement) -> None:
    out.data |= {"device": found.device, "measured": [asdict(row) for row in found.rows], "best": found.best}
    header = (
        "stage",
        "at once",
        "micro-batches",
        "checkpointing",
        "pixels",
        "peak",
        "free",
        "s a step",
        "whole run",
    )
    out.table(f"{found.model} on {found.device}", header, [_cells(row) for row in found.rows])
    told = ", ".join(f"{key} = {value}" for key, value in found.best.items()) or "nothing that was tried"
    out.say(f"the fastest that fits in all stages: {told}")


def _cells(row: Measured) -> tuple[str, ...]:
    own = (row.stage, str(row.micro_batch), str(row.accumulation), "yes" if row.checkpointing else "no",
           f"{row.max_pixels:,}")  # fmt: skip
    if row.peak is None or row.seconds is None or row.hours is None or row.headroom is None:
        return (*own, "does not fit", "", "", "")
    hours, minutes = divmod(round(row.hours * 60), 60)
    peak, seconds = f"{row.peak / 2**30:.2f} GiB", f"{row.seconds:.2f}"
    return (*own, peak, f"{row.headroom:.0%}", seconds, f"{hours} h {minutes} min")


def _seen(row: Seen) -> dict[str, Any]:
    return {
        "image": row.path,
        "tokens": row.n_tokens,
        "image_tokens": row.n_image_tokens,
        "trained_tokens": row.n_trained,
        "pictures": [picture.size for picture in row.pictures],
        "pieces": [asdict(piece) for piece in row.pieces],
        "texts": row.texts,
    }


def _marked(row: Seen) -> str:
    """The text with brackets around what is trained."""
    before, after = _TRAINED
    said = []
    for piece in row.pieces:
        if piece.is_image:
            said.append(f"[{piece.text} x {piece.n}]")
        else:
            said.append(f"{before}{piece.text}{after}" if piece.is_trained else piece.text)
    return "".join(said)


def _counts(row: Seen) -> str:
    return f"{row.n_tokens:,}: {row.n_image_tokens:,} image, {row.n_trained:,} trained"
