"""fgvr-kit train"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import opened, suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.workspace import Workspace

_ROWS = 4

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        show_default=False,
        help="Base model: a hub id or a folder, such as HuggingFaceM4/idefics2-8b.",
    ),
]


def command(
    model: ModelOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Which paper's recipe.", show_default=False, autocompletion=complete.recipes),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=1,
            metavar="N",
            show_default=False,
            help="Train on so many images of each class only.",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            metavar="plain|balanced",
            show_default=False,
            help="balanced: see every class equally often.",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment", metavar="none|flip|crop", show_default=False, help="Mirror or crop photographs."
        ),
    ] = None,
    val_share: Annotated[
        float | None,
        typer.Option(
            "--val-share",
            metavar="SHARE",
            show_default=False,
            help="Hold out this share of the training images, and keep the weights that are best on them.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            min=1,
            metavar="N",
            show_default=False,
            help="End a stage after so many validations that were no better.",
        ),
    ] = None,
    report_to: Annotated[
        str | None,
        typer.Option(
            "--report-to",
            metavar="TRACKER",
            show_default=False,
            help="Tell a tracker of every step: tensorboard, wandb, mlflow, trackio, ...",
        ),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            "--quant",
            metavar="auto|nf4|int8|none",
            show_default=False,
            help="How the text model's weights are stored: 4 bit, 8 bit, or whole.",
        ),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="lora|dora|full",
            show_default=False,
            help="Train an adapter, one with magnitudes, or the weights themselves.",
        ),
    ] = None,
    between: Annotated[
        str | None,
        typer.Option(
            "--between",
            metavar="continue|merge",
            show_default=False,
            help="Between the stages: the adapter goes on, or is merged into the base.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Tell the settings, rows and steps; load no model, train nothing."),
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what the model would get: pictures, tokens, trained ones.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            min=1,
            max=100,
            metavar="N",
            show_default="4",
            help="With --preview: so many of each stage.",
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Measure memory and time of real steps with several settings."),
    ] = False,
    auto: Annotated[
        bool, typer.Option("--auto", help="Measure, write the fastest that fits into fgvr.toml, and train.")
    ] = False,
    gpus: Annotated[
        int | None,
        typer.Option(
            "--gpus",
            min=1,
            metavar="N",
            show_default=False,
            help="Train on so many GPUs of this machine: the same result, in less time.",
        ),
    ] = None,
    machines: Annotated[
        int,
        typer.Option(
            "--machines",
            min=1,
            metavar="N",
            help="Train on so many machines that see this workspace; on each the same command with its --machine.",
        ),
    ] = 1,
    machine: Annotated[
        int | None,
        typer.Option(
            "--machine", min=0, metavar="K", show_default=False, help="Which of them this is, from 0."
        ),
    ] = None,
    main: Annotated[
        str | None,
        typer.Option(
            "--main",
            metavar="HOST:PORT",
            show_default=False,
            help="Where the machine with number 0 is reached.",
        ),
    ] = None,
    print_sky: Annotated[
        bool,
        typer.Option(
            "--print-sky", help="Print a job for a GPU in a cloud (SkyPilot); rent nothing, train nothing."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Train the recipe's stages with LoRA. Finished stages are kept, a killed one goes on where it was.

    How it trains stands in fgvr.toml, in [train] and the recipe's section ([finedefics]): edit it there, so that
    eval and status know of it. Ctrl-C ends after the step under way; the same command goes on.

    Example: fgvr-kit train --model Qwen/Qwen2.5-VL-7B-Instruct
    """
    from fgvr_kit.cli import training
    from fgvr_kit.training import processes

    note_command(workspace, json, verbose, set_)
    elsewhere = machines > 1 or machine is not None or main is not None
    several = (gpus or 1) > 1 or elsewhere
    looks = {"--dry-run": dry_run, "--preview": preview, "--plan": plan, "--print-sky": print_sky}
    on_several = several and not elsewhere and not print_sky  # a job may ask for several GPUs
    _refuse_mixed({**looks, "--auto": auto, "--machines": elsewhere, "--gpus": on_several})
    if rows and not preview:
        raise UsageError("--rows is a choice of --preview", code="flags-mixed", hint="add --preview")
    choices = {
        "train.model": model,
        "train.recipe": recipe,
        "train.shots": shots,
        "train.sampler": sampler,
        "train.augment": augment,
        "train.val_share": val_share,
        "train.patience": patience,
        "train.report_to": report_to,
        "train.quantize": quantize,
        "train.tune": tune,
        "train.between": between,
    }
    if any(looks.values()):
        with opened("train", choices, keep=False) as (out, opened_):
            if dry_run:
                training.dry_run(out, opened_)
            elif preview:
                training.preview(out, opened_, rows or _ROWS)
            elif print_sky:
                training.print_job(out, opened_, choices, gpus or 1)
            else:
                training.measure(out, opened_)
        return
    if several and processes.size() == 1:
        training.launch(choices, gpus or 1, machines, machine, main)
    if not processes.is_first():
        training.train_silently(choices)
        return
    if auto:
        choices |= _adopted(choices)
    with working("train", choices) as (out, opened_):
        _train(out, opened_)


def _adopted(choices: dict[str, Any]) -> dict[str, Any]:
    from fgvr_kit.cli import training

    with opened("train", choices, keep=False) as (out, opened_):
        return training.adopt(out, opened_)


def _train(out: Output, workspace: Workspace) -> None:
    from fgvr_kit.training.runs.run import train_recipe

    checkpoint, summaries = train_recipe(workspace, out.progress)
    for summary in summaries:
        out.summary(summary)
    out.data["adapter"] = str(checkpoint.adapter)
    out.say(f"adapter  {checkpoint.adapter}")
    curves = checkpoint.folder / "curves.png"
    if curves.is_file():
        out.data["curves"] = str(curves)
        out.say(f"curves   {curves}")
    suggest_next(out, workspace)


def _refuse_mixed(flags: dict[str, bool]) -> None:
    given = [flag for flag, is_given in flags.items() if is_given]
    if len(given) > 1:
        raise UsageError(
            f"{given[0]} and {given[1]} ask for different things",
            code="flags-mixed",
            hint=f"leave out {given[1]}",
        )
