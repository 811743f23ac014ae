"""fgvr-kit attributes review"""

from __future__ import annotations

import getpass
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.report.review import Review, Sitting
    from fgvr_kit.report.review_server import ReviewServer


def command(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, show_default=False, help="Default: any that is free.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Look at pictures beside their answers in a browser, and correct them. Runs until Ctrl-C.

    The page comes from this machine and is for this machine alone; every change is saved at once. What you write
    stands, whatever a model says later; the machine's value is kept beside it. --json prints the address.

    Example: fgvr-kit attributes review --no-browser --port 8123
    """
    from fgvr_kit.cli.output import Output
    from fgvr_kit.report.review import Review
    from fgvr_kit.status import next_command, steps
    from fgvr_kit.workspace import Workspace

    note_command(workspace, json, verbose, set_)
    with Workspace.find(ROOT.workspace, ROOT.overrides) as opened:
        out = Output("review")
        review = Review(opened, author=_user())
        with _serving(review, port) as server:
            out.data |= {
                "url": server.url,
                "images": len(review.images),
                "attributes": len(review.attributes),
            }
            with out:
                out.say(
                    f"{len(review.images):,} pictures at {server.url}\nCtrl-C ends it; every change is saved at once"
                )
            sys.stdout.flush()  # whoever reads the document waits for it, and this goes on
            if not no_browser:
                _open_browser(server.url)
            try:
                server.wait()
            except KeyboardInterrupt:
                out.say("")
        _tell(out, review.sitting(), next_command(steps(opened)))


def _tell(out: Output, done: Sitting, following: str | None) -> None:
    rows = [("pictures reviewed", f"{done.reviewed:,}"), ("values corrected", f"{done.corrected:,}"),
            ("values confirmed", f"{done.confirmed:,}"), ("values taken back", f"{done.taken_back:,}")]  # fmt: skip
    out.table("review", None, rows)
    if following:
        out.say(f"next   {following}" + (f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else ""))


def _serving(review: Review, port: int) -> ReviewServer:
    from fgvr_kit.errors import UsageError
    from fgvr_kit.report.review_server import ReviewServer

    try:
        return ReviewServer(review, port)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be had: {error.strerror}",
            code="port-taken",
            where="--port",
            hint="another port, or none: then a free one is taken",
        ) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have a number and no name
        return ""


def _open_browser(url: str) -> None:
    """Where there is one; a machine without a display has the address to forward."""
    import os
    import webbrowser

    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return  # a browser of the terminal would take the terminal
    webbrowser.open(url)
