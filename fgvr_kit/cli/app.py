"""The command line: the root command, and the one door through which errors leave."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from fgvr_kit import __version__
from fgvr_kit.cli import (
    ablate,
    attributes,
    bench,
    check,
    demo,
    doctor,
    errors,
    evaluate,
    explain,
    init,
    mine,
    models,
    plan,
    prompts,
    replies,
    schema,
    settings,
    status,
    train,
)
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_root
from fgvr_kit.cli.output import fail, schema_name
from fgvr_kit.cli.usage import TYPERS, explained, wants_json, words_of
from fgvr_kit.dataset.names import as_text
from fgvr_kit.errors import FgvrError, StoreError, UsageError
from fgvr_kit.offline import VARIABLE, go_offline

_ORDER = (
    "init",
    "check",
    "attributes",
    "mine",
    "models",
    "plan",
    "train",
    "eval",
    "ablate",
    "status",
    "explain",
    "errors",
    "settings",
    "prompts",
    "replies",
    "doctor",
    "schema",
    "demo",
    "bench",
)

_OF_THE_DISK = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip


class Door(typer.core.TyperGroup):
    """Turns an FgvrError into two to four lines and its exit code; everything else keeps its traceback."""

    _line: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the walk, then what looks after it."""
        return [name for name in _ORDER if name in self.commands]

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        args = _offline_first(args)
        self._line, ROOT.schema = tuple(args), ""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except TYPERS as error:
            self._refuse(error)
            raise

    def _refuse(self, error: Exception) -> None:
        """A command line that Typer does not understand; people get Typer's own words."""
        if wants_json(self._line):
            self._tell(explained(error, words_of(self, self._line)))

    def _tell(self, error: FgvrError) -> NoReturn:
        """Under the name of the output that has begun, or of the one that would have."""
        name = ROOT.schema or schema_name(words_of(self, self._line))
        fail(name, error, as_json=wants_json(self._line))
        raise typer.Exit(error.exit_code) from error

    def invoke(self, ctx: Any) -> Any:
        try:
            _refuse_no_text(self._line)
            return super().invoke(ctx)
        except FgvrError as error:
            self._tell(error)
        except TYPERS as error:
            self._refuse(error)
            raise
        except Exception as error:
            if type(error).__module__ == "sqlite3":  # only store/ may import it
                damaged = StoreError(
                    f"the database failed: {error}",
                    code="store-failed",
                    hint="is the disk full? otherwise bring back a copy of .fgvr/fgvr.db, or rescue what is in it:"
                    " sqlite3 .fgvr/fgvr.db .recover | sqlite3 rescued.db",
                )
                self._tell(damaged)
            if not isinstance(error, OSError) or error.errno not in _OF_THE_DISK:
                raise
            told = FgvrError(
                f"cannot write or read: {error.strerror}",
                code="disk",
                where=str(error.filename or ""),
                hint="name another place, make room, or get the right to write there; the same command goes on",
            )
            self._tell(told)
        except KeyboardInterrupt:
            typer.echo(
                "interrupted: what was finished is kept; the same command goes on from there", err=True
            )
            raise typer.Exit(130) from None


def _offline_first(args: list[str]) -> list[str]:
    """--offline may stand anywhere on the line, and comes into force before anything else is looked at."""
    own = args[: args.index("--")] if "--" in args else args
    if "--offline" in own or os.environ.get(VARIABLE, "") not in ("", "0"):
        go_offline()
    return [word for place, word in enumerate(args) if word != "--offline" or place >= len(own)]


def _refuse_no_text(line: Sequence[str]) -> None:
    """Raise UsageError for bytes that are no UTF-8: no file of the workspace could hold them."""
    for word in line:
        if as_text(word) != word:
            raise UsageError(
                f"{as_text(word)!r} is not UTF-8",
                code="argument-encoding",
                why="fgvr.toml and the database hold text, and cannot hold this",
                hint="of a file or folder: rename it, or make a link to it that has another name, and give that",
            )


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
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Make any use of the network an error; of every command ($FGVR_OFFLINE=1)."
        ),
    ] = False,
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


app.command("init", cls=init.Command, short_help="Look at an image folder and make a workspace for it.")(
    init.command
)
app.command("check", short_help="May numbers measured on it be believed?")(check.command)
app.add_typer(attributes.app, name="attributes", short_help="Discover attributes, extract them, describe.")
app.command("mine", short_help="Find look-alikes: hard negatives and options.")(mine.command)
app.command("models", short_help="Models that can be trained, and whether yours is one.")(models.command)
app.command("plan", short_help="What training will take; --gpu measures it.")(plan.command)
app.command("train", short_help="Train a recipe's stages with LoRA.")(train.command)
app.command("eval", short_help="Score the base model and the tuned one.")(evaluate.command)
app.command("ablate", short_help="Variants of a recipe with several seeds, in one table.")(ablate.command)
app.command("status", short_help="What is done, what is stale, what is next.")(status.command)
app.command("explain", short_help="Why is this image described so?")(explain.command)
app.command("errors", short_help="Replies without an answer, and what asks them again.")(errors.command)
app.command("settings", short_help="Every setting, its meaning and its origin.")(settings.command)
app.add_typer(prompts.app, name="prompts", short_help="The words that models are sent, and yours.")
app.add_typer(replies.app, name="replies", short_help="Record what models said, to replay it.")
app.command("doctor", short_help="Is this machine fit for the walk?")(doctor.command)
app.command("schema", short_help="A command's options and output, for programs.")(schema.command)
app.command("demo", short_help="The whole walk on real photographs, offline.")(demo.command)
app.add_typer(bench.app, name="bench", short_help="Drawn classes: does the method work, and what of it?")


def main() -> None:
    for stream in (sys.stdout, sys.stderr):  # a name that a terminal cannot show is no reason to stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="fgvr-kit")
