"""The command line: the root command, and the one door through which errors leave."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
import typer.core

from fgvr_kit import __version__
from fgvr_kit.cli import (
    attributes,
    check,
    demo,
    doctor,
    evaluate,
    init,
    mine,
    replies,
    schema,
    settings,
    status,
    train,
)
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_root
from fgvr_kit.cli.output import fail
from fgvr_kit.errors import FgvrError, StoreError

_ORDER = (
    "init",
    "check",
    "attributes",
    "mine",
    "train",
    "eval",
    "status",
    "settings",
    "replies",
    "doctor",
    "schema",
    "demo",
)

_OF_THE_DISK = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip


class Door(typer.core.TyperGroup):
    """Turns an FgvrError into two to four lines and its exit code; everything else keeps its traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the walk, then what looks after it."""
        return [name for name in _ORDER if name in self.commands]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FgvrError as error:
            fail(ctx.invoked_subcommand or "status", error)
            raise typer.Exit(error.exit_code) from error
        except Exception as error:
            if type(error).__module__ == "sqlite3":  # only store/ may import it
                damaged = StoreError(
                    f"the database failed: {error}",
                    code="store-failed",
                    hint="is the disk full? otherwise restore .fgvr/fgvr.db, or remove .fgvr and start with init",
                )
                fail(ctx.invoked_subcommand or "status", damaged)
                raise typer.Exit(damaged.exit_code) from error
            if not isinstance(error, OSError) or error.errno not in _OF_THE_DISK:
                raise
            told = FgvrError(
                f"cannot write or read: {error.strerror}",
                code="disk",
                where=str(error.filename or ""),
                hint="name another place, make room, or get the right to write there; the same command goes on",
            )
            fail(ctx.invoked_subcommand or "status", told)
            raise typer.Exit(told.exit_code) from error
        except KeyboardInterrupt:
            typer.echo(
                "interrupted: what was finished is kept; the same command goes on from there", err=True
            )
            raise typer.Exit(130) from None


app = typer.Typer(
    name="fgvr-kit",
    cls=Door,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # locals can hold API keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fgvr-kit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From a labelled image folder to a fine-tuned, honestly evaluated multimodal LLM.

    Start with `fgvr-kit init IMAGES`; without a command: where am I, what is done, what is next.
    """
    note_root(workspace, json, verbose, set_)
    if ctx.invoked_subcommand is None:
        status.show()


app.command("init", short_help="Look at an image folder and make a workspace for it.")(init.command)
app.command("check", short_help="May numbers measured on it be believed?")(check.command)
app.add_typer(attributes.app, name="attributes", short_help="Discover attributes, extract them, describe.")
app.command("mine", short_help="Find look-alikes: hard negatives and options.")(mine.command)
app.command("train", short_help="Train a recipe's stages with LoRA.")(train.command)
app.command("eval", short_help="Score the base model and the tuned one.")(evaluate.command)
app.command("status", short_help="What is done, what is stale, what is next.")(status.command)
app.command("settings", short_help="Every setting, its meaning and its origin.")(settings.command)
app.add_typer(replies.app, name="replies", short_help="Record what models said, to replay it.")
app.command("doctor", short_help="Is this machine fit for the walk?")(doctor.command)
app.command("schema", short_help="A command's options and output, for programs.")(schema.command)
app.command("demo", short_help="The whole walk on real photographs, offline.")(demo.command)


def main() -> None:
    app(prog_name="fgvr-kit")
