"""fgvr-kit eval"""

from __future__ import annotations

from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.cli.train import ModelOption


def command(
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask the base model and the tuned one the same multiple-choice questions about the test images.

    Answers are kept: running again asks only what is missing.

    Example: fgvr-kit eval --json
    """
    from fgvr_kit.evaluation.evaluate import evaluate
    from fgvr_kit.training.contenders import contenders

    note_command(workspace, json, verbose, set_)
    with working("eval", {"train.model": model}) as (out, opened_):
        summary, scores = evaluate(opened_, contenders(opened_), out.progress)
        out.summary(summary)
        out.scores(scores)
        suggest_next(out, opened_)
