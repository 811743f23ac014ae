"""Replies that hold no answer and requests without a reply: which, why, and what asks them, and only them, again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.workspace import Workspace

COMMANDS = {
    "extract": "fgvr-kit attributes extract",
    "describe": "fgvr-kit attributes describe",
    "discover": "fgvr-kit attributes discover",
}
"""Purpose of a request -> the command that asks it."""
_RETRIES = ("extract", "describe")
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Failed:
    """One reply without an answer, or one request without a reply.

    kind: "reply" or "request".  reason: the outcome of the reply ("refused"), or the code of the error.
    why: in words.  image: its path, None where it is about none.  text: what was said, None without a reply.
    is_current: the step would ask it now; False where its backend or its prompt is another by now.
    """

    kind: str
    reason: str
    purpose: str
    image: str | None
    attribute: str | None
    backend: str
    model: str | None
    why: str
    hint: str
    text: str | None
    reply: int | None
    created: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one reason. examples: images, or "?" where it is about none.  command: asks them again."""

    purpose: str
    reason: str
    backend: str
    n: int
    why: str
    hint: str
    examples: tuple[str, ...]
    command: str
    is_current: bool


def failed(workspace: Workspace, purpose: str | None = None, attribute: str | None = None) -> list[Failed]:
    """All of them, step by step and reason by reason; of one purpose or attribute if that is named."""
    hashes: dict[str, str | None] = {}
    rows = workspace.store.unusable(purpose, attribute)
    return [_failed(workspace, row, hashes) for row in rows]


def groups(workspace: Workspace, rows: Iterable[Failed]) -> list[Group]:
    """The rows by purpose, reason and backend: what would be asked now first, then the most frequent first."""
    found: dict[tuple[Any, ...], Group] = {}
    for row in rows:
        key = (row.purpose, row.reason, row.backend, row.is_current)
        group = found.get(key) or Group(
            row.purpose,
            row.reason,
            row.backend,
            0,
            row.why,
            row.hint,
            (),
            _command(workspace, row),
            row.is_current,
        )
        example = " ".join(
            part for part in (row.image or "?", row.attribute and f"({row.attribute})") if part
        )
        examples = group.examples if len(group.examples) >= EXAMPLES else (*group.examples, example)
        found[key] = replace(group, n=group.n + 1, examples=examples)
    return sorted(found.values(), key=lambda group: (not group.is_current, -group.n))


def _failed(workspace: Workspace, row: Mapping[str, Any], hashes: dict[str, str | None]) -> Failed:
    is_reply = row["kind"] == "reply"
    outcome = row["reason"]
    why = REASONS[outcome] if is_reply else " ".join(part for part in (row["message"], row["why"]) if part)
    hint = _hint(outcome) if is_reply else row["hint"] or ""
    return Failed(
        row["kind"], outcome, row["purpose"], row["image"], row["attribute"], row["backend"], row["model"], why,
        hint, row["text"], row["reply_id"], row["created"], _is_current(workspace, row, hashes),
    )  # fmt: skip


def _hint(outcome: str) -> str:
    return {
        "cut_off": "a larger max_tokens asks these anew, and only these",
        "refused": "ask again, say in the prompt what the pictures are for, or try another model",
        "invalid": "ask again, or try another model",
    }[outcome]


def _is_current(workspace: Workspace, row: Mapping[str, Any], hashes: dict[str, str | None]) -> bool:
    if row["subject"] and row["image"] is None:  # the picture is not in use any more
        return False
    if row["backend"] not in _backends(workspace, row["purpose"]):
        return False
    name = row["prompt_name"]
    if not name:
        return True
    if name not in hashes:
        try:
            hashes[name] = workspace.prompts.get(name).hash
        except FgvrError:
            hashes[name] = None
    return bool(hashes[name] == row["template_hash"])


def _backends(workspace: Workspace, purpose: str) -> Sequence[str]:
    settings = workspace.settings
    sections = {
        "extract": (settings.extract.backend, settings.extract.closed_by),
        "describe": (settings.describe.backend,),
        "discover": (settings.discover.backend,),
    }
    return [spec.strip() for spec in sections.get(purpose, (settings.extract.backend,))]


def _command(workspace: Workspace, row: Failed) -> str:
    """What asks for a row, and its like, again; "" where nothing would."""
    command = COMMANDS.get(row.purpose)
    if command is None or (row.image is None and row.purpose in _RETRIES):
        return ""
    if row.backend not in _backends(workspace, row.purpose):
        command += f" --backend {row.backend}"
    elif not row.is_current:
        return ""
    if row.reason == "cut_off" and row.purpose in _RETRIES:
        most = getattr(workspace.settings, row.purpose).max_tokens
        return f"{command} --set {row.purpose}.max_tokens={2 * most}"
    return f"{command} --retry-failed" if row.kind == "reply" and row.purpose in _RETRIES else command
