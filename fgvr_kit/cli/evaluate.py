"""fgvr-kit eval"""

from __future__ import annotations

from typing import Annotated

import typer

from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.cli.train import ModelOption


def command(
    model: ModelOption = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Score CLIP zero-shot, k-nearest neighbours and a linear probe instead; needs no MLLM.",
        ),
    ] = False,
    shots: Annotated[
        str | None,
        typer.Option(
            "--shots",
            metavar="N,N,...",
            show_default=False,
            help="With --baselines: also on so many training images of each class, such as 1,4,16.",
        ),
    ] = None,
    enough: Annotated[
        float | None,
        typer.Option(
            "--enough",
            metavar="SHARE",
            show_default=False,
            help="Accuracy over all classes that you need, such as 0.9; tells when a baseline has it.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask the base model and the tuned one the same multiple-choice questions about the test images.

    Answers are kept: running again asks only what is missing, and one table shows MLLMs and baselines alike.

    Example: fgvr-kit eval --baselines --shots 1,4,16 --enough 0.9
    """
    from fgvr_kit.evaluation.evaluate import evaluate
    from fgvr_kit.training.checkpoints.checkpoint import final_checkpoint
    from fgvr_kit.training.runs.contenders import contenders

    note_command(workspace, json, verbose, set_)
    choices = {"train.model": model, "evaluate.shots": _numbers(shots, baselines), "evaluate.enough": enough}
    with working("eval", choices) as (out, opened_):
        summary, scores = evaluate(opened_, contenders(opened_), out.progress, baselines=baselines)
        out.summary(summary)
        out.scores(scores)
        if checkpoint := final_checkpoint(opened_):
            out.data["tuned"] = checkpoint.run_id
            out.say(f"tuned    {checkpoint.run_id}")
        suggest_next(out, opened_)


def _numbers(text: str | None, baselines: bool) -> list[int] | None:
    """ "1,4,16" as numbers."""
    from fgvr_kit.errors import UsageError

    if text is None:
        return None
    if not baselines:
        raise UsageError(
            "--shots is for baselines",
            code="shots-without-baselines",
            hint=f"fgvr-kit eval --baselines --shots {text}",
        )
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(
            f"--shots {text!r} is no list of numbers from 1 on",
            code="shots-not-numbers",
            hint="such as --shots 1,4,16",
        )
    return sorted({int(word) for word in words})
