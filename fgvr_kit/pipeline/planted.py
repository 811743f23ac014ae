"""Names of classes that stand where a model must not read them: in prompts, in questions, in words of [domain].

Finedefics and FineR ask blind: whoever plants a name in a prompt gets it back in every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fgvr_kit.errors import DatasetError, FgvrError
from fgvr_kit.pipeline.leaks import NameFinder, finder
from fgvr_kit.prompts import PromptTemplate
from fgvr_kit.prompts.sandbox import spoken
from fgvr_kit.settings import FILE_NAME
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Planted:
    """A name in a file. where: the file; line: in it, None for a setting; found: the name, folded."""

    where: str
    line: int | None
    found: str
    text: str


def planted_names(workspace: Workspace, prompts: Iterable[str] | None = None) -> list[Planted]:
    """Names, synonyms and plurals of classes in prompt files, attribute questions, options and words of [domain].

    prompts: only these and what they include, such as the two that a step sends; default: all of them. What a
    variable brings into a prompt is no plant there. Raises what a broken prompt or classes.csv raises.
    """
    names = finder(workspace.classes().values(), language=workspace.prompts.words["language"])
    found: dict[tuple[str, int | None, str], Planted] = {}
    for name in workspace.prompts.names() if prompts is None else prompts:
        for plant in in_template(workspace.prompts.get(name), names):
            found.setdefault((plant.where, plant.line, plant.found), plant)
    return [*found.values(), *_in_questions(workspace, names), *_in_words(workspace, names)]


def in_template(template: PromptTemplate, names: NameFinder) -> Iterator[Planted]:
    """As planted_names, of one prompt and its parts."""
    for source in template.sources():
        for line, words in spoken(source.text):
            if name := names.find(words):
                yield Planted(source.where, source.first_line + line - 1, name, words.strip())


def _in_questions(workspace: Workspace, names: NameFinder) -> Iterator[Planted]:
    try:
        attributes = workspace.attributes()
    except DatasetError:  # told by the step that needs them
        return
    for attribute in attributes:
        for text in (attribute.name.replace("_", " "), attribute.question):
            if name := names.find(text):
                yield Planted("attributes.csv", None, name, text)
        for option in attribute.options:
            if name := names.find_in_value(option):
                yield Planted("attributes.csv", None, name, f"option {option!r} of {attribute.name}")


def _in_words(workspace: Workspace, names: NameFinder) -> Iterator[Planted]:
    for key, text in workspace.domain_words().items():
        if name := names.find(text):
            yield Planted(f"{FILE_NAME}, domain.{key}", None, name, text)


# --- lint ---------------------------------------------------------------------------------------------------

WITHOUT_SUPERCLASS = frozenset({"guess/superclass", "mend/reply", "describe/template"})
"""The first asks for it, the second follows a prompt that has it; the third, like all of mine/, is sent to no
language model."""


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: "broken", "planted-name" or "no-superclass"."""

    kind: str
    where: str
    line: int | None
    message: str
    hint: str


def lint(workspace: Workspace, prompts: Iterable[str] | None = None) -> list[Fault]:
    """What is wrong with the prompts in force, without asking anybody. prompts: only these; default: all."""
    wanted = workspace.prompts.names() if prompts is None else list(prompts)
    faults: list[Fault] = []
    whole: list[PromptTemplate] = []
    for name in wanted:
        try:
            whole.append(workspace.prompts.get(name))
        except FgvrError as error:
            faults.append(Fault("broken", error.where or name, None, error.message, error.hint))
    faults += [fault for t in whole for fault in _not_given(workspace, t)]
    faults += [_no_superclass(t) for t in whole if _lacks_superclass(t)]
    return faults + [_of(plant) for plant in planted_names(workspace, [t.name for t in whole])]


def _not_given(workspace: Workspace, template: PromptTemplate) -> Iterator[Fault]:
    given = workspace.prompts.given(template.name)
    for name in template.needs:
        if given and name not in given and name not in template.words:
            told = f"prompt {template.name} needs {name!r}, which its step does not give"
            yield Fault("broken", str(template.path), None, told, f"it may use: {', '.join(given)}")


def _lacks_superclass(template: PromptTemplate) -> bool:
    is_asked_for = template.name not in WITHOUT_SUPERCLASS and not template.name.startswith("mine/")
    return is_asked_for and "superclass" not in template.uses


def _no_superclass(template: PromptTemplate) -> Fault:
    return Fault(
        "no-superclass",
        str(template.path),
        None,
        f"prompt {template.name} does not say what is in the picture",
        'write {{ superclass }} into the text and "superclass" into needs',
    )


def _of(plant: Planted) -> Fault:
    return Fault(
        "planted-name",
        plant.where,
        plant.line,
        f"{plant.found!r} is the name of a class: {plant.text[:80]}",
        "say what is seen instead of what it is called; a name comes back in every answer",
    )
