"""discover: which visual attributes tell the classes apart. A model proposes them, or a file brings them.

Finedefics (after FineR) asks a language model that is told what all classes have in common, never their names. Here
several replies are pooled, for each superclass where there are several. The list lands in attributes.csv, which
people edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

from fgvr_kit.backends.base import Backend, open_backend
from fgvr_kit.dataset.attributes import write_attributes
from fgvr_kit.errors import BackendError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.discover.brought import added, taken_over
from fgvr_kit.pipeline.discover.pooled import Entry, entries_of, meaning_in, pool
from fgvr_kit.pipeline.discover.proposed import Sieve
from fgvr_kit.pipeline.discover.proposing import (
    PROMPT,
    Replies,
    ask_for_lists,
    merge_by_model,
    parents_of,
    prompts_used,
    requests_for,
    seeds_of,
)
from fgvr_kit.pipeline.extract import told
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.pipeline.unanswered import notices_of
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import DiscoverSettings
from fgvr_kit.types import Attribute, Notice, Summary
from fgvr_kit.workspace import Workspace

__all__ = ["PROMPT", "discover", "fingerprint_of", "prompts_used", "requests_for"]


def discover(
    workspace: Workspace,
    *,
    from_file: Path | None = None,
    add: Path | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Summary:
    """Write attributes.csv: proposed by the backend of [discover], or read from a .txt, .csv or .json file.

    An attributes.csv that is there is kept unless replace.  add: a file whose attributes are put behind those that
    are there; their rows stay as they are.  Raises DatasetError for a file that cannot be read, FgvrError
    "no-attributes-found" when file or reply hold none that is usable (nothing is written then), SettingsError
    without a backend, and what the backend raises.
    """
    target = workspace.root / "attributes.csv"
    if target.is_file() and not replace and add is None:
        return _kept(workspace, from_file)
    made_from = _asked_with(workspace)  # before the work: what is edited meanwhile makes the step stale
    before = target.read_bytes() if target.is_file() and add is None else None
    if add is not None and target.is_file():
        summary = added(workspace, _sieve(workspace), add, target)
        made_from = fingerprint_of(workspace)
    elif (file := from_file or add) is not None:
        summary = taken_over(workspace, _sieve(workspace), file, target)
    else:
        settings = workspace.settings
        backend = open_backend(settings.discover.backend, settings, workspace.root, key="discover.backend")
        summary = _proposed(workspace, backend, target, progress)
    if before is not None and before != target.read_bytes():
        summary = _keeping(before, target, summary)
    workspace.store.finish("discover", made_from, summary)
    return summary


def _keeping(before: bytes, target: Path, summary: Summary) -> Summary:
    """The list that was replaced stays beside the new one: people have worked on it."""
    old = target.with_name("attributes.old.csv")
    old.write_bytes(before)
    notice = Notice(
        "the list that was there is kept",
        code="attributes-replaced",
        where=str(old),
        hint="its rows can be copied back; stored replies to them are still there",
    )
    return replace_fields(summary, notices=(*summary.notices, notice))


def fingerprint_of(workspace: Workspace) -> str:
    """What the list was asked for with. Raises DatasetError when there is no list: then nothing stands."""
    workspace.attributes()
    return _asked_with(workspace)


def _asked_with(workspace: Workspace) -> str:
    settings = workspace.settings
    parts: list[Any] = [
        "discover", settings.domain.superclass, settings.discover.n_attributes, settings.discover.seeds,
        workspace.prompts.hashes(prompts_used(workspace)),
    ]  # fmt: skip
    # What is new stands here only where it is changed: a workspace of before is not stale because of it.
    own = settings.discover.model_dump(include={"samples", "temperature", "merge"})
    if own != DiscoverSettings().model_dump(include=set(own)):
        parts.append(own)
    if parents := parents_of(workspace):
        parts.append(parents)
    return fingerprint(*parts)


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


def _sieve(workspace: Workspace) -> Sieve:
    meaning = meaning_in(workspace.prompts.words["language"])
    return Sieve(
        finder(workspace.classes().values(), language=workspace.prompts.words["language"]),
        workspace.settings.domain.superclass,
        meaning,
    )


# --- lists that a model proposes --------------------------------------------------------------------------------


def _proposed(workspace: Workspace, backend: Backend, target: Path, progress: Progress) -> Summary:
    sieve = _sieve(workspace)
    replies = ask_for_lists(workspace, backend, sieve, progress)
    pooled = {parent: pool(lists, sieve.meaning) for parent, lists in replies.lists.items()}
    notices = _lacking(replies)
    asked = [replies.asked]
    if workspace.settings.discover.merge == "model":
        for parent, one_list in pooled.items():
            pooled[parent], merging = merge_by_model(workspace, backend, parent, one_list, progress)
            asked.append(merging)
    most = workspace.settings.discover.n_attributes
    entries = entries_of({parent: one_list[:most] for parent, one_list in pooled.items()}, sieve.meaning)
    if not entries:
        raise _none_listed(replies, sieve)
    attributes = [_asked_of_all(e.attribute, list(pooled), sieve) for e in entries]
    write_attributes(target, attributes, {e.attribute.name: _note(e, replies) for e in entries})
    if n := sum(len(one.others) for one_list in pooled.values() for one in one_list):
        sieve.dropped["attributes", "another name for one that is listed"] += n
    if n := sum(max(0, len(one_list) - most) for one_list in pooled.values()):
        sieve.dropped["attributes", "more than were asked for"] += n
    shown, n_telling = seeds_of(workspace)
    rows = [*sieve.rows(), *([("seeds", n_telling, "naming a class")] if n_telling else [])]
    done = {"backend": replies.backend.spec, **told(asked), **_counts(entries, replies)}
    notes = tuple(sorted({note for each in asked for note in each.notes}))
    notices += [*_not_shown(workspace, shown), *(n for each in asked[1:] for n in notices_of(each, True))]
    return Summary("discover", done, tuple(rows), notes, tuple(notices))


def _asked_of_all(attribute: Attribute, superclasses: Sequence[str], sieve: Sieve) -> Attribute:
    """A question that all superclasses share must name none of them."""
    names = "|".join(re.escape(superclass) for superclass in superclasses if superclass)
    names_one = names and re.search(rf"\b(?:{names})(?:s|\b)", attribute.question, re.IGNORECASE)
    if attribute.superclass or not names_one:
        return attribute
    return Attribute(attribute.name, sieve.question(attribute.name, ""), attribute.options)


def _note(entry: Entry, replies: Replies) -> str:
    """What stands beside an attribute in the list."""
    said = [f"{n} of {replies.n}" + (f" for {parent}" if parent else "") for parent, n in entry.named]
    note = f"named by {replies.backend.spec}"
    note += f" in {', '.join(said)} replies" if replies.n > 1 or len(said) > 1 else ""
    return note + (f"; also called {', '.join(entry.others)}" if entry.others else "")


def _counts(entries: Sequence[Entry], replies: Replies) -> dict[str, Any]:
    """Rows of the table about what was listed."""
    rows: dict[str, Any] = {"attributes": len(entries)}
    if n := sum(bool(entry.attribute.options) for entry in entries):
        rows["with options"] = n
    if len(replies.lists) > 1:
        of_all = sum(not entry.attribute.superclass for entry in entries)
        rows["of all superclasses"] = of_all
        rows |= {
            f"of {parent}": sum(entry.attribute.superclass == parent for entry in entries)
            for parent in replies.lists
        }
    elif replies.n > 1:
        support = [entry.named[0][1] for entry in entries]
        rows |= {
            f"named in {n} of {replies.n} replies": support.count(n)
            for n in sorted(set(support), reverse=True)
        }
    return rows


def _lacking(replies: Replies) -> list[Notice]:
    """Replies that hold no list, where others do."""
    n = sum(replies.n - len(lists) for lists in replies.lists.values())
    empty = [parent for parent, lists in replies.lists.items() if parent and not lists]
    if not n:
        return []
    of = f", among them all for {' and '.join(empty)}" if empty else ""
    return [
        Notice(
            f"{n} of {replies.n * len(replies.lists)} replies hold no usable list{of}",
            code="lists-missing",
            hint="fgvr-kit attributes discover --replace asks for them again, and only for them",
        )
    ]


def _none_listed(replies: Replies, sieve: Sieve) -> BackendError:
    return BackendError(
        f"{replies.backend.spec} listed no usable attribute",
        code="no-attributes-found",
        why="; ".join(f"{n} {why}" for _, n, why in sieve.rows()) or replies.why,
        hint="try another model, or bring a list: fgvr-kit attributes discover --from FILE",
    )


def _not_shown(workspace: Workspace, seeds: Sequence[str]) -> Iterator[Notice]:
    prompt = workspace.prompts.get(PROMPT)
    if seeds and "seeds" not in prompt.needs:
        yield Notice(
            "the prompt has no place for the seeds: the model was not shown them",
            code="seeds-not-shown",
            where=str(prompt.path),
            hint='add "seeds" to needs and {{ seeds | join("; ") }} to the text, as in the shipped file',
        )
