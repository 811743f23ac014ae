"""replay:FILE.jsonl - answers out of a recording instead of a model: offline, free, always the same.

One JSON object a line. What a line names must be equal in the request; the line that names most wins, a
later line before an earlier one:

    {"purpose": "extract", "image": "<pixel sha256>", "attribute": "wing colour", "text": "brown"}
    {"prompt": "<sha256 hex of system + prompt text>", "text": "A small beetle.", "model": "gpt-4o-mini"}
    {"purpose": "extract", "image": "<pixel sha256>", "answers": {"wing colour": "brown", "antennae": "long"}}

The last form is short for one line an attribute. `model` and `note` tell who was recorded, and stand in
every row. `export_replies` writes such a file from a workspace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.errors import BackendError, RequestRejected, SettingsError, UsageError
from fgvr_kit.settings import Section
from fgvr_kit.store import Store

# In the order of their weight where two lines name equally many.
_CRITERIA = ("image", "attribute", "prompt", "purpose")
_KNOWN = {*_CRITERIA, "text", "answers", "model", "note"}


class Settings(Section):
    pass


@dataclass(frozen=True, slots=True)
class _Line:
    """criteria: in the order of _CRITERIA, None where the line names nothing."""

    criteria: tuple[str | None, ...]
    text: str
    model: str | None
    note: str | None


class Replay(Backend):
    """Answers each request with the line that fits best; RequestRejected "no-recorded-reply" without one."""

    batch_size = 64
    per_subject = True

    def __init__(self, spec: str, file: Path) -> None:
        content = _read(file)
        # The recording decides the replies, not its name: an edited file is asked again, which is free.
        recording = hashlib.sha256(content).hexdigest()[:16]
        super().__init__(spec, file.name, note="recorded replies", conditions={"recording": recording})
        self._lines: dict[tuple[str | None, ...], _Line] = {}
        for line in _lines(content, file):
            self._lines[line.criteria] = line
        self._shapes = sorted(
            {tuple(c is not None for c in criteria) for criteria in self._lines},
            key=lambda shape: (sum(shape), shape),
            reverse=True,
        )

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Response | BackendError:
        asked = (
            request.subject,
            request.attribute,
            prompt_sha256(request.prompt.system, request.prompt.text),
            request.purpose,
        )
        for shape in self._shapes:
            line = self._lines.get(tuple(a if named else None for a, named in zip(asked, shape, strict=True)))
            # A request without, say, a subject must not meet a line of a lesser shape twice.
            if line is not None and tuple(c is not None for c in line.criteria) == shape:
                return Response(
                    text=line.text,
                    model=line.model or self.model,
                    finish_reason="stop",
                    input_tokens=None,
                    output_tokens=None,
                    note=_note(line),
                )
        about = [f"{name} {value[:12]}" for name, value in zip(_CRITERIA, asked, strict=True) if value]
        return RequestRejected(
            f"{self.model} holds no reply for {', '.join(about)}",
            code="no-recorded-reply",
            hint="record it with a real backend and export the replies again, or add a line to the file",
        )


def make(model: str, settings: Settings, base: Path) -> Replay:
    """model: the file; relative to the workspace, then to the current directory.

    Raises SettingsError when there is none (code "replay-missing") or a line is not right ("replay-line").
    """
    file = next((f for f in (base / model, Path(model)) if f.is_file()), None)
    if file is None:
        raise SettingsError(
            f"there is no recording {model!r}",
            code="replay-missing",
            where=str(base),
            hint="replay:FILE takes a .jsonl file, relative to the workspace or to the current directory",
        )
    return Replay(f"replay:{model}", file)


def prompt_sha256(system: str, text: str) -> str:
    """What a line's "prompt" holds: SHA-256 (hex) of the system message followed by the prompt."""
    return hashlib.sha256((system + text).encode("utf-8", "replace")).hexdigest()


def export_replies(store: Store, file: Path) -> int:
    """Write every usable stored reply as a line that replay:FILE answers from; returns how many.

    The file is replaced at once: a kill leaves the old one or the new one.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        problem = "it is a folder" if file.is_dir() else None
    except (FileExistsError, NotADirectoryError):
        problem = "a part of its path is a file"
    if problem:
        raise UsageError("replies cannot be written there", code="export-target", where=str(file),
                         why=problem, hint="name a file, such as replies.jsonl")  # fmt: skip
    n_lines = 0
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as out:
        for row in store.all_replies():
            if row["outcome"] not in ("ok", "repaired"):
                continue
            line = {
                "purpose": row["purpose"], "image": _subject(row), "attribute": row["attribute"],
                "prompt": prompt_sha256(row["system"] or "", row["prompt"]), "model": row["model"],
                "note": row["note"], "text": row["text"],
            }  # fmt: skip
            kept = {key: value for key, value in line.items() if value is not None}
            out.write(json.dumps(kept, ensure_ascii=False) + "\n")
            n_lines += 1
    part.replace(file)
    return n_lines


def _subject(row: dict[str, Any]) -> str | None:
    """The image that a reply belongs to. A model that saw no image answered the prompt alone: whoever asks in
    the same words gets the same reply. A recording answers by the image, whatever the words."""
    saw_none = row["images"] in (None, "[]")
    return None if saw_none and not row["backend"].startswith("replay:") else row["subject"]


def _note(line: _Line) -> str:
    head = f"recorded replies of {line.model}" if line.model else "recorded replies"
    if line.note is None or line.note.startswith("recorded replies"):  # exported from a replayed run
        return line.note or head
    return f"{head}; {line.note}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"the recording cannot be read: {error.strerror}", code="replay-missing",
                            where=str(file), hint="check the file's permissions") from error  # fmt: skip


def _lines(content: bytes, file: Path) -> Iterator[_Line]:
    for number, raw in enumerate(content.splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw.decode("utf-8-sig"))
        except ValueError as error:  # also UnicodeDecodeError
            raise _bad_line(file, number, f"not JSON: {error}") from error
        if problem := _problem(line):
            raise _bad_line(file, number, problem)
        for attribute, text in line.get("answers", {line.get("attribute"): line.get("text")}).items():
            criteria = tuple({**line, "attribute": attribute}.get(name) for name in _CRITERIA)
            yield _Line(criteria, text, line.get("model"), line.get("note"))


def _problem(line: Any) -> str | None:
    if not isinstance(line, dict):
        return "not a JSON object"
    if unknown := sorted(set(line) - _KNOWN):
        # A misspelt criterion would make the line fit everything.
        return f"unknown key {unknown[0]!r}; known: {', '.join(sorted(_KNOWN))}"
    if ("text" in line) == ("answers" in line):
        return 'needs either "text" or "answers"'
    if "answers" in line and "attribute" in line:
        return '"answers" names its attributes itself: leave "attribute" out'
    answers = line.get("answers", {})
    if not isinstance(answers, dict) or not all(isinstance(value, str) for value in answers.values()):
        return '"answers" must be an object of texts'
    wrong = [key for key, value in line.items() if key != "answers" and not isinstance(value, str)]
    return f"{wrong[0]!r} must be a text" if wrong else None


def _bad_line(file: Path, number: int, problem: str) -> SettingsError:
    return SettingsError(
        f"line {number} of {file.name}: {problem}",
        code="replay-line",
        where=f"{file}:{number}",
        hint='a line is like {"image": "<sha256>", "attribute": "wing colour", "text": "brown"}',
    )
