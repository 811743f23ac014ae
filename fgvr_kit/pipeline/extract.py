"""extract: look at every image, describe it freely, and answer every attribute's question.

Finedefics (after FineR): a VQA model answers one question an attribute, blind to the label. No class name
reaches a prompt. Table `answers` is a pure function of the stored replies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from fgvr_kit.backends import parse
from fgvr_kit.backends.base import Backend, Request, open_backend
from fgvr_kit.backends.engine import USABLE, Asked, Row, ask
from fgvr_kit.errors import BackendError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import GENERAL, Answer, Attribute, Image, Notice, Outcome, Summary
from fgvr_kit.workspace import Workspace

GENERAL_PROMPT, QUESTION_PROMPT, TOGETHER_PROMPT = "extract/general", "extract/question", "extract/together"
LONGER = 4  # the free description and "together" get this many times the tokens of one answer
MAX_VALUE = 200  # characters of one value in the schema

REASONS: dict[Outcome, str] = {
    "refused": "the model refused",
    "cut_off": "cut off at max_tokens",
    "invalid": "empty, or not in the form that was asked for",
}


def extract(
    workspace: Workspace, *, limit: int | None = None, retry_failed: bool = False, progress: Progress = SILENT
) -> Summary:
    """Fill table `answers` for all images: the free description and one value an attribute.

    limit: only the first so many images by path, to try before paying; the step does not count as done, and
    answers of an earlier complete run stay. It does not count as done either where a request got no reply.
    retry_failed: ask again where the stored reply is no answer.
    Raises DatasetError without attributes, SettingsError without a backend, BackendError when nobody answers.
    """
    settings, store = workspace.settings, workspace.store
    attributes = workspace.attributes()
    images = store.images()
    if not images:
        raise workspace.no_images()
    made_from = fingerprint_of(workspace)  # before the work: what is edited meanwhile makes the step stale
    chosen = images[:limit]
    backend = open_backend(settings.extract.backend, settings, workspace.root, key="extract.backend")
    requests = requests_for(workspace, chosen, attributes)
    flat = [request for of_image in requests.values() for request in of_image]
    asked = ask(
        backend, flat, store,
        progress=progress, what="extract", retry_failed=retry_failed, judge=parse.judge,
        max_calls=settings.ask.max_calls,
    )  # fmt: skip
    answers, dropped = answers_of(chosen, requests, asked, [a.name for a in attributes])
    if not answers:
        raise nothing_answered(backend, asked, dropped)
    is_whole = len(chosen) == len(images)
    stands = "extract" in store.walk()
    if is_whole or not stands:
        store.put_answers(answers)
    done: dict[str, Any] = {"backend": backend.spec, "images": len(chosen)}
    if not is_whole:
        done["images"] = f"the first {len(chosen)} of {len(images)}"
    done |= {
        "attributes": len(attributes), "answers": len(answers),
        "of": len(chosen) * (len(attributes) + 1),
        "asked now": asked.n_new, "already stored": asked.n_stored,
    }  # fmt: skip
    notices = [*notices_of(asked, retry_failed), *_limited(len(chosen), len(images), stands)]
    rows = tuple(("answers", n, reason) for reason, n in dropped.most_common())
    summary = Summary("extract", done, rows, notes_of(asked), tuple(notices))
    if is_whole and not asked.failures:
        store.finish("extract", made_from, summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """All that decides the answers."""
    settings = workspace.settings
    together = settings.extract.ask == "together"
    return fingerprint(
        "extract", workspace.store.digest_images(["path", "sha256"]),
        [(a.name, a.question) for a in workspace.attributes()],
        settings.extract.backend, settings.extract.ask, settings.extract.max_tokens,
        settings.domain.superclass, settings.domain.notes,
        workspace.prompts.hashes([GENERAL_PROMPT, TOGETHER_PROMPT if together else QUESTION_PROMPT]),
    )  # fmt: skip


def requests_for(
    workspace: Workspace, images: Sequence[Image], attributes: Sequence[Attribute]
) -> dict[str, list[Request]]:
    """Pixel hash -> the requests about these pixels, the free description first. Equal pixels stand once.

    No prompt depends on the image, let alone on its class: each is rendered once.
    """
    extract, domain = workspace.settings.extract, workspace.settings.domain
    words = {"superclass": domain.superclass, "notes": domain.notes}
    longer = LONGER * extract.max_tokens
    general = workspace.prompts.render(GENERAL_PROMPT, **words)
    asked: list[tuple[str | None, Any, dict[str, Any] | None, int]] = [(GENERAL, general, None, longer)]
    if extract.ask == "together":
        pairs = [(a.name, a.question) for a in attributes]
        prompt = workspace.prompts.render(TOGETHER_PROMPT, **words, attributes=pairs)
        asked.append((None, prompt, schema_of(attributes), longer))
    else:
        asked += [
            (a.name, workspace.prompts.render(
                QUESTION_PROMPT, **words, attribute=a.name.replace("_", " "), question=a.question,
            ), None, extract.max_tokens)
            for a in attributes
        ]  # fmt: skip
    found: dict[str, list[Request]] = {}
    for image in images:
        if image.sha256 not in found:
            refs = (workspace.ref_of(image),)
            found[image.sha256] = [
                Request("extract", prompt, refs, image.sha256, name, schema, max_tokens)
                for name, prompt, schema, max_tokens in asked
            ]
    return found


def schema_of(attributes: Sequence[Attribute]) -> dict[str, Any]:
    """One text an attribute. Bounded and closed: a model would go on inventing keys."""
    properties = {a.name: {"type": "string", "maxLength": MAX_VALUE} for a in attributes}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def answers_of(
    images: Sequence[Image], requests: dict[str, list[Request]], asked: Asked, names: Sequence[str]
) -> tuple[list[Answer], Counter[str]]:
    """The answers in stored replies, and how many there are not for which reason. names: of attributes."""
    said: dict[str, list[tuple[str, str, int]]] = {}
    missing: dict[str, Counter[str]] = {}
    for sha256, of_image in requests.items():
        said[sha256], missing[sha256] = [], Counter()
        for request in of_image:
            wanted = list(names) if request.attribute is None else [request.attribute]
            row = asked.row(request)
            values = _values(row, wanted)
            said[sha256] += [(name, value, row["id"]) for name, value in values.items() if row]
            if len(values) < len(wanted):
                missing[sha256][_why_not(row, asked)] += len(wanted) - len(values)
    answers = [Answer(image.id, *answer) for image in images for answer in said[image.sha256]]
    return answers, sum((missing[image.sha256] for image in images), Counter())


def _values(row: Row | None, wanted: list[str]) -> dict[str, str]:
    if row is None or row["outcome"] not in USABLE:
        return {}
    if row["attribute"] is None:
        return parse.answers(row["text"], wanted)
    value = parse.value(row["text"])
    return {wanted[0]: value} if value else {}


def _why_not(row: Row | None, asked: Asked) -> str:
    if row is None:
        return " or ".join(sorted(asked.failures)) or "no reply"
    return REASONS.get(row["outcome"], "left out by the model")


# --- words of the summary, shared with describe -------------------------------------------------------------


def notes_of(asked: Asked) -> tuple[str, ...]:
    """What must stand beside everything made of these replies: "untrained toy model"."""
    return tuple(sorted({row["note"] for row in asked.rows.values() if row and row["note"]}))


def notices_of(asked: Asked, retried: bool) -> Iterable[Notice]:
    for reason, n in asked.failures.items():
        error = asked.errors[reason]
        yield Notice(
            f"{n} requests got no reply: {reason}",
            code="requests-unanswered",
            where=error.where,
            why=error.message,
            hint=f"{error.hint}; the same command asks them, and only them, again",
        )
    failed = Counter(row["outcome"] for row in asked.rows.values() if row and row["outcome"] not in USABLE)
    if failed:
        again = "try another model" if retried else "--retry-failed asks them again; or try another model"
        yield Notice(
            f"{failed.total()} replies hold no answer",
            code="replies-unusable",
            why="; ".join(f"{n} times {REASONS[outcome]}" for outcome, n in failed.most_common()),
            hint="a larger max_tokens asks anew" if failed.most_common(1)[0][0] == "cut_off" else again,
        )


def nothing_answered(backend: Backend, asked: Asked, dropped: Counter[str]) -> BackendError:
    first = next(iter(asked.errors.values()), None)
    return BackendError(
        f"{backend.spec} answered none of {len(asked.rows)} requests",
        code="nothing-answered",
        why=first.message if first else "; ".join(f"{n} times {reason}" for reason, n in dropped.items()),
        hint=first.hint if first else "try another model, a larger max_tokens, or --retry-failed",
    )


def _limited(n: int, n_all: int, stands: bool) -> Iterable[Notice]:
    if n < n_all:
        yield Notice(
            f"only the first {n} of {n_all} images were looked at",
            code="extract-limited",
            why="the answers of the last complete run stay in force" if stands else None,
            hint="without --limit the others follow; what is stored is not asked again",
        )
