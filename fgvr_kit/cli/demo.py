"""fgvr-kit demo"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.options import ROOT, BackendOption, JsonOption, SetOption, VerboseOption, note_command
from fgvr_kit.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from fgvr_kit.workspace import Workspace

EXAMPLE = "euro-coins"


def command(
    folder: Annotated[Path, typer.Argument(help="Where to make the demo's workspace.")],
    backend: BackendOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """The whole walk on 460 real photographs of euro coins: offline, on a CPU, in minutes.

    Attributes and descriptions come from recorded replies of a real multimodal LLM; the models that are trained
    and scored are untrained toys, so the accuracies show that the walk works and nothing more. Killed, the same
    command goes on where it was.

    Example: fgvr-kit demo demo/ --backend transformers:toy-vlm
    """
    from fgvr_kit.workspace import Workspace

    note_command(None, json, verbose, set_)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch; more threads slow models as small as these
    with Output("demo") as out:
        _init(out, folder, backend)
        with Workspace.find(folder, ROOT.overrides) as workspace, workspace.busy():
            _same_backend(workspace, backend)
            for name, run in _steps(out, workspace).items():
                if _state(workspace, name) == "done":
                    out.say(f"{name}: done already")
                else:
                    out.say(f"{'train' if name == 'instruct' else name} ...")
                    run()
            _end(out, workspace)


def _init(out: Output, folder: Path, backend: str | None) -> None:
    """Make the workspace, or bring it up to date."""
    import tomllib

    from fgvr_kit import shipped
    from fgvr_kit.pipeline.init import init
    from fgvr_kit.settings import FILE_NAME

    example = shipped.folder("examples") / EXAMPLE
    chosen = tomllib.loads((example / "demo.toml").read_text(encoding="utf-8"))
    spec = backend or f"replay:{example / 'replies.jsonl'}"
    chosen["extract"]["backend"] = spec
    chosen["describe"] = {"backend": spec}
    overrides = [
        f"{section}.{key}={_toml(value)}" for section, keys in chosen.items() for key, value in keys.items()
    ] + ROOT.overrides
    is_new = not (folder / FILE_NAME).is_file()
    out.summary(init(example, folder, overrides if is_new else [], out.progress))


def _same_backend(workspace: Workspace, backend: str | None) -> None:
    """A demo that was begun goes on as it was begun."""
    from fgvr_kit.errors import WorkspaceError

    begun = workspace.settings.extract.backend
    if backend and backend != begun:
        raise WorkspaceError(
            f"this demo was begun with {begun}",
            code="demo-backend",
            where=str(workspace.root),
            hint=f"another folder for another demo: fgvr-kit demo OTHER --backend {backend}",
        )


def _toml(value: object) -> str:
    import json as json_module

    return json_module.dumps(value)


def _steps(out: Output, workspace: Workspace) -> dict[str, Callable[[], None]]:
    from fgvr_kit import shipped
    from fgvr_kit.evaluation.evaluate import evaluate
    from fgvr_kit.pipeline.check import check
    from fgvr_kit.pipeline.describe import describe
    from fgvr_kit.pipeline.discover import discover
    from fgvr_kit.pipeline.extract import extract
    from fgvr_kit.pipeline.mine import mine
    from fgvr_kit.training.runs.contenders import contenders
    from fgvr_kit.training.runs.run import train_recipe

    attributes = shipped.folder("examples") / EXAMPLE / "attributes.csv"

    def train() -> None:
        for summary in train_recipe(workspace, out.progress)[1]:
            out.summary(summary)

    def judge() -> None:
        out.summary(evaluate(workspace, [], out.progress, baselines=True)[0])
        out.summary(evaluate(workspace, contenders(workspace), out.progress)[0])

    return {
        "check": lambda: out.summary(check(workspace, progress=out.progress).summary),
        "discover": lambda: out.summary(discover(workspace, from_file=attributes, replace=True)),
        "extract": lambda: out.summary(extract(workspace, progress=out.progress)),
        "describe": lambda: out.summary(describe(workspace, progress=out.progress)),
        "mine": lambda: out.summary(mine(workspace, out.progress).summary),
        "instruct": train,  # the last stage stands only when all before it do
        "eval": judge,
    }


def _state(workspace: Workspace, name: str) -> str:
    from fgvr_kit.status import steps

    return next(step.state for step in steps(workspace) if step.name == name)


def _end(out: Output, workspace: Workspace) -> None:
    from dataclasses import asdict

    from fgvr_kit.status import steps

    found = steps(workspace)
    out.data["walk"] = [asdict(step) for step in found]
    out.table(
        "the walk", ("step", "state", "what stands"), [(step.name, step.state, step.told) for step in found]
    )
    out.scores(workspace.store.scores())
    notes = {note for row in workspace.store.walk().values() for note in row["summary"]["notes"]}
    out.data["notes"] = sorted(notes)
    out.notes(sorted(notes))
    out.next.append(f"fgvr-kit status -w {workspace.root}")
