"""discover: which visual attributes tell the classes apart. A model proposes them, or a file brings them.

Finedefics (after FineR) asks a language model that is told what all classes have in common, never their
names. What it proposes lands in attributes.csv, which people edit.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fgvr_kit.backends import parse
from fgvr_kit.backends.base import Request, first_line, open_backend
from fgvr_kit.backends.engine import USABLE, ask
from fgvr_kit.edited import write_csv
from fgvr_kit.errors import BackendError, DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.leaks import NameFinder, finder
from fgvr_kit.pipeline.listed import read_attributes
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import GENERAL, Attribute, Notice, Summary
from fgvr_kit.workspace import ATTRIBUTE_COLUMNS, Workspace

PROMPT = "discover/attributes"
TOKENS_EACH = 80  # of one attribute with its question, generously
MIN_TOKENS = 2048  # thinking models spend most of them before the list begins
MAX_NAME = 40  # characters; a longer "name" is a sentence
MAX_QUESTION = 300
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "attributes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "question": {"type": "string"}},
                "required": ["name", "question"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["attributes"],
    "additionalProperties": False,
}


def discover(
    workspace: Workspace, *, from_file: Path | None = None, replace: bool = False, progress: Progress = SILENT
) -> Summary:
    """Write attributes.csv: proposed by the backend of [discover], or read from a .txt, .csv or .json file.

    An attributes.csv that is there is kept unless replace. Raises DatasetError for a file that cannot be
    read, FgvrError "no-attributes-found" when file or reply hold none that is usable (nothing is written
    then), SettingsError without a backend, and what the backend raises.
    """
    target = workspace.root / "attributes.csv"
    if target.is_file() and not replace:
        return _kept(workspace, from_file)
    made_from = _asked_with(workspace)  # before the work: what is edited meanwhile makes the step stale
    if from_file is not None:
        proposed, most, why = read_attributes(from_file), None, ""
        done: dict[str, Any] = {"from": str(from_file)}
        notes: tuple[str, ...] = ()
        shown: list[str] = []
        n_telling = 0
    else:
        most = workspace.settings.discover.n_attributes
        shown, n_telling = _seeds(workspace)
        proposed, done, notes, why = _propose(workspace, shown, progress)
    attributes, dropped = usable(
        proposed, finder(workspace.classes().values()), workspace.settings.domain.superclass, most=most
    )
    if not attributes:
        raise _none_found(from_file, done, dropped, why)
    write_csv(target, ATTRIBUTE_COLUMNS, ([a.name, a.question, ""] for a in attributes))
    rows = [("attributes", n, reason) for reason, n in dropped.items()]
    rows += [("seeds", n_telling, "naming a class")] if n_telling else []
    done["attributes"] = len(attributes)
    summary = Summary("discover", done, tuple(rows), notes, tuple(_not_shown(workspace, shown)))
    workspace.store.finish("discover", made_from, summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """What the list was asked for with. Raises DatasetError when there is no list: then nothing stands."""
    workspace.attributes()
    return _asked_with(workspace)


def _asked_with(workspace: Workspace) -> str:
    settings = workspace.settings
    return fingerprint(
        "discover", settings.domain.model_dump(), settings.discover.n_attributes, settings.discover.seeds,
        workspace.prompts.hashes([PROMPT]),
    )  # fmt: skip


def _kept(workspace: Workspace, from_file: Path | None) -> Summary:
    """The user's list stands, also against settings that changed since: keeping it is the choice."""
    source = f" --from {from_file}" if from_file else ""
    notice = Notice(
        "attributes.csv is there and was kept; no model was asked",
        code="attributes-kept",
        where=str(workspace.root / "attributes.csv"),
        hint=f"fgvr-kit attributes discover{source} --replace writes it anew",
    )
    done = {"attributes.csv": "kept", "attributes": len(workspace.attributes())}
    summary = Summary("discover", done, notices=(notice,))
    workspace.store.finish("discover", fingerprint_of(workspace), summary)
    return summary


def _seeds(workspace: Workspace) -> tuple[list[str], int]:
    """The seeds to show, and how many are not because they would give a class away."""
    written = [seed for s in workspace.settings.discover.seeds if (seed := " ".join(s.split()))]
    class_names = finder(workspace.classes().values())
    shown = [seed for seed in written if not class_names.find(seed)]
    return shown, len(written) - len(shown)


def _not_shown(workspace: Workspace, seeds: Sequence[str]) -> Iterator[Notice]:
    prompt = workspace.prompts.get(PROMPT)
    if seeds and "seeds" not in prompt.needs:
        yield Notice(
            "the prompt has no place for the seeds: the model was not shown them",
            code="seeds-not-shown",
            where=str(prompt.path),
            hint='add "seeds" to needs and {{ seeds | join("; ") }} to the text, as in the shipped file',
        )


def _propose(
    workspace: Workspace, seeds: Sequence[str], progress: Progress
) -> tuple[list[Attribute], dict[str, Any], tuple[str, ...], str]:
    """What the backend lists, rows and notes of the summary, and the beginning of its words."""
    settings = workspace.settings
    n = settings.discover.n_attributes
    backend = open_backend(settings.discover.backend, settings, workspace.root, key="discover.backend")
    prompt = workspace.prompts.render(PROMPT, **settings.domain.model_dump(), n_attributes=n, seeds=seeds)
    request = Request("discover", prompt, schema=SCHEMA, max_tokens=max(MIN_TOKENS, TOKENS_EACH * n))
    # A reply without a list is of no use to anybody: it is asked for again, not kept.
    asked = ask(
        backend, [request], workspace.store,
        progress=progress, what="discover", retry_failed=True, judge=parse.judge,
    )  # fmt: skip
    if (row := asked.row(request)) is None:
        raise next(iter(asked.errors.values()))
    done = {"backend": backend.spec, "asked now": asked.n_new, "already stored": asked.n_stored}
    notes = (row["note"],) if row["note"] else ()
    proposed = parse.attribute_list(row["text"]) if row["outcome"] in USABLE else []
    why = f"{row['outcome'].replace('_', ' ')}: {first_line(row['text'], 120) or 'an empty reply'}"
    return proposed, done, notes, why


def _none_found(
    from_file: Path | None, done: dict[str, Any], dropped: Counter[str], why: str
) -> DatasetError | BackendError:
    told = "; ".join(f"{n} {reason}" for reason, n in dropped.items())
    if from_file is not None:
        return DatasetError(
            "the file holds no usable attribute",
            code="no-attributes-found",
            where=str(from_file),
            why=told or "it is empty",
            hint="one a line: wing colour: What colour is the wing?",
        )
    return BackendError(
        f"{done['backend']} listed no usable attribute",
        code="no-attributes-found",
        why=told or why,
        hint="try another model, or bring a list: fgvr-kit attributes discover --from FILE",
    )


# --- what is usable ---------------------------------------------------------------------------------------


def usable(
    proposed: Sequence[Attribute], class_names: NameFinder, superclass: str, *, most: int | None = None
) -> tuple[list[Attribute], Counter[str]]:
    """Those that can be asked for, each with a question, and how many were dropped for which reason.

    most: no more than so many.  A question that is missing, endless or names a class is composed anew.
    """
    kept: dict[str, Attribute] = {}
    dropped: Counter[str] = Counter()
    for attribute in proposed:
        name = snake_case(attribute.name)
        if reason := _why_not(name, kept, class_names, most):
            dropped[reason] += 1
            continue
        question = " ".join(attribute.question.split())
        if not question or len(question) > MAX_QUESTION or class_names.find(question):
            question = f"What is the {name.replace('_', ' ')} of the {superclass}?"
        kept[name] = Attribute(name, question)
    return list(kept.values()), dropped


def _why_not(name: str, kept: dict[str, Attribute], class_names: NameFinder, most: int | None) -> str | None:
    if not name:
        return "without a name"
    if len(name) > MAX_NAME:
        return f"named in more than {MAX_NAME} characters"
    if name in kept:
        return "named twice"
    if name == GENERAL:
        return f"called {GENERAL!r}, which is the free description"
    if class_names.find(name):
        return "naming a class"
    if most is not None and len(kept) >= most:
        return "more than were asked for"
    return None


def snake_case(name: str) -> str:
    """'Wing-Colour' -> 'wing_colour'; 'legCount' -> 'leg_count'; a remark in brackets is left out."""
    name = re.sub(r"[(\[{].*?[)\]}]|\(.*", " ", unicodedata.normalize("NFKC", name))
    name = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
