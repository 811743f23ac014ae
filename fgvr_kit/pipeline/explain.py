"""Why an image is described as it is: from its description to its answers to the replies they rest on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgvr_kit.asking.replies import USABLE
from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline import describe
from fgvr_kit.pipeline.called import attribute_called, image_called
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.types import GENERAL, Image, Outcome
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, and the call that it came from.

    is_used: something that stands now rests on it.  prompt, system: as they were sent.  rejected: the first reply,
    where a repair turn followed.  seconds, cost (USD), tokens: of all its calls; None where nobody knows.
    """

    id: int
    is_used: bool
    purpose: str
    attribute: str | None
    backend: str
    model: str | None
    prompt_name: str | None
    template_hash: str | None
    system: str | None
    prompt: str
    images: tuple[str, ...]
    sampling: Mapping[str, Any]
    sample: int
    text: str
    outcome: Outcome
    finish_reason: str | None
    rejected: str | None
    scores: Mapping[str, float] | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    seconds: float | None
    cost: float | None
    note: str | None
    created: str


@dataclass(frozen=True, slots=True)
class Told:
    """One answer. machine: what a model said, where a person (author, at this time) says otherwise, or the same.
    reply: id of the reply it was read from, None where no model was asked."""

    attribute: str
    question: str
    value: str
    source: str
    confidence: float | None
    machine: str | None
    author: str | None
    written_at: str | None
    reply: int | None


@dataclass(frozen=True, slots=True)
class Text:
    """The description. source: "model" or "template".  is_stale: something it was made of has changed since."""

    text: str
    source: str
    reply: int | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """What there is not, and why. what: an attribute, or "description"."""

    what: str
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class Spent:
    """On all replies about a picture, whether something rests on them or not.

    tokens, cost (USD) and seconds are of the replies where they are known; unpriced: replies whose cost is not.
    """

    replies: int
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    cost: float
    unpriced: int


@dataclass(frozen=True, slots=True)
class Explained:
    image: Image
    description: Text | None
    answers: tuple[Told, ...]
    replies: tuple[Reply, ...]
    missing: tuple[Missing, ...]
    spent: Spent


def explain(workspace: Workspace, text: str, attribute: str | None = None) -> Explained:
    """All that is known of one image; of one attribute, only the chain that ends in it.

    text: as `image_called`. Raises UsageError for an image or attribute that nobody knows, DatasetError without
    attributes.
    """
    store, image = workspace.store, image_called(workspace, text)
    questions = _questions(workspace, image)
    rows = store.chain_of_answers(image.id)
    if attribute is not None:
        names = [*questions, *(row["attribute"] for row in rows)]
        attribute = attribute_called(dict.fromkeys(names), attribute)
    answers = [_told(row, questions) for row in _in_order(rows, questions)]
    description = None if attribute else _description(workspace, image)
    about = store.replies_about(image.sha256)
    failures = store.failures_about(image.sha256)
    missing = [*_missing(questions, answers, about, failures)]
    if description is None and attribute is None:
        missing.append(_no_description(about, failures))
    if attribute is not None:
        answers = [one for one in answers if one.attribute == attribute]
        missing = [one for one in missing if one.what == attribute]
    used = {one.reply for one in answers} | ({description.reply} if description else set())
    shown = about if attribute is None else [r for r in about if _may_hold(r, attribute)]
    replies = [_reply(row, row["id"] in used) for row in shown]
    return Explained(image, description, tuple(answers), tuple(replies), tuple(missing), _spent(replies))


def _questions(workspace: Workspace, image: Image) -> dict[str, str]:
    """attribute -> question of what is asked about an image, the free description first."""
    asked = Questions(workspace, workspace.attributes()).attributes_of(image.class_name)
    return {GENERAL: "the free description", **{a.name: a.question for a in asked}}


def _in_order(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """As attributes.csv has them; what is not asked any more comes last."""
    place = {name: number for number, name in enumerate(names)}
    return sorted(rows, key=lambda row: place.get(row["attribute"], len(place)))


def _told(row: Mapping[str, Any], questions: Mapping[str, str]) -> Told:
    is_human = row["source"] == "human"
    return Told(
        row["attribute"], questions.get(row["attribute"], ""), row["value"], row["source"] or "model",
        None if is_human else row["confidence"], row["machine"], row["author"], row["written_at"], row["reply_id"],
    )  # fmt: skip


def _description(workspace: Workspace, image: Image) -> Text | None:
    row = workspace.store.chain_of_description(image.id)
    if row is None:
        return None
    stood = workspace.store.walk().get("describe", {}).get("fingerprint")
    try:
        is_stale = stood != describe.fingerprint_of(workspace)
    except FgvrError:  # what it was made of cannot even be read
        is_stale = True
    return Text(row["text"], row["source"], row["reply_id"], is_stale)


def _missing(
    questions: Mapping[str, str],
    answers: Sequence[Told],
    about: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
) -> Iterable[Missing]:
    answered = {one.attribute for one in answers}
    for name in questions:
        if name not in answered:
            yield _why_not(
                name,
                [r for r in about if r["purpose"] == "extract" and _may_hold(r, name)],
                [f for f in failures if f["purpose"] == "extract" and f["attribute"] in (None, name)],
                "fgvr-kit attributes extract",
            )


def _no_description(about: Sequence[Mapping[str, Any]], failures: Sequence[Mapping[str, Any]]) -> Missing:
    replies = [row for row in about if row["purpose"] == "describe"]
    failed = [row for row in failures if row["purpose"] == "describe"]
    return _why_not("description", replies, failed, "fgvr-kit attributes describe")


def _why_not(
    what: str, replies: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]], command: str
) -> Missing:
    """The last thing that happened decides."""
    if failed:
        said = " ".join(part for part in (failed[-1]["message"], failed[-1]["why"]) if part)
        return Missing(what, f"the request got no reply: {said}", f"{failed[-1]['hint']}; then {command}")
    if not replies:
        return Missing(what, "not asked yet", command)
    outcome = replies[-1]["outcome"]
    if outcome in USABLE:
        return Missing(
            what, "the reply does not hold it, or it was not read yet", f"{command} reads replies again"
        )
    return Missing(what, REASONS[outcome], f"{command} --retry-failed")


def _may_hold(row: Mapping[str, Any], attribute: str) -> bool:
    """Whether a reply was asked for this attribute, alone or with all the others."""
    if row["purpose"] != "extract":
        return False
    return bool(row["attribute"] == attribute or (row["attribute"] is None and attribute != GENERAL))


def _reply(row: Mapping[str, Any], is_used: bool) -> Reply:
    known = {name: row[name] for name in Reply.__dataclass_fields__ if name in row}
    return Reply(
        **known
        | {
            "is_used": is_used,
            "images": tuple(json.loads(row["images"] or "[]")),
            "sampling": json.loads(row["sampling"] or "{}"),
            "scores": json.loads(row["scores"]) if row["scores"] else None,
        }
    )


def _spent(replies: Sequence[Reply]) -> Spent:
    return Spent(
        replies=len(replies),
        calls=sum(reply.calls for reply in replies),
        input_tokens=sum(reply.input_tokens or 0 for reply in replies),
        output_tokens=sum(reply.output_tokens or 0 for reply in replies),
        seconds=round(sum(reply.seconds or 0.0 for reply in replies), 3),
        cost=round(sum(reply.cost or 0.0 for reply in replies), 9),
        unpriced=sum(reply.cost is None for reply in replies),
    )
