"""Asking a model for lists of attributes: several replies, and a list for each superclass where there are several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.replies import USABLE
from fgvr_kit.backends.base import Backend, Request, first_line
from fgvr_kit.pipeline.discover.pooled import Pooled, merged
from fgvr_kit.pipeline.discover.proposed import MAX_NAME, MAX_OPTION, MAX_OPTIONS, MAX_QUESTION, Sieve
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.pipeline.spending import limits_of
from fgvr_kit.progress import Progress
from fgvr_kit.types import Attribute
from fgvr_kit.workspace import Workspace

PROMPT, MERGE_PROMPT = "discover/attributes", "discover/merge"
TOKENS_EACH = 120  # of one attribute with its question and options, generously
MIN_TOKENS = 2048  # thinking models spend most of them before the list begins
MOST_PARENTS = 4
"""Superclasses that get a list each without being asked for: more of them are rather genera than cats and dogs."""
_ATTRIBUTE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": MAX_NAME},
        "question": {"type": "string", "maxLength": MAX_QUESTION},
        "options": {
            "type": "array", "items": {"type": "string", "maxLength": MAX_OPTION}, "maxItems": MAX_OPTIONS,
        },
    },
    "required": ["name", "question", "options"],
    "additionalProperties": False,
}  # fmt: skip
_GROUP = {"type": "array", "items": {"type": "string", "maxLength": MAX_NAME}, "maxItems": 10}
MERGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"groups": {"type": "array", "items": _GROUP, "maxItems": 30}},
    "required": ["groups"],
    "additionalProperties": False,
}


def schema_of(n: int) -> dict[str, Any]:
    """Of a list of n attributes. Bounded and closed: a small model would go on for ever."""
    return {
        "type": "object",
        "properties": {"attributes": {"type": "array", "items": _ATTRIBUTE, "maxItems": n}},
        "required": ["attributes"],
        "additionalProperties": False,
    }


def requests_for(workspace: Workspace, *, samples: int | None = None) -> Iterator[Request]:
    """The requests that the list is pooled of; the one that merges names comes later."""
    discovering = workspace.settings.discover
    n = discovering.n_attributes
    template, (seeds, _) = workspace.prompts.get(PROMPT), seeds_of(workspace)
    schema, most = schema_of(n), discovering.max_tokens or max(MIN_TOKENS, TOKENS_EACH * n)
    for parent in parents_of(workspace) or [""]:
        own = {"superclass": parent} if parent else {}
        prompt = template.render(n_attributes=n, seeds=seeds, **own)
        for sample in range(discovering.samples if samples is None else samples):
            yield Request(
                "discover", prompt, schema=schema, max_tokens=most,
                temperature=discovering.temperature if sample else 0.0, sample=sample,
            )  # fmt: skip


def prompts_used(workspace: Workspace) -> list[str]:
    """Names of the prompt files whose words reach the model."""
    return [PROMPT, MERGE_PROMPT] if workspace.settings.discover.merge == "model" else [PROMPT]


def parents_of(workspace: Workspace) -> list[str]:
    """The superclasses that get a list each, sorted; [] where there is one list for all classes.

    A parent that is the name of a class, or holds one, would give it away: then there is one list.
    """
    chosen = workspace.settings.discover.per_parent
    if chosen == "no":
        return []
    classes = workspace.classes().values()
    parents = sorted({image_class.parent for image_class in classes} - {""})
    names = finder(classes, language=workspace.prompts.words["language"])
    if len(parents) < 2 or any(names.find(parent) for parent in parents):
        return []
    is_clear = all(image_class.parent for image_class in classes) and len(parents) <= MOST_PARENTS
    return parents if chosen == "yes" or is_clear else []


@dataclass(frozen=True, slots=True)
class Replies:
    """lists: superclass -> the usable list of each reply that holds one.  n: replies of one superclass.

    why: the beginning of the first reply's words, where it holds none.
    """

    backend: Backend
    asked: Asked
    lists: Mapping[str, list[list[Attribute]]]
    n: int
    why: str


def ask_for_lists(workspace: Workspace, backend: Backend, sieve: Sieve, progress: Progress) -> Replies:
    """The usable lists of all replies; one reply of each superclass where a backend says the same every time.

    Raises what the backend raises, also when it is the only reason why no reply came.
    """
    # A recording says the same however often it is asked.
    samples = 1 if backend.per_subject else workspace.settings.discover.samples
    requests = list(requests_for(workspace, samples=samples))
    # A reply without a list is of no use to anybody: it is asked for again, not kept.
    asked = ask(
        backend, requests, workspace.store, progress=progress, what="discover", retry_failed=True,
        judge=parse.judge, mend=mend_with(workspace.prompts), limits=limits_of(workspace, backend),
    )  # fmt: skip
    workspace.spent += asked.charged
    rows = [row for _, row in asked.rows(requests)]
    if not any(rows):
        raise next(iter(asked.errors.values()))
    lists: dict[str, list[list[Attribute]]] = {}
    for place, parent in enumerate(parents_of(workspace) or [""]):
        own = replace(sieve, superclass=parent) if parent else sieve
        said = rows[place * samples : (place + 1) * samples]
        found = [own.usable(parse.attribute_list(r["text"])) for r in said if r and r["outcome"] in USABLE]
        lists[parent] = [one for one in found if one]
    first = next(row for row in rows if row)
    why = f"{first['outcome'].replace('_', ' ')}: {first_line(first['text'], 120) or 'an empty reply'}"
    return Replies(backend, asked, lists, samples, why)


def merge_by_model(
    workspace: Workspace, backend: Backend, parent: str, pooled: list[Pooled], progress: Progress
) -> tuple[list[Pooled], Asked]:
    """Ask the same model which names mean the same; where its reply is of no use the list stays as it is."""
    told_of = [(one.attribute.name, one.attribute.question) for one in pooled]
    own = {"superclass": parent} if parent else {}
    prompt = workspace.prompts.render(MERGE_PROMPT, attributes=told_of, **own)
    most = workspace.settings.discover.max_tokens or MIN_TOKENS
    request = Request("merge", prompt, schema=MERGE_SCHEMA, max_tokens=most)
    asked = ask(
        backend, [request] if len(pooled) > 1 else [], workspace.store, progress=progress, what="merge",
        retry_failed=True, judge=parse.judge, mend=mend_with(workspace.prompts), limits=limits_of(workspace, backend),
    )  # fmt: skip
    workspace.spent += asked.charged
    row = asked.row(request)
    found = parse.json_object(row["text"]) if row and row["outcome"] in USABLE else None
    groups = (found or {}).get("groups")
    listed = [group for group in groups if isinstance(group, list)] if isinstance(groups, list) else []
    return merged(pooled, [[str(name).strip() for name in group] for group in listed]), asked


def seeds_of(workspace: Workspace) -> tuple[list[str], int]:
    """The seeds to show, and how many are not because they would give a class away."""
    written = [seed for s in workspace.settings.discover.seeds if (seed := " ".join(s.split()))]
    class_names = finder(workspace.classes().values(), language=workspace.prompts.words["language"])
    shown = [seed for seed in written if not class_names.find(seed)]
    return shown, len(written) - len(shown)
