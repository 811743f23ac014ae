"""Keys of providers: where one comes from, how it is kept, and how it stays out of what is shown.

A key comes from the environment, or from `.env` in the workspace; never from fgvr.toml. Whatever was found
once is hidden from then on, wherever `hide` is called.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fgvr_kit.errors import SettingsError, UsageError

FILE_NAME = ".env"
_SHORTEST = 8
"""Letters of a secret. Servers of one's own are given "none" or "EMPTY", and those are words of replies too."""

_LIKE_A_KEY = re.compile(
    r"\b(?:sk|gsk|xai|pplx|nvapi|r8)[-_][\w*.\-]{7,}[\w*\-]"  # OpenAI (sk-, sk-proj-), Groq, xAI, ...
    r"|\bhf_[A-Za-z0-9*]{12,}"  # Hugging Face; hf_hub_download is a function
    r"|\bAIza[\w*.\-]{16,}[\w*\-]"  # Google
    r"|\bgh[opsu]_\w{16,}|\bgithub_pat_\w{16,}"
)
_CALLED_A_KEY = re.compile(  # `api-key: 0a1b...`, as Azure has them, and `Authorization: Bearer ...`
    r"""(\bbearer\s+|\bapi[-_ ]?key["']?\s*[:=]\s*["']?)([\w\-.*~+/=]{8,})""", re.IGNORECASE
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_found: set[str] = set()


@dataclass(frozen=True, slots=True)
class Key:
    """A key and where it stands, in words: "the environment" or the path of a file."""

    value: str = field(repr=False)
    source: str


def find(name: str, folder: Path, environ: Mapping[str, str] | None = None) -> Key | None:
    """The key that the variable `name` holds, from the environment or else from folder/.env.

    Raises SettingsError when there is one that cannot be a key (code "key-malformed"), or when .env cannot be
    read ("env-unreadable").
    """
    said = (os.environ if environ is None else environ).get(name, "").strip()
    key = Key(said, "the environment") if said else None
    if key is None and (said := _in_file(folder / FILE_NAME).get(name, "").strip()):
        key = Key(said, str(folder / FILE_NAME))
    if key is None:
        return None
    _check(name, key.value, key.source)
    _found.add(key.value)
    return key


def source(name: str, folder: Path, environ: Mapping[str, str] | None = None) -> str | None:
    """Where the key comes from, in words, without the key; None when there is none. Raises like `find`."""
    key = find(name, folder, environ)
    return key.source if key else None


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """text with "[key]" in place of secrets, of every key that was found, and of what looks like one."""
    for secret in sorted({*secrets, *_found}, key=len, reverse=True):  # one may begin like another
        if is_secret(secret):
            text = text.replace(secret, "[key]")
    return _CALLED_A_KEY.sub(r"\1[key]", _LIKE_A_KEY.sub("[key]", text))


def is_secret(value: str) -> bool:
    """Whether it is long enough to be one, and not the word that a server without keys is given."""
    return len(value) >= _SHORTEST


class HidesKeys(logging.Filter):
    """For a handler: what it writes went through `hide`, tracebacks too."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = hide(record.exc_text) if record.exc_text else record.exc_text
        record.stack_info = hide(record.stack_info) if record.stack_info else record.stack_info
        return True


def prompt(name: str) -> str:
    """The key as it is typed, unseen. Raises UsageError where nobody can type (code "no-terminal")."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(f"{name} cannot be asked for: this is no terminal", code="no-terminal",
                         hint=f"export {name}=..., or a line {name}=... in {FILE_NAME}")  # fmt: skip
    value = getpass.getpass(f"{name} (not shown): ").strip()
    _check(name, value, "what was typed")
    _found.add(value)
    return value


def keep(name: str, value: str, folder: Path) -> Path:
    """Write name=value into folder/.env, which only its owner can read; its other lines stay.

    Where git could take the file up, folder/.gitignore names it first. Raises UsageError when git has it
    already (code "env-tracked") or cannot say ("env-git"), SettingsError for a value that is no key.
    """
    import dotenv

    assert _NAME.fullmatch(name), f"{name!r} is no name of a variable"
    _check(name, value, "what was given")
    path = folder / FILE_NAME
    _in_file(path)
    _keep_from_git(folder)
    # It is made private before anything stands in it, and is replaced at once by a file like it.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    path.chmod(0o600)
    dotenv.set_key(path, name, value, quote_mode="auto", encoding="utf-8")
    _found.add(value)
    return path


def _in_file(path: Path) -> dict[str, str]:
    import dotenv

    try:
        if not path.is_file():
            return {}
        # A "$" in a key is a "$". Notepad begins files with a mark.
        lines = dotenv.dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise SettingsError(f"{FILE_NAME} cannot be read", code="env-unreadable", where=str(path), why=why,
                            hint="one line a key: OPENAI_API_KEY=..., saved as UTF-8") from None  # fmt: skip
    return {name: value for name, value in lines.items() if value}


def _check(name: str, value: str, where: str) -> None:
    """A key goes into a header: no blanks, and nothing but ASCII."""
    if value and value.isascii() and value.isprintable() and " " not in value:
        return
    why = "it is empty" if not value else "there is a blank or a letter in it that no key has"
    raise SettingsError(f"what {name} holds is no key", code="key-malformed", where=where, why=why,
                        hint="copy it again, without quotes or line breaks around it")  # fmt: skip


def _keep_from_git(folder: Path) -> None:
    if not any((above / ".git").exists() for above in (folder.resolve(), *folder.resolve().parents)):
        return
    if _git(folder, "ls-files", "--error-unmatch", FILE_NAME) == 0:
        raise UsageError(
            f"{FILE_NAME} stands under version control: a key in it would be published",
            code="env-tracked", where=str(folder / FILE_NAME),
            hint=f"git rm --cached {FILE_NAME}, commit that, and say it again",
        )  # fmt: skip
    if _git(folder, "check-ignore", "--quiet", FILE_NAME) != 0:
        listed = folder / ".gitignore"
        before = listed.read_text(encoding="utf-8") if listed.is_file() else ""
        gap = "" if not before or before.endswith("\n") else "\n"
        listed.write_text(f"{before}{gap}/{FILE_NAME}\n", encoding="utf-8")


def _git(folder: Path, *args: str) -> int:
    """0: yes, 1: no."""
    try:
        said = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True, text=True, errors="replace", timeout=30, check=False,
        )  # fmt: skip
        code, why = said.returncode, said.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        code, why = -1, str(error)
    if code not in (0, 1):
        raise UsageError(
            f"git does not say whether {FILE_NAME} would be published", code="env-git", where=str(folder),
            why=" ".join(why.split())[:300] or None,
            hint="git status there tells more; or export the key instead of keeping it",
        )  # fmt: skip
    return code
