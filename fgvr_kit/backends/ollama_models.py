"""Which models an Ollama has: their digests, what they can do, and fetching one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from fgvr_kit.progress import Progress, Task

if TYPE_CHECKING:
    from ollama import AsyncClient

_ASKED = 50
"""Models that are asked what they can do, when a name is wanted that can see."""


async def digest(client: AsyncClient, model: str) -> str | None:
    """The first 12 hex digits of what stands behind a name; None when the server does not tell.

    Raises what the client raises when nobody is there.
    """
    listed = await _told(client.list())
    names = {model, f"{model}:latest"}
    for found in listed.models if listed else ():
        if found.model in names and found.digest:
            return str(found.digest).removeprefix("sha256:")[:12]
    return None


async def sees(client: AsyncClient, model: str) -> bool | None:
    """Whether a model takes images; None when the server does not tell."""
    shown = await _told(client.show(model))
    if shown is None or shown.capabilities is None:
        return None
    return "vision" in shown.capabilities


async def that_see(client: AsyncClient) -> list[str]:
    """The models of this server that take images, sorted."""
    listed = await _told(client.list())
    names = sorted({found.model for found in (listed.models if listed else ()) if found.model})[:_ASKED]
    answers = await asyncio.gather(*(sees(client, name) for name in names))
    return [name for name, can in zip(names, answers, strict=True) if can]


def follow(events: Iterable[Any], progress: Progress) -> bool:
    """Show how far a pull is; whether it went to its end. A file in it is a task of its own."""
    status = ""
    with ExitStack() as stack:
        tasks: dict[str, tuple[Task, int]] = {}
        for event in events:
            status = event.status or status
            if not event.digest or not event.total:
                continue
            if event.digest not in tasks:
                what = f"pulling {event.digest.removeprefix('sha256:')[:12]}"
                tasks[event.digest] = (stack.enter_context(progress.task(what, event.total)), 0)
            task, done = tasks[event.digest]
            now = max(done, event.completed or 0)
            task.advance(now - done)
            tasks[event.digest] = (task, now)
    return status == "success"


async def _told(asking: Any) -> Any:
    """An answer, None for an error or for what is no answer: chat tells what is wrong, in its own words."""
    import ollama
    from pydantic import ValidationError

    try:
        return await asking
    except (ollama.ResponseError, json.JSONDecodeError, UnicodeDecodeError, ValidationError):
        return None
