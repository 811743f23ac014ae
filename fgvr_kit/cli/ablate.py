"""fgvr-kit ablate"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgvr_kit.cli.opened import opened, working
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.cli.output import Output

if TYPE_CHECKING:
    from fgvr_kit.evaluation.resampling import Interval
    from fgvr_kit.training.ablation.ablate import Result
    from fgvr_kit.training.ablation.variants import Trial
    from fgvr_kit.workspace import Workspace


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", show_default=False, help="Which; all that can be trained."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Trainings of each.")] = 3,
    plan: Annotated[
        bool, typer.Option("--plan", help="Tell what would be trained, how many steps; train nothing.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Name the ablations and what each leaves out.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Train variants of the recipe with several seeds each, and compare them on the test questions.

    Which variants there are is told by --list; ablations.toml beside fgvr.toml adds others. What is trained or
    answered already is not done again; the workspace's own scores are left alone.

    Example: fgvr-kit ablate no-attributes random-negatives --seeds 3 --plan
    """
    note_command(workspace, json, verbose, set_)
    look = plan or list_
    with (opened if look else working)("ablate", keep=False) as (out, opened_):
        if list_:
            _list(out, opened_)
            return
        from fgvr_kit.training.ablation.variants import trials

        planned = trials(opened_, names or [], seeds, ROOT.overrides)
        if plan:
            _plan(out, planned)
            line = ["fgvr-kit", "ablate", *(names or []), "--seeds", str(seeds)]
            out.next.append(shlex.join(line))
            return
        from fgvr_kit.training.ablation.ablate import ablate

        _skipped(out, planned)
        tell(out, ablate(opened_, planned, out.progress))


def types_told() -> dict[str, Any]:
    """Key -> type of what stands under "data"."""
    from fgvr_kit.training.ablation.ablate import Result
    from fgvr_kit.training.ablation.variants import Ablation

    own: dict[str, Any] = {"ablations": list[Ablation], "trials": list[dict[str, Any]], "stages": int}
    return own | {"steps": int, "skipped": dict[str, str], "results": list[Result]}


def _list(out: Output, workspace: Workspace) -> None:
    from fgvr_kit.training.ablation.variants import known_ablations

    known = known_ablations(workspace).values()
    out.data["ablations"] = [asdict(ablation) for ablation in known]
    rows = [(a.name, a.about, " ".join(a.overrides())) for a in known]
    out.table("ablations", ("name", "what", "settings"), rows)


def _plan(out: Output, planned: list[Trial]) -> None:
    from fgvr_kit.training.ablation.variants import n_steps

    n_stages, steps = n_steps(planned)
    open_ = [trial for trial in planned if not trial.why_not]
    out.data |= {
        "trials": [
            {"name": t.ablation.name, "seed": t.seed, "stages": [asdict(stage) for stage in t.stages]}
            for t in open_
        ],
        "stages": n_stages,
        "steps": steps,
    }
    rows = [
        (t.ablation.name, str(t.seed), s.stage, f"{s.examples:,}", f"{s.steps:,}", "done" if s.stands else "to do")
        for t in open_
        for s in t.stages
    ]  # fmt: skip
    out.table("what would be trained", ("ablation", "seed", "stage", "examples", "steps", ""), rows)
    _skipped(out, planned)
    out.say(
        f"{n_stages} stages to train, {steps:,} optimizer steps; a stage that several share is trained once"
    )


def _skipped(out: Output, planned: list[Trial]) -> None:
    """What cannot be trained here, and why."""
    why = {t.ablation.name: t.why_not for t in planned if t.why_not}
    out.data["skipped"] = {name: error.message for name, error in why.items() if error}
    rows = [(name, error.message, error.hint) for name, error in why.items() if error]
    if rows:
        out.table("left out", ("ablation", "why", "what helps"), rows)


def tell(out: Output, results: list[Result]) -> None:
    out.data["results"] = [asdict(result) for result in results]
    rows = [
        (r.name, ", ".join(f"{100 * a:.1f}" for a in r.accuracies), _told(r.over_seeds, r.over_images.value),
         _told(r.over_images), _told(r.gain, sign=True) if r.gain else "", r.against or "", f"{r.n:,}", r.about)
        for r in results
    ]  # fmt: skip
    header = (
        "ablation",
        "each seed",
        "mean [seeds]",
        "[test images]",
        "gain",
        "over",
        "images",
        "what",
    )
    out.table("accuracy in %, 95 % intervals", header, rows)
    out.notes(list(dict.fromkeys(r.note for r in results if r.note)))


def _told(interval: Interval | None, value: float = 0.0, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    if interval is None:
        return f"{100 * value:.1f}"
    ends = f"[{100 * interval.low:{plus}.1f}, {100 * interval.high:{plus}.1f}]"
    return f"{100 * interval.value:{plus}.1f} {ends}"
