"""Replies that hold no answer and requests without a reply: which, why, and what asks them, and only them, again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.types import GENERAL
from fgvr_kit.workspace import Workspace

COMMANDS = {
    "extract": "fgvr-kit attributes extract",
    "describe": "fgvr-kit attributes describe",
    "discover": "fgvr-kit attributes discover",
}
"""Purpose of a request -> the command that asks it."""
_STEPS = {"merge": "discover"}
"""Purpose of a request -> the step that makes it, where that is called otherwise."""
_RETRIES = ("extract", "describe")
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Failed:
    """One reply without an answer, or one request without a reply.

    kind: "reply" or "request".  reason: the outcome of the reply ("refused"), or the code of the error.
    why: in words.  image: its path, None where it is about none.  text: what was said, None without a reply.
    is_current: the step would ask it now; False where its backend or its prompt is another by now, or its attribute
    is not asked of this image any more.
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
    now = _Now(workspace)
    return [_failed(row, now) for row in workspace.store.unusable(purpose, attribute)]


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


def _failed(row: Mapping[str, Any], now: _Now) -> Failed:
    is_reply = row["kind"] == "reply"
    outcome = row["reason"]
    why = REASONS[outcome] if is_reply else " ".join(part for part in (row["message"], row["why"]) if part)
    hint = _hint(outcome) if is_reply else row["hint"] or ""
    return Failed(
        row["kind"], outcome, row["purpose"], row["image"], row["attribute"], row["backend"], row["model"], why,
        hint, row["text"], row["reply_id"], row["created"], now.asks(row),
    )  # fmt: skip


def _hint(outcome: str) -> str:
    return {
        "cut_off": "a larger max_tokens asks these anew, and only these",
        "refused": "ask again, say in the prompt what the pictures are for, or try another model",
        "invalid": "ask again, or try another model",
    }[outcome]


class _Now:
    """What the steps would ask now; what it is told by is read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._hashes: dict[str, str | None] = {}
        self._asked: dict[str, set[str]] = {}
        self._class_of = {image.path: image.class_name for image in workspace.store.images()}
        try:
            self._questions: Questions | None = Questions(workspace, workspace.attributes())
        except FgvrError:  # no list, or one that extract refuses: nothing can be told from it
            self._questions = None

    def asks(self, row: Mapping[str, Any]) -> bool:
        if row["subject"] and row["image"] is None:  # the picture is not in use any more
            return False
        if row["backend"] not in _backends(self._workspace, row["purpose"]):
            return False
        if row["purpose"] == "extract" and not self._asks_for(row["attribute"], row["image"]):
            return False
        name = row["prompt_name"]
        return not name or self._hash_of(name) == row["template_hash"]

    def _asks_for(self, attribute: str | None, path: str) -> bool:
        if self._questions is None or attribute in (None, GENERAL):
            return True
        class_name = self._class_of[path]
        if class_name not in self._asked:
            self._asked[class_name] = {a.name for a in self._questions.attributes_of(class_name)}
        return attribute in self._asked[class_name]

    def _hash_of(self, name: str) -> str | None:
        if name not in self._hashes:
            try:
                self._hashes[name] = self._workspace.prompts.get(name).hash
            except FgvrError:
                self._hashes[name] = None
        return self._hashes[name]


def _backends(workspace: Workspace, purpose: str) -> Sequence[str]:
    settings = workspace.settings
    sections = {
        "extract": (settings.extract.backend, settings.extract.closed_by),
        "describe": (settings.describe.backend,),
        "discover": (settings.discover.backend,),
    }
    step = _STEPS.get(purpose, purpose)
    return [spec.strip() for spec in sections.get(step, (settings.extract.backend,))]


def _command(workspace: Workspace, row: Failed) -> str:
    """What asks for a row, and its like, again; "" where nothing would."""
    command = COMMANDS.get(_STEPS.get(row.purpose, row.purpose))
    if command is None or (row.image is None and row.purpose in _RETRIES):
        return ""
    if row.backend not in _backends(workspace, row.purpose):
        command += f" --backend {row.backend}"
    elif not row.is_current:
        return ""
    if _STEPS.get(row.purpose, row.purpose) == "discover" and (workspace.root / "attributes.csv").is_file():
        command += " --replace"  # without it the list that is there is kept, and nobody is asked
    if row.reason == "cut_off" and row.purpose in _RETRIES:
        most = getattr(workspace.settings, row.purpose).max_tokens
        return f"{command} --set {row.purpose}.max_tokens={2 * most}"
    return f"{command} --retry-failed" if row.kind == "reply" and row.purpose in _RETRIES else command
