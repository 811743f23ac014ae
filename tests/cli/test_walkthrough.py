from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import tomllib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fgvr_kit import surroundings
from fgvr_kit.cli import walkthrough
from fgvr_kit.cli.questions import QUESTIONS, Question
from fgvr_kit.cli.walkthrough import LATER, may_ask, walk_through
from fgvr_kit.pipeline.init import init
from fgvr_kit.templates import load
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders

BACKENDS = ("discover.backend", "extract.backend", "describe.backend")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ollama, no GPU, no key, no terminal's width."""
    monkeypatch.setattr(surroundings, "ollama_models", lambda *_: None)
    monkeypatch.setattr(surroundings, "gpus", list)
    for name in [n for n in os.environ if n.startswith(("FGVR_DOMAIN", "OPENAI_"))]:
        monkeypatch.delenv(name)


def make(tmp_path: Path, *classes: str) -> Path:
    init(class_folders(tmp_path / "images", dict.fromkeys(classes, 4)), tmp_path)
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path, "bee", "wasp")


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """A workspace whose class names tell nothing."""
    return make(tmp_path, "k1", "k2")


def walk(root: Path, *answers: str, answered: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """(keys written, what was said) when these lines are typed, and Enter from then on."""
    heard = io.StringIO()
    console = Console(file=heard, width=200, force_terminal=False)
    typed = io.StringIO("".join(f"{answer}\n" for answer in answers))
    return walk_through(root, answered, console=console, stream=typed), heard.getvalue()


def setting(root: Path, key: str) -> Any:
    section, _, name = key.partition(".")
    return tomllib.loads((root / "fgvr.toml").read_text(encoding="utf-8"))[section][name]


def test_enter_takes_what_was_guessed_and_the_template_with_it(root: Path) -> None:
    written, said = walk(root)
    template = load("insects-pests")
    assert "2 classes: bee, wasp" in said
    assert written == ["domain.superclass", "domain.unit", "domain.notes"]
    assert {key: setting(root, key) for key in template.settings} == template.settings
    assert (root / "notes.md").is_file()
    assert "kept in fgvr.toml: domain.superclass, domain.unit, domain.notes" in said


def test_every_question_names_what_answers_it_without_asking(root: Path) -> None:
    _, said = walk(root)
    for flag in ("--template", "--superclass", "--unit", "--notes"):
        assert f"[{flag}]" in said
    assert all(question.flag.startswith("--") for question in QUESTIONS)


def test_what_is_typed_wins_over_the_guess_and_over_the_template(root: Path) -> None:
    walk(root, "birds", "woodpecker", 'so-called "breed"', "at a feeder \\ in snow")
    assert setting(root, "domain.superclass") == "woodpecker"
    assert setting(root, "domain.unit") == 'so-called "breed"'
    assert setting(root, "domain.notes") == "at a feeder \\ in snow"
    assert setting(root, "discover.seeds") == load("birds").settings["discover.seeds"]


def test_a_dash_leaves_a_question_open(root: Path) -> None:
    before = (root / "fgvr.toml").read_bytes()
    written, said = walk(root, "-", "-", "-", "-")
    assert written == []
    assert "kept" not in said
    assert (root / "fgvr.toml").read_bytes() == before
    assert not (root / "notes.md").exists()


def test_a_misspelt_template_and_the_list_of_all(root: Path) -> None:
    _, said = walk(root, "insect-pest", "?", "insects-pests")
    assert "did you mean 'insects-pests'?" in said
    assert "  birds: Wild birds, by species" in said
    assert setting(root, "discover.seeds")


def test_what_flags_or_the_file_say_is_not_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = (root / "fgvr.toml").read_text().replace('unit = "class"', 'unit = "caste"')
    (root / "fgvr.toml").write_text(toml)
    monkeypatch.setenv("FGVR_DOMAIN__NOTES", "blurred")
    written, said = walk(root, answered=("domain.superclass", "template"))
    assert written == []
    assert "[--" not in said
    assert setting(root, "domain.superclass") == "object"


def test_where_nothing_is_open_nothing_is_said(root: Path) -> None:
    keys = tuple(question.key for question in QUESTIONS)
    assert walk(root, answered=keys) == ([], "")


def test_a_second_walk_asks_only_what_was_left_open(root: Path) -> None:
    walk(root, "insects-pests", "-", "caste", "-")
    written, said = walk(root, "stinging insect")
    assert "[--unit]" not in said
    assert "[--template]" not in said
    assert "domain.superclass" in written
    assert setting(root, "domain.superclass") == "stinging insect"


def test_without_a_guess_templates_are_only_named(nameless: Path) -> None:
    _, said = walk(nameless)
    assert "--template aircraft|birds|" in said
    assert "[--template]" not in said
    assert setting(nameless, "domain.superclass") == "object"


def test_spending_is_asked_about_only_where_replies_are_paid_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    _, said = walk(root, "-", "-", "-", "-", "openai:gpt-x", "250")
    assert "[--max-calls]" in said
    assert setting(root, "ask.max_calls") == 250
    assert setting(root, "extract.backend") == "openai:gpt-x"


# --- backends -----------------------------------------------------------------------------------------------


def test_without_anybody_to_ask_the_way_out_is_told_and_the_backend_stays_empty(root: Path) -> None:
    _, said = walk(root)
    assert "ollama pull" in said
    assert "[--backend]" not in said
    assert "[--max-calls]" not in said
    assert [setting(root, key) for key in BACKENDS] == ["", "", ""]


def test_a_backend_is_chosen_by_number_for_all_steps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "ollama_models", lambda *_: ["llava:7b", "qwen3-vl:8b"])
    written, said = walk(root, "", "", "", "", "2")
    assert "  2  ollama:qwen3-vl:8b" in said
    assert [setting(root, key) for key in BACKENDS] == ["ollama:qwen3-vl:8b"] * 3
    assert set(BACKENDS) <= set(written)


def test_enter_takes_the_ollama_that_is_running(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "ollama_models", lambda *_: ["llava:7b"])
    walk(root)
    assert setting(root, "extract.backend") == "ollama:llava:7b"


def test_a_step_that_has_a_backend_keeps_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "ollama_models", lambda *_: ["llava:7b"])
    with Workspace(root) as workspace:
        workspace.keep({"describe.backend": "openai:writer"})
    walk(root)
    assert [setting(root, key) for key in BACKENDS] == ["ollama:llava:7b", "ollama:llava:7b", "openai:writer"]


@pytest.mark.parametrize("wrong", ["gpt-4o-mini", "olama:llava", "openai:", "replay:nowhere.jsonl", "7"])
def test_a_backend_that_cannot_be_is_asked_for_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")
    _, said = walk(root, "", "", "", "", wrong, "openai:eyes")
    assert "error: " in said
    assert "hint: " in said
    assert setting(root, "extract.backend") == "openai:eyes"


# --- pictures -----------------------------------------------------------------------------------------------


def record(root: Path, text: str, purpose: str = "guess") -> None:
    (root / "said.jsonl").write_text(json.dumps({"purpose": purpose, "text": text}) + "\n")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something to ask is here, so that the backend is asked for."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")


@pytest.mark.usefixtures("key")
def test_names_that_tell_nothing_are_followed_by_a_look_at_pictures(nameless: Path) -> None:
    record(nameless, '{"superclass": "woodpecker", "unit": "species"}')
    written, said = walk(nameless, "replay:said.jsonl")
    assert "Shall replay:said.jsonl look at 4 training pictures" in said
    assert "replay:said.jsonl suggests: woodpecker" in said
    assert said.count("--backend") == 1
    assert written[:3] == ["extract.backend", "discover.backend", "describe.backend"]
    assert setting(nameless, "domain.superclass") == "woodpecker"
    assert setting(nameless, "discover.seeds") == load("birds").settings["discover.seeds"]


@pytest.mark.usefixtures("key")
def test_pictures_are_not_looked_at_when_nobody_wants_it(nameless: Path) -> None:
    record(nameless, '{"superclass": "woodpecker", "unit": "species"}')
    _, said = walk(nameless, "replay:said.jsonl", "n")
    assert "suggests" not in said
    assert setting(nameless, "domain.superclass") == "object"


@pytest.mark.usefixtures("key")
def test_what_is_paid_by_the_call_is_not_called_by_enter(
    nameless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spend(*_: object) -> None:
        raise AssertionError("this would cost money")

    monkeypatch.setattr("fgvr_kit.pipeline.guess.guess_from_pictures", spend)
    _, said = walk(nameless, "openai:eyes")
    assert "Shall openai:eyes look" in said


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("text", "purpose", "told"),
    [("no idea", "guess", "could not tell"), ("{}", "extract", "no reply for")],
)
def test_a_model_that_fails_does_not_end_the_walk(nameless: Path, text: str, purpose: str, told: str) -> None:
    record(nameless, text, purpose)
    _, said = walk(nameless, "replay:said.jsonl", "", "teapot")
    assert told in said
    assert setting(nameless, "domain.superclass") == "teapot"


# --- odd things ---------------------------------------------------------------------------------------------


def test_questions_are_data_and_answers_get_the_type_of_their_setting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = Question("discover.n_attributes", "How many attributes?", "--set discover.n_attributes=N")
    unknown = Question("ask.no_such_setting", "?", "--none")
    monkeypatch.setattr(walkthrough, "QUESTIONS", (number, unknown))
    written, said = walk(root, "-", "many", "1000", "5")
    assert said.count("error: discover.n_attributes") == 2
    assert "--none" not in said
    assert written == ["discover.n_attributes"]
    assert setting(root, "discover.n_attributes") == 5


def test_names_are_shown_as_they_are_and_cannot_steer_the_terminal(tmp_path: Path) -> None:
    make(tmp_path, "[red]bee", "\x1b[31mwasp", *(f"k{n}" for n in range(20)))
    _, said = walk(tmp_path)
    assert "22 classes: " in said
    assert " and 10 more" in said
    assert "[red]bee" in said
    assert "\x1b" not in said
    assert r"\x1b[31mwasp" in said


def test_control_characters_are_asked_for_again(root: Path) -> None:
    _, said = walk(root, "", "\x1b[A", "stinging insect")
    assert "type it anew" in said
    assert setting(root, "domain.superclass") == "stinging insect"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("yes", "as_json", "stdin", "stderr", "environ", "expected"),
    [
        (False, False, Terminal(), Terminal(), {}, True),
        (True, False, Terminal(), Terminal(), {}, False),
        (False, True, Terminal(), Terminal(), {}, False),
        (False, False, io.StringIO("\n"), Terminal(), {}, False),
        (False, False, Terminal(), io.StringIO("\n"), {}, False),
        (False, False, Terminal(), Terminal(), {"CI": "true"}, False),
    ],
)
def test_only_somebody_at_a_terminal_is_asked(
    yes: bool, as_json: bool, stdin: io.StringIO, stderr: io.StringIO, environ: dict[str, str], expected: bool
) -> None:
    assert may_ask(yes=yes, json=as_json, stdin=stdin, stderr=stderr, environ=environ) is expected


# --- a real terminal ----------------------------------------------------------------------------------------

CODE = """
import sys
from pathlib import Path
from fgvr_kit.cli.walkthrough import may_ask, walk_through
if not may_ask(yes=False, json=False):
    sys.exit("nobody is there")
try:
    print(walk_through(Path.cwd(), {"ask.max_calls"}))
except KeyboardInterrupt:
    sys.exit(130)
"""


class Typist:
    """A person before a pseudo-terminal on which a walk runs; stdout is a pipe, as in `fgvr-kit init > log`."""

    def __init__(self, root: Path) -> None:
        self.mine, theirs = pty.openpty()
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("FGVR_", "OPENAI_", "CI"))}
        environ |= {"OLLAMA_HOST": "127.0.0.1:1", "PATH": str(root), "TERM": "xterm", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE], cwd=root, env=environ, stdin=theirs, stderr=theirs,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            try:
                read = os.read(self.mine, 4096).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                raise AssertionError(f"{text!r} never came after {self.seen!r}") from None
            self.seen = re.sub(r"\x1b\[[0-9;]*m", "", self.seen + read)

    def answer(self, question: str, said: str) -> None:
        """Wait for a question, and type."""
        self.read_until(question)
        self.seen = self.seen.partition(question)[2]
        os.write(self.mine, said.encode())

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.mine)

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out


@pytest.mark.timeout(180)
def test_a_person_at_a_terminal_is_walked_through(root: Path) -> None:
    with Typist(root) as person:
        person.answer("[--template] (insects-pests): ", "\n")
        person.answer("[--superclass] (insect): ", "stinging insect\n")
        person.answer("[--unit] (species): ", "\n")
        person.answer("[--notes] (", "Ärmel und Blüten 🐝\n")
        person.read_until("kept in fgvr.toml")
        assert person.end() == (0, "['domain.superclass', 'domain.unit', 'domain.notes']\n")
    with Workspace(root) as workspace:
        domain = workspace.settings.domain
        assert (domain.superclass, domain.unit) == ("stinging insect", "species")
        assert domain.notes == "Ärmel und Blüten 🐝"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("typed", "code"), [("\x03", 130), ("\x04", 0)], ids=["ctrl-c", "ctrl-d"])
def test_a_walk_that_is_broken_off_keeps_what_was_answered(root: Path, typed: str, code: int) -> None:
    with Typist(root) as person:
        person.answer("[--template] (insects-pests): ", "-\n")
        person.answer("[--superclass] (insect): ", "stinging insect\n")
        person.answer("[--unit] (species): ", typed)
        person.read_until(LATER)
        assert person.end()[0] == code
    with Workspace(root) as workspace:
        assert workspace.settings.domain.superclass == "stinging insect"
        assert workspace.settings.domain.unit == "class"
        assert set(workspace.classes()) == {"bee", "wasp"}
    assert "domain.unit" in walk(root, "-")[0]  # it is asked again
