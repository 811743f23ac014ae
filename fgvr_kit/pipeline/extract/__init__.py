"""extract: look at every image, describe it freely, and answer every attribute's question.

Finedefics (after FineR): a VQA model answers, blind to the label. Attributes with a closed list of values may
be answered by another backend than the others, which weighs them instead of writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.keys import ReplyKeys
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.parse import judge
from fgvr_kit.asking.replies import Row
from fgvr_kit.asking.stored import replies_to
from fgvr_kit.backends.base import Backend, Request, open_backend
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.extract.answers import Answers, Rows
from fgvr_kit.pipeline.extract.questions import Questions, prompts_used
from fgvr_kit.pipeline.planted import planted_names
from fgvr_kit.pipeline.spending import limits_of, notices_about
from fgvr_kit.pipeline.unanswered import models_changed, nothing_answered, notices_of, why_none
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import Image, Notice, Summary
from fgvr_kit.workspace import Workspace

HINTED = "extracted by a model that was told the class"


def extract(
    workspace: Workspace,
    *,
    limit: int | None = None,
    retry_failed: bool = False,
    batch: bool = False,
    progress: Progress = SILENT,
) -> Summary:
    """Fill table `answers` for all images: the free description and one value an attribute.

    limit: only the first so many images by path, to try before paying; the step does not count as done, and
    answers of an earlier complete run stay. It does not count as done either where a request got no reply.
    retry_failed: ask again where the stored reply is no answer.  batch: through the provider's batch service.
    Raises DatasetError without attributes, SettingsError without a backend, BackendError when nobody answers.
    """
    settings, store = workspace.settings, workspace.store
    attributes = workspace.attributes()
    images = store.images()
    if not images:
        raise workspace.no_images()
    made_from = fingerprint_of(workspace)  # before the work: what is edited meanwhile makes the step stale
    chosen = images[:limit]
    questions = Questions(workspace, attributes)
    backends = backends_of(workspace)
    told_before = [note for each in backends.values() for note in notices_about(limits_of(workspace, each))]
    by_kind: dict[bool | None, Asked] = {}
    for is_closed, backend in backends.items():
        by_kind[is_closed] = ask(
            backend, _requests(questions, chosen, settings.extract.samples, is_closed), store,
            progress=progress, what="extract", retry_failed=retry_failed, judge=judge,
            mend=mend_with(workspace.prompts), batch=batch,
            limits=limits_of(workspace, backend, by_kind.values(), batch=batch),
        )  # fmt: skip
        workspace.spent += by_kind[is_closed].charged
    asked = list(by_kind.values())
    answers = Answers(questions, rows_of(workspace, backends), why_none(asked), store.corrections())
    is_whole = len(chosen) == len(images)
    stands = "extract" in store.walk()
    with store.transaction():
        if is_whole or not stands:
            some = None if is_whole else [image.id for image in chosen]
            n_answers = store.put_answers(answers.of(chosen), images=some)
        else:
            n_answers = sum(1 for _ in answers.of(chosen))
        if not n_answers:
            raise nothing_answered(_named(backends), asked, answers.dropped)
    done: dict[str, Any] = {"backend": _named(backends), "images": len(chosen)}
    if not is_whole:
        done["images"] = f"the first {len(chosen):,} of {len(images):,}"
    done |= {
        "attributes": len(attributes), "answers": n_answers, "of": n_answers + answers.dropped.total(),
        **told(asked),
    }  # fmt: skip
    notices = [*told_before, *(n for each in asked for n in notices_of(each, retry_failed))]
    notices += _never_asked(questions)
    notices += _limited(len(chosen), len(images), stands)
    notices += _planted(workspace)
    notices += [n for backend in backends.values() for n in models_changed(workspace, backend, "extract")]
    notes = {note for each in asked for note in each.notes} | ({HINTED} if settings.extract.hinted else set())
    rows = tuple(("answers", n, reason) for reason, n in answers.dropped.most_common())
    summary = Summary("extract", done, rows, tuple(sorted(notes)), tuple(notices))
    if is_whole and not any(each.failures for each in asked):
        store.finish("extract", made_from, summary)
    return summary


def fingerprint_of(workspace: Workspace) -> str:
    """All that decides the answers."""
    extract, attributes = workspace.settings.extract, workspace.attributes()
    parts: list[Any] = [
        "extract", workspace.store.digest_images(["path", "sha256"]),
        [(a.name, a.question) for a in attributes], extract.backend, extract.ask, extract.max_tokens,
        workspace.prompts.hashes(prompts_used(workspace, attributes)),
    ]  # fmt: skip
    # What is new stands here only where it is used: a workspace of before is not stale because of it.
    if any(a.options or a.superclass for a in attributes):
        parents = {name: c.parent for name, c in workspace.classes().items()}
        parts += [[(a.options, a.superclass) for a in attributes], extract.closed_by, parents]
    if extract.samples > 1:
        parts += [extract.samples, extract.temperature]
    if extract.hinted:
        parts.append({name: c.display_name for name, c in workspace.classes().items()})
    return fingerprint(*parts)


def backends_of(workspace: Workspace) -> dict[bool | None, Backend]:
    """Who answers closed questions (True) and the others (False); None: all of them."""
    settings, root = workspace.settings, workspace.root
    main = open_backend(settings.extract.backend, settings, root, key="extract.backend")
    if not settings.extract.closed_by or not any(a.options for a in workspace.attributes()):
        return {None: main}
    closed = open_backend(settings.extract.closed_by, settings, root, key="extract.closed_by")
    return {False: main, True: closed}


def parts_for(
    workspace: Workspace, *, limit: int | None = None
) -> list[tuple[Backend, Callable[[], Iterator[Request]]]]:
    """Each backend with what makes the requests that it is to answer, anew at each call; for plans.

    Raises as extract does before it asks.
    """
    images = workspace.store.images()[:limit]
    if not images:
        raise workspace.no_images()
    questions, samples = Questions(workspace, workspace.attributes()), workspace.settings.extract.samples
    return [
        (backend, partial(_requests, questions, images, samples, is_closed))
        for is_closed, backend in backends_of(workspace).items()
    ]


def told(asked: Sequence[Asked]) -> dict[str, Any]:
    """Rows of a step's table about its calls."""
    rows: dict[str, Any] = {
        "asked now": sum(each.n_new for each in asked),
        "already stored": sum(each.n_stored for each in asked),
    }
    repaired = sum(each.outcomes["repaired"] for each in asked)
    tokens, cost = sum(each.tokens for each in asked), sum(each.cost for each in asked)
    n_unpriced = sum(each.n_unpriced for each in asked)
    rows |= {"repaired": repaired} if repaired else {}
    rows |= {"tokens": tokens} if tokens else {}
    if cost:
        unknown = f", and {n_unpriced:,} calls of unknown price" if n_unpriced else ""
        rows["cost"] = f"{cost:.4f} USD{unknown}"
    return rows


def _requests(
    questions: Questions, images: Sequence[Image], samples: int, is_closed: bool | None
) -> Iterator[Request]:
    """is_closed: only those that are, or are not; None: all."""
    requests = chain.from_iterable(questions.about(images, sample=sample) for sample in range(samples))
    return (r for r in requests if is_closed is None or bool(r.options) == is_closed)


def rows_of(workspace: Workspace, backends: Mapping[bool | None, Backend]) -> Rows:
    """Reads the stored replies of whoever answers which questions; asks nobody."""
    keys = {is_closed: ReplyKeys(backend) for is_closed, backend in backends.items()}

    def rows(requests: Sequence[Request]) -> Iterator[tuple[Request, Row | None]]:
        for is_closed, own in keys.items():
            mine = (r for r in requests if is_closed is None or bool(r.options) == is_closed)
            yield from replies_to(mine, own, workspace.store)

    return rows


def _named(backends: dict[bool | None, Backend]) -> str:
    return " and ".join(dict.fromkeys(backend.spec for backend in backends.values()))


def _planted(workspace: Workspace) -> Iterable[Notice]:
    """Prompts and questions that name a class give the answer away; told, and left to the user."""
    hinted = workspace.settings.extract.hinted
    planted = planted_names(workspace, prompts_used(workspace, workspace.attributes()))
    if planted and not hinted:
        first = planted[0]
        yield Notice(
            f"{len(planted)} {'place' if len(planted) == 1 else 'places'} in prompts and questions name a class",
            code="prompt-names-class",
            where=first.where,
            why=f"{first.found!r} tells the model what it is to find out",
            hint="fgvr-kit prompts lint shows them all",
        )


def _never_asked(questions: Questions) -> Iterable[Notice]:
    for attribute in questions.never_asked():
        yield Notice(
            f"{attribute.name!r} was asked of no image: no class is below {attribute.superclass!r}",
            code="superclass-unknown",
            where="attributes.csv",
            hint="column superclass must hold a `parent` of classes.csv, or nothing",
        )


def _limited(n: int, n_all: int, stands: bool) -> Iterable[Notice]:
    if n < n_all:
        yield Notice(
            f"only the first {n} of {n_all} images were looked at",
            code="extract-limited",
            why="the answers of the last complete run stay in force" if stands else None,
            hint="without --limit the others follow; what is stored is not asked again",
        )
