"""A prompt beside what it replaces, and beside what models were really sent under its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.errors import PromptError, UsageError
from fgvr_kit.rehearsal.preview import preview
from fgvr_kit.types import GENERAL
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Wording:
    """Replies to one template hash of a prompt. first, last: when they came, as ISO text in UTC."""

    template_hash: str
    n: int
    first: str
    last: str
    backends: tuple[str, ...]
    is_current: bool


class Sent(list[Wording]):
    """The wordings of one prompt, the newest first, and which of them was sent last by a day."""

    def __init__(self, workspace: Workspace, name: str, found: Iterable[Wording]) -> None:
        super().__init__(found)
        self._store, self._name = workspace.store, name

    def by(self, when: str) -> Wording | None:
        """when: as in Store.wording_sent_by; a wording may come back after another one."""
        template_hash = self._store.wording_sent_by(self._name, when)
        return next((wording for wording in self if wording.template_hash == template_hash), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """lines: a unified diff, empty where nothing differs.  old, new: what is compared, for people."""

    old: str
    new: str
    lines: tuple[str, ...]


def against_shipped(workspace: Workspace, name: str) -> Comparison:
    """The workspace's own file against the one that it replaces.

    Raises PromptError "prompt-missing", "prompt-not-own" where the workspace has none, and "prompt-only-own" where
    it replaces nothing.
    """
    prompts = workspace.prompts
    name, path = prompts.known(name), prompts.file(name)
    place, beneath = prompts.origin(path), prompts.beneath(name)
    if place.origin not in ("workspace", "file"):
        raise PromptError(
            f"the workspace has no {name} of its own: the one in force is {_article(place.label)}",
            code="prompt-not-own",
            where=str(path),
            hint=f"fgvr-kit prompts eject {name} copies it here, to be edited",
        )
    if beneath is None:
        raise PromptError(
            f"{name} is the workspace's own: nothing of that name is shipped",
            code="prompt-only-own",
            where=str(path),
            hint=f"fgvr-kit prompts show {name}",
        )
    old = f"{prompts.origin(beneath).label}: {name}.md"
    new = str(path.relative_to(workspace.root)) if path.is_relative_to(workspace.root) else str(path)
    return compare_texts(_text(beneath), _text(path), old, new)


def wordings(workspace: Workspace, name: str) -> Sent:
    """What was sent under a prompt's name, the newest wording first."""
    current = workspace.prompts.get(name).hash
    found = (
        Wording(
            row["template_hash"],
            row["n"],
            row["first"],
            row["last"],
            tuple(sorted(row["backends"].split(","))),
            row["template_hash"] == current,
        )
        for row in workspace.store.sent_wordings(name)
    )
    return Sent(workspace, name, found)


def choose(name: str, found: Sent, when: str) -> Wording:
    """The wording that "last" (the newest other than the one in force), a day, or the start of a hash names.

    A day, "2026-10-03", names what was sent last by the end of it. Raises UsageError "prompt-never-sent" and
    "prompt-run".
    """
    if not found:
        raise UsageError(
            f"nothing was sent yet under the name {name}",
            code="prompt-never-sent",
            hint=f"fgvr-kit prompts diff {name} compares it with the shipped file",
        )
    if when == "last":
        return next((wording for wording in found if not wording.is_current), found[0])
    if chosen := next((w for w in found if len(when) >= 4 and w.template_hash.startswith(when)), None):
        return chosen
    is_day = when[:4].isdigit() and "-" in when
    if is_day and (chosen := found.by(when)):
        return chosen
    known = ", ".join(f"{w.template_hash[:8]} ({w.first[:10]})" for w in found)
    raise UsageError(
        f"nothing was sent under the name {name} by {when}"
        if is_day
        else f"--run {when!r} names nothing sent",
        code="prompt-run",
        where=name,
        hint=f"last, a day, or the start of a hash; there are: {known}",
    )


def against_sent(workspace: Workspace, name: str, wording: Wording) -> Comparison:
    """What was sent last with a wording against what would be sent now for the same image and attribute.

    Raises PromptError "prompt-lacks" where the image or the attribute is not there any more.
    """
    row = workspace.store.last_reply_to(name, wording.template_hash)
    assert row is not None, "a wording is a row of replies"
    old = f"sent {row['created'][:16]} to {row['backend']}"
    now = preview(workspace, name, image=_image_of(workspace, row), attribute=_attribute_of(row))
    about = ", ".join(text for text in (now.image, now.attribute) if text)
    sent = _whole(row["system"] or "", row["prompt"])
    new = "now" + (f", for {about}" if about else "")
    return compare_texts(sent, _whole(now.prompt.system, now.prompt.text), old, new)


def compare_texts(old: str, new: str, old_name: str, new_name: str) -> Comparison:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return Comparison(old_name, new_name, tuple(lines))


def _image_of(workspace: Workspace, row: dict[str, Any]) -> str | None:
    if not row["subject"]:
        return None
    for image in workspace.store.images():
        if image.sha256 == row["subject"]:
            return image.path
    raise PromptError(
        "the image of the newest reply to that wording is not in the workspace any more",
        code="prompt-lacks",
        where=row["subject"],
        hint="--run HASH names another wording",
    )


def _attribute_of(row: dict[str, Any]) -> str | None:
    return row["attribute"] if row["attribute"] != GENERAL else None


def _whole(system: str, text: str) -> str:
    return f"[system]\n{system}\n[user]\n{text}" if system else text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{path.name} is not UTF-8",
            code="prompt-encoding",
            where=str(path),
            hint="save it again as UTF-8",
        ) from error


def _article(label: str) -> str:
    return "the shipped one" if label == "shipped" else f"that of {label}"
