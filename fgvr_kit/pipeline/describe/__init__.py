"""describe: each image's answers become its description, written by a model or composed by a template.

Finedefics: a language model condenses the answers into five sentences; it sees neither the image nor the
label. A description that names its own class hands training the answer: it is written again, or without the name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.replies import USABLE, Row
from fgvr_kit.backends.base import Backend, Request, open_backend
from fgvr_kit.errors import DatasetError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.describe.telltale import AGAIN_PROMPT, RE_ASKED, Telltale
from fgvr_kit.pipeline.extract import told
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.pipeline.spending import limits_of, notices_about
from fgvr_kit.pipeline.unanswered import nothing_answered, notices_of, why_none
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import DescribeSettings
from fgvr_kit.types import GENERAL, Description, Image, Notice, Summary
from fgvr_kit.workspace import Workspace

SUMMARY_PROMPT, SHORT_PROMPT, TEMPLATE = "describe/summary", "describe/short", "describe/template"
_BY = {"model": SUMMARY_PROMPT, "short": SHORT_PROMPT, "template": TEMPLATE}

_USUAL_VALUE = "gold-brown with greenish stains"
_USUAL_GENERAL = "A golden coin with blue-green stains, lying sideways on red wood among a number of others."
"""Of usual length (asking/estimate.py tells how that was counted)."""

_OF = r"(?:the|this|these|that|those|its|their|any)(?: [\w-]+){1,4}?"
_PLACE = r"(?: (?:in|on|from) (?:the|this|that) (?:image|picture|photo|photograph|angle|view|side))?"
_SEEN = r"(?:visible|seen|shown|clear|discernible|identifiable|determined|known|applicable|available|sure)"
_HIDDEN = (
    r"(?:obscured|occluded|hidden|covered|blurred|blurry|cropped|cut off|out of (?:focus|frame|view|shot))"
)
_TELL = r"(?:tell|say|determine|identify|discern|judge|make out)"
_STATED = (
    rf"(?:(?:it|they|that|this|i|{_OF}) )?(?:is |are |was |were |can |could )?(?:"
    rf"(?:not|cannot|can['’]t|couldn['’]t|isn['’]t|aren['’]t)(?: be)?(?: clearly| fully| really| reliably)? {_SEEN}"
    rf"|(?:(?:not|cannot|can['’]t|unable to|impossible to|hard to|difficult to|not able to|not possible to)"
    rf" {_TELL})(?: {_OF})?"
    rf"|unclear|unknown|invisible|unseen|{_HIDDEN}(?: (?:by|in|behind|under) [\w -]+)?|no answer|n\s*[./]?\s*a|[-–—?.]+"
    rf"){_PLACE}"
)
_REASON = (
    rf"(?:(?:it|they|{_OF}) (?:is|are) )?(?:too [\w -]+"
    rf"|(?:partly |mostly |completely )?{_HIDDEN}(?: (?:by|in) [\w -]+)?"
    r"|(?:because|due to|since|as) [\w '’-]+)"
)
_BECAUSE = rf"(?:{_REASON}|{_STATED})"
_UNSEEN = re.compile(
    rf"{_STATED}(?:\s*\({_BECAUSE}\)|\s*[;,.:–—-]\s*{_BECAUSE}|\s+(?:because|due to|since|as) [\w '’-]+){{0,3}}",
    re.IGNORECASE,
)
"""All of a value: what is said of one side only, or with a value behind it, is seen."""


def describe(
    workspace: Workspace, *, retry_failed: bool = False, batch: bool = False, progress: Progress = SILENT
) -> Summary:
    """Fill table `descriptions` for every image that has answers.

    A description that names its own class is dealt with as [describe] leaks says.  batch: through the provider's
    batch service.  Raises DatasetError when nothing is extracted yet, SettingsError without a backend (unless by
    template), BackendError when nobody answers.
    """
    store = workspace.store
    images, answers = store.images(), store.answers()
    if not images:
        raise workspace.no_images()
    parts, names = _made_from(workspace)  # before the work: what is edited meanwhile makes the step stale
    answered = [image for image in images if image.id in answers]
    if not answered:
        raise DatasetError("there are no answers to make descriptions of", code="no-answers",
                           where=str(workspace.root), hint="fgvr-kit attributes extract")  # fmt: skip
    work = _Work(workspace, answered, answers, Telltale(workspace), retry_failed, batch, progress)
    if missing := len(images) - len(answered):
        work.dropped["the image has no answers"] = missing
    made = work.composed() if workspace.settings.describe.by == "template" else work.written()
    made = work.cleaned(made)
    store.put_descriptions(made)
    done = work.done | {"images": len(images), "descriptions": len(made)} | work.telltale.rows(made, answered)
    rows = tuple(("descriptions", n, reason) for reason, n in work.dropped.most_common())
    notes = tuple(sorted(set(store.notes_of_answers()).union(*(asked.notes for asked in work.asked))))
    summary = Summary("describe", done, rows, notes, (*work.notices(), *work.telltale.notices(made)))
    if not any(asked.failures for asked in work.asked) and not work.n_held_back:
        store.finish("describe", _fingerprint(workspace, parts, names), summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """All that decides the descriptions."""
    return _fingerprint(workspace, *_made_from(workspace))


def _made_from(workspace: Workspace) -> tuple[list[Any], list[Any]]:
    """What every description rests on, and what those rest on that named their class."""
    describing = workspace.settings.describe
    own = {"model": ["by", "backend", "sentences", "max_tokens"], "short": ["by", "backend", "max_tokens"],
           "template": ["by"]}[describing.by]  # fmt: skip
    parts: list[Any] = [
        "describe", workspace.store.digest("answers", ["image_id", "attribute", "value"]),
        [a.name for a in workspace.attributes()], describing.model_dump(include=set(own)),
        workspace.prompts.hashes([_BY[describing.by]]),
    ]  # fmt: skip
    re_asks = describing.by != "template" and describing.leaks == "re-ask"
    names = [
        describing.leaks, Telltale(workspace).names, workspace.settings.domain.superclass,
        workspace.prompts.hashes([AGAIN_PROMPT]) if re_asks else {},
    ]  # fmt: skip
    return parts, names


def _fingerprint(workspace: Workspace, parts: Sequence[Any], names: Sequence[Any]) -> str:
    """The names of classes stand in it where they matter: a workspace without leaks is not stale because of them."""
    is_usual = workspace.settings.describe.leaks == DescribeSettings().leaks
    if is_usual and not Telltale(workspace).matters():
        return fingerprint(*parts)
    return fingerprint(*parts, *names)


def prompts_used(workspace: Workspace) -> list[str]:
    """Names of the prompt files whose words reach the model, or make the descriptions."""
    describing = workspace.settings.describe
    re_asks = describing.by != "template" and describing.leaks == "re-ask"
    return [_BY[describing.by], AGAIN_PROMPT] if re_asks else [_BY[describing.by]]


def requests_for(workspace: Workspace, images: Sequence[Image] | None = None) -> Iterator[Request]:
    """The requests about these images (default: all that have answers), in their order; none by template.

    Those that ask again without a name follow when the replies are there.
    """
    if workspace.settings.describe.by == "template":
        return
    answers = workspace.store.answers()
    chosen = workspace.store.images() if images is None else images
    yield from _requests(workspace, [image for image in chosen if image.id in answers], answers)


def requests_expected(workspace: Workspace) -> Iterator[Request]:
    """As many requests as there are images, with answers of usual length in place of those that are not there yet;
    for plans alone, never to be sent."""
    names = [attribute.name for attribute in workspace.attributes()]
    usual = {GENERAL: _USUAL_GENERAL} | dict.fromkeys(names, _USUAL_VALUE)
    images = workspace.store.images()
    yield from _requests(workspace, images, {image.id: usual for image in images})


def is_seen(value: str) -> bool:
    """False for the ways in which a model says that it could not see: "not visible", "N/A", "cannot tell".

    With a reason too ("not visible; too dark"), but not where a part is told: "not visible on the left, brown".
    """
    said = re.sub(r"[*_`]+", "", value).strip(" .!,;:[]\"'\n")
    said = said[1:-1].strip() if said.startswith("(") and said.endswith(")") else said
    return bool(value.strip()) and not _UNSEEN.fullmatch(said or "-")


# --- the work ---------------------------------------------------------------------------------------------------


@dataclass
class _Work:
    """One run of the step. Requests are made as they are asked for: nothing but replies' texts is held for all images.

    done: rows of the summary.  asked: the runs of asking, the one that asks again last.
    """

    workspace: Workspace
    images: Sequence[Image]
    answers: Mapping[int, dict[str, str]]
    telltale: Telltale
    retry_failed: bool
    batch: bool
    progress: Progress
    dropped: Counter[str] = field(default_factory=Counter)
    done: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    n_held_back: int = 0
    """Descriptions that were not written again because ask.max_calls allows no more."""
    backend: Backend | None = None
    told_before: list[Notice] = field(default_factory=list)

    def composed(self) -> list[Description]:
        self.done = {"backend": "none: by template"}
        template, order = self.workspace.prompts.get(TEMPLATE), _order(self.workspace)
        made = []
        for image in self.images:
            general, pairs = _parts(self.answers[image.id], order)
            seen = [(name, value) for name, value in pairs if is_seen(value)]
            prompt = template.render(general=general, answers=seen)
            if text := " ".join(prompt.text.split()):
                made.append(Description(image.id, text, "template"))
            else:
                self.dropped["nothing was visible"] += 1
        return made

    def written(self) -> list[Description]:
        settings = self.workspace.settings
        self.backend = open_backend(
            settings.describe.backend, settings, self.workspace.root, key="describe.backend"
        )
        asked = self._ask(self._requests(self.images))
        made: list[Description] = []
        for image, (_, row) in zip(self.images, asked.rows(self._requests(self.images)), strict=True):
            if text := _text_of(row):
                assert row is not None
                made.append(Description(image.id, text, "model", row["id"]))
            elif row:
                self.dropped[REASONS.get(row["outcome"], REASONS["invalid"])] += 1
            else:
                self.dropped[why_none([asked])] += 1
        if not made:
            raise nothing_answered(self.backend.spec, [asked], self.dropped)
        self.done = {"backend": self.backend.spec, **told([asked])}
        return made

    def cleaned(self, made: list[Description]) -> list[Description]:
        """Without those, or without the words, that name their own class."""
        leaks = self.workspace.settings.describe.leaks
        telling = self.telltale.found(made, self.images)
        # A recording says the same however often it is asked.
        if leaks == "re-ask" and telling and self.backend is not None and not self.backend.per_subject:
            made = self._asked_again(made, telling)
        kept = list(self.telltale.filtered(made, self.images, leaks))
        if n := len(made) - len(kept):
            self.dropped["it named its own class"] += n
        return kept

    def _asked_again(self, made: list[Description], telling: Mapping[int, list[str]]) -> list[Description]:
        """A second reply in place of each that named its class, where it is usable."""
        most = self.workspace.settings.ask.max_calls
        if most and self.asked[0].n_new >= most:
            self.n_held_back = len(telling)
            return made
        images = [image for image in self.images if image.id in telling]
        said = {d.image_id: d.text for d in made if d.image_id in telling}

        def requests() -> Iterator[Request]:
            for image, request in zip(images, self._requests(images), strict=True):
                yield self.telltale.again(request, said[image.id], telling[image.id])

        asked = self._ask(requests())
        self.done |= told(self.asked)
        again: dict[int, Description] = {}
        for image, (_, row) in zip(images, asked.rows(requests()), strict=True):
            if text := _text_of(row):
                assert row is not None
                again[image.id] = Description(image.id, text, RE_ASKED, row["id"])
        return [again.get(d.image_id, d) for d in made]

    def _ask(self, requests: Iterator[Request]) -> Asked:
        assert self.backend is not None
        limits = limits_of(self.workspace, self.backend, self.asked, batch=self.batch)
        if not self.asked:
            self.told_before += notices_about(limits)
        asked = ask(
            self.backend, requests, self.workspace.store, progress=self.progress, what="describe",
            retry_failed=self.retry_failed, judge=parse.judge, mend=mend_with(self.workspace.prompts),
            batch=self.batch, limits=limits,
        )  # fmt: skip
        self.workspace.spent += asked.charged
        self.asked.append(asked)
        return asked

    def _requests(self, images: Sequence[Image]) -> Iterator[Request]:
        return _requests(self.workspace, images, self.answers)

    def notices(self) -> list[Notice]:
        found = self.told_before + [n for asked in self.asked for n in notices_of(asked, self.retry_failed)]
        if self.n_held_back:
            found.append(Notice(
                f"{self.n_held_back:,} descriptions that name their class were not written again",
                code="requests-unanswered",
                why="ask.max_calls allows no more new replies",
                hint="the same command asks for them; until then the names are redacted",
            ))  # fmt: skip
        return found


def _requests(
    workspace: Workspace, images: Sequence[Image], answers: Mapping[int, dict[str, str]]
) -> Iterator[Request]:
    describing = workspace.settings.describe
    template, order = workspace.prompts.get(_BY[describing.by]), _order(workspace)
    for image in images:
        general, pairs = _parts(answers[image.id], order)
        prompt = template.render(general=general, answers=pairs, sentences=describing.sentences)
        yield Request("describe", prompt, subject=image.sha256, max_tokens=describing.max_tokens)


def _text_of(row: Row | None) -> str:
    """The description that a reply holds, "" where it holds none."""
    return parse.value(row["text"]) if row and row["outcome"] in USABLE else ""


def _order(workspace: Workspace) -> list[str]:
    """Attribute names as in attributes.csv: what stands no longer there is no longer told."""
    return [attribute.name for attribute in workspace.attributes()]


def _parts(answers: Mapping[str, str], order: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """The free description, and (attribute in words, value) pairs."""
    pairs = [(name.replace("_", " "), answers[name]) for name in order if name in answers]
    return answers.get(GENERAL, ""), pairs
