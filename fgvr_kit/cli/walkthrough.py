"""The walk-through: what `init` cannot know is asked on a terminal; off one, flags and fgvr.toml say it.

Asked is only what still stands at its default in fgvr.toml. Each answer is written there at once, so a walk
that is broken off loses nothing, and the next `init` goes on with what is open.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fgvr_kit.cli.offers import Offer, backends_here, domain_here
from fgvr_kit.cli.questions import (
    BACKEND,
    QUESTIONS,
    SUPERCLASS,
    Question,
    default_of,
    is_open,
    is_paid_for,
    value_at,
)
from fgvr_kit.errors import FgvrError
from fgvr_kit.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console

    from fgvr_kit.pipeline.guess import Guess
    from fgvr_kit.settings import Settings
    from fgvr_kit.templates import Template

N_PICTURES = 4
"""Training pictures that a model is shown for a guess."""
MOST_NAMES = 12
"""Class names that are told before the first question."""
LATER = "The workspace can be used as it is; `fgvr-kit init` asks again for what is open."
TEMPLATE = "template"
"""What stands in `answered` when --template was given: it is no setting."""


def may_ask(
    *,
    yes: bool,
    json: bool,
    stdin: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> bool:
    """Whether somebody is there who can answer: a terminal at both ends, no CI, neither --yes nor --json."""
    ends = (stdin or sys.stdin, stderr or sys.stderr)
    is_ci = bool((os.environ if environ is None else environ).get("CI"))
    return not (yes or json or is_ci) and all(end is not None and end.isatty() for end in ends)


def walk_through(
    root: Path,
    answered: Collection[str] = (),
    *,
    console: Console | None = None,
    stream: TextIO | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """Ask what is open in the workspace at root, and write the answers; returns the keys that were written.

    answered: "section.key" of settings that flags gave, and "template" where --template did.  console: where
    questions appear, stderr if None.  stream: where answers come from, the terminal if None.
    Ctrl-D ends it early. Ctrl-C does, too, and is raised again; what was answered is kept.
    """
    from rich.console import Console as RichConsole

    voice = console or RichConsole(stderr=True, highlight=False)
    walk = _Walk(root, answered, voice, stream=stream, progress=progress)
    try:
        walk.go()
    except (EOFError, KeyboardInterrupt) as stop:
        walk.say(f"\n{LATER}")
        if isinstance(stop, KeyboardInterrupt):
            raise
    if walk.written:
        walk.say("kept in fgvr.toml: " + ", ".join(walk.written))
    return walk.written


class _Walk:
    """One walk. closed: keys that are not asked (any more).  written: keys that are in fgvr.toml now."""

    def __init__(
        self, root: Path, answered: Collection[str], console: Console, *, stream: TextIO | None, progress: Progress
    ) -> None:  # fmt: skip
        self.root, self.console, self.stream, self.progress = root, console, stream, progress
        self.closed = set(answered)
        self.written: list[str] = []

    def go(self) -> None:
        from fgvr_kit import templates
        from fgvr_kit.pipeline.guess import guess_from_names

        if not any(self._is_open(question.key) for question in QUESTIONS):
            return
        guess = guess_from_names(self._introduce(), templates.load_all())
        backends = backends_here(self._settings()) if self._is_open(BACKEND.key) else Offer(is_asked=False)
        if self._is_open(SUPERCLASS.key) and not (guess and guess.superclass):
            if backends.is_asked:
                self._ask(BACKEND, backends)
            guess = self._from_pictures() or guess
        template = self._template(guess)
        for question in QUESTIONS:
            offer = backends if question is BACKEND else domain_here(question.key, guess, template)
            self._ask(question, offer)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    # --- the parts of the walk ------------------------------------------------------------------------------

    def _introduce(self) -> list[str]:
        """Tell what there is to name; returns the names of the classes."""
        from fgvr_kit.workspace import Workspace

        with Workspace(self.root) as workspace:
            names = [c.display_name for c in workspace.class_rows()]
        shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:MOST_NAMES])
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        self.say(f"\n{len(names)} classes: {shown}{more}")
        self.say("A few questions. Enter takes what stands in brackets; - leaves a question open.")
        return names

    def _from_pictures(self) -> Guess | None:
        from fgvr_kit.pipeline.guess import guess_from_pictures
        from fgvr_kit.workspace import Workspace

        with Workspace(self.root) as workspace:
            spec = workspace.settings.extract.backend
            if not spec:
                return None
            is_paid = is_paid_for(spec)  # to somebody else's computer, too: Enter sends nothing there
            price = "one call, which sends them there" if is_paid else "one call"
            text = f"Shall {spec} look at {N_PICTURES} training pictures and suggest an answer ({price})?"
            if self._read(text, SUPERCLASS.flag, "no" if is_paid else "yes").casefold() not in ("y", "yes"):
                return None
            try:
                guess = guess_from_pictures(workspace, spec, N_PICTURES, self.progress)
            except FgvrError as error:
                self._problem(error)
                return None
        self.say(f"{spec} suggests: {guess.superclass}" if guess else f"{spec} could not tell.")
        return guess

    def _template(self, guess: Guess | None) -> Template | None:
        """Offer the template that was guessed, and apply it; the questions of [domain] are still asked."""
        from fgvr_kit import templates

        if TEMPLATE in self.closed or not self._is_open("discover.seeds"):
            return None
        if guess is None or guess.template is None:
            self.say(f"Domains with a template: fgvr-kit init --template {'|'.join(templates.names())}")
            return None
        self.say(f"{guess.template}: {templates.load(guess.template).about} ({guess.why}).")
        template = self._chosen_template(guess.template)
        if template is not None:
            asked = {question.key for question in QUESTIONS}
            for label, value in templates.apply(template, self.root, asked | self.closed).done.items():
                self.say(f"  {label}: {value}")
        return template

    def _chosen_template(self, default: str) -> Template | None:
        from fgvr_kit import templates

        while (said := self._read("Start from which template (? lists them)?", "--template", default)) != "-":
            if said == "?":
                self.say(
                    "\n".join(f"  {template.name}: {template.about}" for template in templates.load_all())
                )
                continue
            try:
                return templates.load(said)
            except FgvrError as error:
                self._problem(error)
        return None

    # --- one question ---------------------------------------------------------------------------------------

    def _ask(self, question: Question, offer: Offer) -> None:
        """Ask until the answer is valid or none is wanted, and write it."""
        if not self._is_open(question.key):
            return
        self.closed.add(question.key)
        for line in (*offer.remarks, *(f"  {n}  {choice}" for n, choice in enumerate(offer.choices, 1))):
            self.say(line)
        while offer.is_asked and (said := self._read(question.text, question.flag, offer.default)) not in (
            "",
            "-",
        ):
            if said.isdigit() and 0 < int(said) <= len(offer.choices):
                said = offer.choices[int(said) - 1]
            try:
                value = self._value(question.key, said)
            except FgvrError as error:
                self._problem(error)
                continue
            self._keep(question, value)
            return

    def _read(self, text: str, flag: str, default: str) -> str:
        """What is typed, on one line; `default` for nothing."""
        from rich.prompt import Prompt
        from rich.text import Text

        prompt = Text(text).append(f" [{flag}]", style="dim")
        if default:
            prompt.append(f" ({default})", style="prompt.default")
        while True:
            try:
                # The default is ours: rich takes an empty line of a stream for an answer.
                said = Prompt.ask(prompt, console=self.console, stream=self.stream).strip()
            except UnicodeDecodeError:
                said = "\0"
            if said.isprintable():
                return said or default
            self.say("That holds characters that cannot be kept; type it anew.")

    def _value(self, key: str, said: str) -> Any:
        """The answer as the setting's type. Raises FgvrError for one that the setting does not take."""
        from fgvr_kit.backends.base import open_backend
        from fgvr_kit.settings import load

        if key.endswith(".backend"):
            open_backend(said, self._settings(), self.root, key=key)
        literal = json.dumps(said, ensure_ascii=False) if isinstance(default_of(key), str) else said
        return value_at(load(None, [f"{key}={literal}"], environ={}), key)

    def _keep(self, question: Question, value: Any) -> None:
        from fgvr_kit.workspace import Workspace

        keys = [question.key, *(key for key in question.also if self._is_open(key))]
        with Workspace(self.root) as workspace:
            self.written += workspace.keep(dict.fromkeys(keys, value))

    def _problem(self, error: FgvrError) -> None:
        self.say("\n".join(f"  {word}: {text}" for word, text in error.lines()))

    def _is_open(self, key: str) -> bool:
        """Whether a setting is not closed, and is in force with its default."""
        return key not in self.closed and is_open(self._settings(), key)

    def _settings(self) -> Settings:
        from fgvr_kit.settings import FILE_NAME, load

        return load(self.root / FILE_NAME)
