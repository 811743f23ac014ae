"""Starting points for a domain: templates/domains/NAME/ with settings, prompts of its own, and notes for the person.

`load` reads one, `apply` puts it into a workspace without touching what a person has changed there.
"""

from __future__ import annotations

import difflib
import json
import shutil
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit import shipped
from fgvr_kit.errors import SettingsError, UsageError
from fgvr_kit.settings import FILE_NAME
from fgvr_kit.types import Notice, Summary
from fgvr_kit.workspace import Workspace

NOTES = "notes.md"
"""Where a template's NOTES.md lands in a workspace."""

Value = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True)
class Template:
    """A folder of templates/domains/.

    about: one line.  settings: "section.key" -> value, valid as in fgvr.toml.  words: nouns, in the singular, by
    which class names of this domain are recognised.  kinds: whether a class is a kind of the superclass (a stag
    beetle is a beetle); False where it is a state or a value (blight, 10 cent).
    """

    name: str
    about: str
    settings: Mapping[str, Value]
    words: tuple[str, ...]
    kinds: bool
    folder: Path

    @property
    def prompts(self) -> Path:
        """Prompt files that replace the shipped ones; there may be none, and no such folder."""
        return self.folder / "prompts"

    @property
    def notes(self) -> Path:
        """What a person should know of the domain; nothing of it is sent to a model."""
        return self.folder / "NOTES.md"

    def said(self, key: str) -> str:
        """A setting as text, "" where the template leaves it alone."""
        return str(self.settings.get(key, ""))


def names() -> list[str]:
    """The shipped templates, sorted."""
    return sorted(file.parent.name for file in _folder().glob("*/template.toml"))


def load(name: str) -> Template:
    """A template by name ("birds"; case, spaces and underscores do not matter).

    Raises UsageError "unknown-template" with the closest known name and what there is, SettingsError when its
    settings are not valid.
    """
    known = names()
    wanted = "-".join(name.replace("_", " ").replace("-", " ").casefold().split())
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
        listed = "".join(f"\n  {template.name}: {template.about}" for template in load_all())
        raise UsageError(
            f"there is no template {name!r}",
            code="unknown-template",
            why=f"there are:{listed}",
            hint=f"did you mean {close[0]!r}?" if close else "'generic' fits any domain",
        )
    return _read(_folder() / wanted)


def load_all() -> list[Template]:
    return [_read(_folder() / name) for name in names()]


def apply(template: Template, root: Path, leave: Collection[str] = ()) -> Summary:
    """Put a template into the workspace at root, once or again; what a person has changed there stays.

    A setting is written where fgvr.toml still has its default, but for the keys in `leave`; so is domain.template,
    by which the template's prompts are found. The notes become notes.md where there is none.
    The summary tells what was done, and in a notice what was not. Raises WorkspaceError when root is none.
    """
    wanted = {key: value for key, value in template.settings.items() if key not in leave}
    wanted["domain.template"] = template.name
    with Workspace.find(root) as workspace:
        written = workspace.keep({key: _as_toml(value) for key, value in wanted.items()})
    file = tomllib.loads((root / FILE_NAME).read_text(encoding="utf-8-sig"))
    kept = [key for key, value in wanted.items() if _at(file, key) != value]
    replaced, own = _prompts(template, root)
    done: dict[str, Any] = {"template": template.name}
    done |= {"settings written": ", ".join(written)} if written else {}
    if replaced and "domain.template" in written:
        done["prompts replaced"] = ", ".join(replaced)
    if not (root / NOTES).exists():
        shutil.copyfile(template.notes, root / NOTES)
        done["notes for you"] = NOTES
    return Summary("template", done, notices=_kept(template, root, kept, own))


def _folder() -> Path:
    return shipped.folder("templates") / "domains"


def _read(folder: Path) -> Template:
    file = folder / "template.toml"
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    about, words, kinds = (document.pop(key) for key in ("about", "words", "kinds"))
    settings = {f"{section}.{key}": v for section, values in document.items() for key, v in values.items()}
    _validate(settings, file)
    return Template(folder.name, about, settings, tuple(words), kinds, folder)


def _validate(settings: Mapping[str, Value], file: Path) -> None:
    pairs = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    try:
        settings_module.load(None, pairs, environ={})
    except SettingsError as error:
        raise SettingsError(error.message, code=error.code, where=str(file), hint=error.hint) from error


def _as_toml(value: Value) -> Any:
    """A list stands on several lines, so that people can edit it."""
    import tomlkit

    if not isinstance(value, list):
        return value
    array = tomlkit.array()
    array.extend(value)
    return array.multiline(True)


def _at(document: Mapping[str, Any], key: str) -> Any:
    section, _, name = key.partition(".")
    return document.get(section, {}).get(name)


def _prompts(template: Template, root: Path) -> tuple[list[str], list[str]]:
    """(those of the template, those before which the workspace's own file stands), as "extract/general"."""
    files = {
        file.relative_to(template.prompts).with_suffix("").as_posix(): file
        for file in sorted(template.prompts.glob("*/*.md"))
    }
    own = [name for name, file in files.items() if _differs(root / "prompts" / f"{name}.md", file)]
    return [name for name in files if name not in own], own


def _differs(own: Path, file: Path) -> bool:
    return own.is_file() and own.read_bytes() != file.read_bytes()


def _kept(template: Template, root: Path, settings: list[str], prompts: list[str]) -> tuple[Notice, ...]:
    if not settings and not prompts:
        return ()
    notice = Notice(
        f"left as you have it: {', '.join([*settings, *prompts])}",
        code="template-kept",
        where=str(root),
        why=f"the template {template.name} says something else there, and never writes over what a person has said",
        hint=f"to have it as the template says, copy it from {template.folder}"
        + ("; fgvr-kit prompts diff NAME compares" if prompts else ""),
    )
    return (notice,)
