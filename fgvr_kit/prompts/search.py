"""Which file is in force for a prompt: the workspace's own, the one of the domain's template, or the shipped one."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fgvr_kit import shipped
from fgvr_kit.errors import PromptError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.prompts.front_matter import read
from fgvr_kit.prompts.sandbox import Part, Source, included
from fgvr_kit.prompts.template import Prompt, PromptTemplate
from fgvr_kit.settings import DomainSettings

Origin = Literal["workspace", "template", "shipped", "file"]
PARTS = "parts"
"""The folder of files that prompts include; none of them is a prompt."""

_NAME = re.compile(r"[\w-]+/[\w-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of prompts. label: for people, "template birds"."""

    origin: Origin
    folder: Path
    label: str


class Prompts:
    """The prompt files in force: folders are searched in order, the shipped one last."""

    def __init__(
        self, own_folder: Path | None = None, *, template: str = "", words: Mapping[str, str] | None = None
    ) -> None:
        """own_folder: the workspace's prompts/.  template: name of a domain's template, "" for none.

        words: those of [domain], which every prompt is given; default: those of a fresh fgvr.toml.
        """
        self.own_folder = own_folder
        self.words = dict(DomainSettings().words() if words is None else words)
        self.places: list[Place] = [Place("workspace", own_folder, "workspace")] if own_folder else []
        if template:
            folder = shipped.folder("templates") / "domains" / template / "prompts"
            self.places.append(Place("template", folder, f"template {template}"))
        self.places.append(Place("shipped", shipped.folder("prompts"), "shipped"))

    def names(self) -> list[str]:
        return sorted({name for place in self.places for name in _names_in(place.folder)})

    def parts(self) -> list[str]:
        """The files that can be included, as "parts/NAME.md"."""
        return sorted(
            {f"{PARTS}/{file.name}" for p in self.places for file in p.folder.glob(f"{PARTS}/*.md")}
        )

    def get(self, name: str) -> PromptTemplate:
        """The prompt "extract/general", or the one in a file: "drafts/general-2.md".

        Raises PromptError when there is none, or when it cannot be rendered whatever it is given.
        """
        return self.parse(*self._found(name))

    def _found(self, name: str) -> tuple[str, Path]:
        if found := self.find(name):
            return found
        raise self._missing(name)

    def find(self, name: str) -> tuple[str, Path] | None:
        """(name, file in force) of a prompt, or of a file by its path."""
        bare = name.removesuffix(".md")
        if _NAME.fullmatch(bare) and not bare.startswith(f"{PARTS}/"):
            for place in self.places:
                if (path := place.folder / f"{bare}.md").is_file():
                    return bare, path
        path = Path(name)
        if path.suffix == ".md" and path.is_file():
            return self._name_of(path), path
        return None

    def origin(self, path: Path) -> Place:
        """The folder that a file of a prompt lies in."""
        inside = (p for p in self.places if path.resolve().is_relative_to(p.folder.resolve()))
        return next(inside, Place("file", path.parent, "file"))

    def beneath(self, name: str) -> Path | None:
        """The file that would be used if the workspace had none of its own."""
        files = (p.folder / f"{name}.md" for p in self.places if p.origin != "workspace")
        return next((file for file in files if file.is_file()), None)

    def parse(self, name: str, path: Path) -> PromptTemplate:
        """As `get`, of a file that need not be the one in force."""
        written = read(name, path)
        template = PromptTemplate(
            name=name, path=path, about=written.said("about"), needs=written.needs, answer=written.said("answer"),
            source=written.said("source"), system=written.said("system"), body=written.text,
            first_line=written.first_line, words=self.words,
        )  # fmt: skip
        parts = tuple(self._closure(template))
        needs = dict.fromkeys([*template.needs, *(need for part in parts for need in part.needs)])
        template = replace(template, parts=parts, needs=tuple(needs))
        template.check(self.given(name))
        return template

    def given(self, name: str) -> tuple[str, ...]:
        """What its step gives a prompt: what the file beneath the workspace's own needs."""
        beneath = self.beneath(name)
        return read(name, beneath).needs if beneath else ()

    def render(self, name: str, /, **variables: Any) -> Prompt:
        return self.get(name).render(**variables)

    def hashes(self, names: Sequence[str]) -> dict[str, str]:
        """name -> hash of its files and of the words of [domain] that stand in it; for fingerprints."""
        templates = {name: self.get(name) for name in names}
        return {name: fingerprint(t.hash, t.words_used) for name, t in templates.items()}

    def known(self, name: str) -> str:
        """The name of a prompt in force, as it is written in replies. Raises PromptError "prompt-missing"."""
        return self._found(name)[0]

    def file(self, name: str) -> Path:
        """The file in force, whatever stands in it. Raises PromptError "prompt-missing"."""
        return self._found(name)[1]

    def is_own(self, name: str) -> bool:
        return self.own_folder is not None and (self.own_folder / f"{name}.md").exists()

    def refuse_eject(self, name: str, *, force: bool = False) -> None:
        """Raise what `eject` would raise."""
        bare = name.removesuffix(".md")
        if self.beneath(bare) is None:
            raise self._missing(name)
        if self.is_own(bare) and not force:
            raise PromptError(
                f"the workspace has its own {bare}",
                code="prompt-own",
                where=str(self.own_folder),
                hint=f"fgvr-kit prompts diff {bare} shows what is changed; --force throws that away",
            )

    def eject(self, name: str, *, force: bool = False) -> Path:
        """Copy the file beneath the workspace's own into its prompts/, to be edited there; returns the copy.

        Raises PromptError "prompt-missing", and "prompt-own" when the workspace has one already, unless force.
        """
        if self.own_folder is None:
            raise ValueError("these prompts belong to no workspace")
        self.refuse_eject(name, force=force)
        bare = name.removesuffix(".md")
        source, target = self.beneath(bare), self.own_folder / f"{bare}.md"
        assert source is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def _name_of(self, path: Path) -> str:
        place = self.origin(path)
        if place.origin != "file":
            return path.resolve().relative_to(place.folder.resolve()).with_suffix("").as_posix()
        return path.as_posix()

    def _closure(self, template: PromptTemplate) -> Iterator[Part]:
        """The parts that a prompt includes, and those that they include; each once."""
        waiting: list[tuple[Source, tuple[str, ...]]] = [(source, ()) for source in template.sources()]
        seen: dict[str, Part] = {}
        while waiting:
            source, within = waiting.pop(0)
            for name in included(template.name, source):
                if name in within:
                    raise self._circle(template, source, name)
                if name not in seen:
                    seen[name] = self._part(template, source, name)
                    yield seen[name]
                part = seen[name]
                waiting.append((Source(str(part.path), part.text, part.first_line), (*within, name)))

    def _part(self, template: PromptTemplate, source: Source, name: str) -> Part:
        is_inside = not any(step in ("", ".", "..") for step in name.split("/"))
        for place in self.places if is_inside else ():
            if (path := place.folder / name).is_file():
                written = read(name, path, is_part=True)
                return Part(name, path, written.text, written.needs, written.first_line)
        known = self.parts()
        close = difflib.get_close_matches(name, known, n=1)
        usual = f'put it into {self.places[0].folder / PARTS}/ and write {{% include "{PARTS}/NAME.md" %}}'
        raise PromptError(
            f"prompt {template.name} includes {name!r}, which is not there",
            code="prompt-include",
            where=source.where,
            hint=f"did you mean {close[0]!r}?" if close else usual,
        )

    def _circle(self, template: PromptTemplate, source: Source, name: str) -> PromptError:
        return PromptError(
            f"prompt {template.name} includes {name!r} from within itself",
            code="prompt-include",
            where=source.where,
            hint="take that include out",
        )

    def _missing(self, name: str) -> PromptError:
        close = difflib.get_close_matches(name.removesuffix(".md"), self.names(), n=1)
        ends = [known for known in self.names() if known.partition("/")[2] == name]
        offer = ends or close
        return PromptError(
            f"there is no prompt {name!r}",
            code="prompt-missing",
            where=str(self.places[0].folder),
            hint=f"did you mean {offer[0]!r}?" if offer else f"known: {', '.join(self.names())}",
        )


def _names_in(folder: Path) -> Iterator[str]:
    for file in folder.glob("*/*.md"):
        if file.parent.name != PARTS:
            yield file.relative_to(folder).with_suffix("").as_posix()
