"""describe: each image's answers become its description, written by a model or composed by a template.

Finedefics: a language model condenses the answers into five sentences; it sees neither the image nor the
label. A description that names its own class hands training the answer: it is counted, and left as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from fgvr_kit.backends import parse
from fgvr_kit.backends.base import Request, open_backend
from fgvr_kit.backends.engine import USABLE, ask
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.extract import REASONS, notes_of, nothing_answered, notices_of
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import GENERAL, Description, Image, Notice, Summary
from fgvr_kit.workspace import Workspace

SUMMARY_PROMPT, TEMPLATE = "describe/summary", "describe/template"

_PLACE = r"(?: (?:in|on|from) (?:the|this) (?:image|picture|photo|photograph|angle|view|side))?"
_SEEN = r"(?:visible|seen|shown|clear|discernible|identifiable|determined|known|applicable|available|sure)"
_UNSEEN = re.compile(
    rf"(?:(?:it|they|that|this) )?(?:is |are |can )?(?:"
    rf"(?:not|cannot|can['’]t|isn['’]t|aren['’]t)(?: be)?(?: clearly| fully| really| reliably)? {_SEEN}"
    r"|unclear|unknown|invisible|unseen|hidden|no answer|n\s*/\s*a|[-–—?.]+"
    rf"){_PLACE}",
    re.IGNORECASE,
)


def describe(workspace: Workspace, *, retry_failed: bool = False, progress: Progress = SILENT) -> Summary:
    """Fill table `descriptions` for every image that has answers.

    Raises DatasetError when nothing is extracted yet, SettingsError without a backend (unless by template),
    BackendError when nobody answers.
    """
    store = workspace.store
    images, answers = store.images(), store.answers()
    if not images:
        raise workspace.no_images()
    made_from = fingerprint_of(workspace)  # before the work: what is edited meanwhile makes the step stale
    answered = [image for image in images if image.id in answers]
    if not answered:
        raise DatasetError("there are no answers to make descriptions of", code="no-answers",
                           where=str(workspace.root), hint="fgvr-kit attributes extract")  # fmt: skip
    dropped: Counter[str] = Counter()
    if missing := len(images) - len(answered):
        dropped["the image has no answers"] = missing
    notes = set(store.notes_of_answers())
    notices: list[Notice] = []
    done: dict[str, Any]
    if workspace.settings.describe.by == "template":
        made, done = _composed(workspace, answered, answers, dropped), {"backend": "none: by template"}
    else:
        made, done, own_notes, notices = _written(
            workspace, answered, answers, dropped, retry_failed, progress
        )
        notes |= set(own_notes)
    store.put_descriptions(made)
    notices += _leaks(workspace, made, answered)
    done |= {"images": len(images), "descriptions": len(made)}
    rows = tuple(("descriptions", n, reason) for reason, n in dropped.most_common())
    summary = Summary("describe", done, rows, tuple(sorted(notes)), tuple(notices))
    if not any(notice.code == "requests-unanswered" for notice in notices):
        store.finish("describe", made_from, summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """All that decides the descriptions."""
    settings = workspace.settings
    by_template = settings.describe.by == "template"
    own = ["by"] if by_template else ["by", "backend", "sentences", "max_tokens"]
    return fingerprint(
        "describe", workspace.store.digest("answers", ["image_id", "attribute", "value"]),
        [a.name for a in workspace.attributes()], settings.describe.model_dump(include=set(own)),
        settings.domain.superclass, workspace.prompts.hashes([TEMPLATE if by_template else SUMMARY_PROMPT]),
    )  # fmt: skip


def is_seen(value: str) -> bool:
    """False for the ways in which a model says that it could not see: "not visible", "N/A", "unclear"."""
    return bool(value.strip()) and not _UNSEEN.fullmatch(value.strip(" .!,;:()[]\"'") or "-")


def _written(
    workspace: Workspace, images: Sequence[Image], answers: dict[int, dict[str, str]], dropped: Counter[str],
    retry_failed: bool, progress: Progress,
) -> tuple[list[Description], dict[str, Any], tuple[str, ...], list[Notice]]:  # fmt: skip
    settings = workspace.settings
    backend = open_backend(settings.describe.backend, settings, workspace.root, key="describe.backend")
    template, order = workspace.prompts.get(SUMMARY_PROMPT), _order(workspace)
    requests: dict[int, Request] = {}
    for image in images:
        general, pairs = _parts(answers[image.id], order)
        prompt = template.render(
            superclass=settings.domain.superclass, general=general, answers=pairs,
            sentences=settings.describe.sentences,
        )  # fmt: skip
        requests[image.id] = Request(
            "describe", prompt, subject=image.sha256, max_tokens=settings.describe.max_tokens
        )
    asked = ask(
        backend, list(requests.values()), workspace.store,
        progress=progress, what="describe", retry_failed=retry_failed, judge=parse.judge,
        max_calls=settings.ask.max_calls,
    )  # fmt: skip
    made: list[Description] = []
    for image in images:
        row = asked.row(requests[image.id])
        text = parse.value(row["text"]) if row and row["outcome"] in USABLE else ""
        if row and text:
            made.append(Description(image.id, text, "model", row["id"]))
        elif row:
            dropped[REASONS.get(row["outcome"], REASONS["invalid"])] += 1
        else:
            dropped[" or ".join(sorted(asked.failures)) or "no reply"] += 1
    if not made:
        raise nothing_answered(backend, asked, dropped)
    done = {"backend": backend.spec, "asked now": asked.n_new, "already stored": asked.n_stored}
    return made, done, notes_of(asked), list(notices_of(asked, retry_failed))


def _composed(
    workspace: Workspace, images: Sequence[Image], answers: dict[int, dict[str, str]], dropped: Counter[str]
) -> list[Description]:
    template, order = workspace.prompts.get(TEMPLATE), _order(workspace)
    made = []
    for image in images:
        general, pairs = _parts(answers[image.id], order)
        seen = [(name, value) for name, value in pairs if is_seen(value)]
        prompt = template.render(
            superclass=workspace.settings.domain.superclass, general=general, answers=seen
        )
        if text := " ".join(prompt.text.split()):
            made.append(Description(image.id, text, "template"))
        else:
            dropped["nothing was visible"] += 1
    return made


def _order(workspace: Workspace) -> list[str]:
    """Attribute names as in attributes.csv: what stands no longer there is no longer told."""
    return [attribute.name for attribute in workspace.attributes()]


def _parts(answers: dict[str, str], order: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """The free description, and (attribute in words, value) pairs."""
    pairs = [(name.replace("_", " "), answers[name]) for name in order if name in answers]
    return answers.get(GENERAL, ""), pairs


def _leaks(workspace: Workspace, made: Sequence[Description], images: Sequence[Image]) -> Iterable[Notice]:
    finders = {name: finder([image_class]) for name, image_class in workspace.classes().items()}
    by_id = {image.id: image for image in images}
    leaking = [
        (by_id[d.image_id], name)
        for d in made
        if (name := finders[by_id[d.image_id].class_name].find(d.text))
    ]
    if leaking:
        image, name = leaking[0]
        yield Notice(
            f"{len(leaking)} of {len(made)} descriptions name their own class",
            code="description-names-class",
            where=f"{image.path} ({name!r})",
            why="a model trained on them learns to copy the name instead of looking",
            hint="edit prompts/describe/summary.md, or the question whose answers name it, and describe again",
        )
