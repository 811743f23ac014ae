"""What a step's backend needs before it can be asked: a key that nobody has given yet, a model to be pulled."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from fgvr_kit.cli.options import ROOT
from fgvr_kit.cli.output import Output
from fgvr_kit.errors import BackendError

if TYPE_CHECKING:
    from fgvr_kit.workspace import Workspace


def make_ready(out: Output, workspace: Workspace, step: str, *, pull: bool = False) -> None:
    """Ask for a missing key on a terminal, unseen; have the model pulled where that was asked for.

    Where nobody can type and nothing is to be pulled, the step itself tells what is missing. Raises what
    opening the backend raises, and BackendError from pulling.
    """
    can_type = sys.stdin.isatty() and not ROOT.json
    if not pull and not can_type:
        return
    from fgvr_kit.backends.base import open_backend

    key = f"{step}.backend"
    spec = getattr(getattr(workspace.settings, step), "backend", "")
    backend = open_backend(spec, workspace.settings, workspace.root, key=key)
    try:
        backend.ready()
    except BackendError as error:
        if error.code != "backend-key-missing" or not can_type:
            raise
        _ask_for_key(out, workspace)
    if pull:
        backend.pull(out.progress)


def _ask_for_key(out: Output, workspace: Workspace) -> None:
    """For this command, and for the next ones if the user wants it kept."""
    from fgvr_kit import keys
    from fgvr_kit.backends.openai import Settings
    from fgvr_kit.settings import plugin_section

    name = plugin_section(workspace.settings, "openai", Settings).api_key_env
    value = keys.prompt(name)
    os.environ[name] = value
    if typer.confirm(f"Keep it in {keys.FILE_NAME} of this workspace, which only you can read?", err=True):
        out.say(f"kept in {keys.keep(name, value, workspace.root)}")
