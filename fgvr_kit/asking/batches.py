"""Asking through a provider's batch service: hand over, leave, and collect with the same command days later.

What is in a batch counts as not yet answered, so the step ends partly done (exit code 4) until all is collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fgvr_kit.asking.limits import OUT_OF_BUDGET
from fgvr_kit.asking.run import Job, Run
from fgvr_kit.backends.base import Backend
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected, SettingsError
from fgvr_kit.progress import Task

if TYPE_CHECKING:
    from fgvr_kit.backends.openai_batch import Batches

IN_BATCH = "in a batch"


def batches_of(backend: Backend) -> Batches:
    """The batch service of a backend. Raises SettingsError for one that has none (code "batch-unsupported")."""
    from fgvr_kit.backends.openai import OpenAI
    from fgvr_kit.backends.openai_batch import Batches

    if not isinstance(backend, OpenAI):
        raise SettingsError(
            f"{backend.spec} takes no batches",
            code="batch-unsupported",
            hint="--batch is for openai:MODEL; leave it out here",
        )
    return Batches(backend)


def ask_by_batch(service: Batches, run: Run, jobs: Sequence[Job], step: str, task: Task) -> None:
    """Collect what is done, hand over what is in no batch yet, and count what is still away.

    Raises BackendError for what is wrong with the server, the key, or a batch as a whole; what was collected
    before that is stored.
    """
    run.is_batch = True
    waiting = {job.key: job for job in jobs}
    away: set[str] = set()
    for batch in run.store.open_batches(run.backend.spec):
        if not _collected(service, run, batch["id"], waiting, task):
            away.update(batch["keys"])
    todo = [job for job in waiting.values() if job.key not in away and not job.is_done]
    unable: dict[str, RequestRejected] = {}
    items = ((job.key, run.request_of(job)) for job in _affordable(run, todo))
    for sent in service.submit(items, unable=unable):
        run.store.put_batch(sent.id, run.backend.spec, step, sent.keys)
        away.update(sent.keys)
    for key, error in unable.items():
        run.keep({key: waiting[key]}, [error], 0.0, task)
    _tell(run, [job for job in waiting.values() if job.key in away and not job.is_done])


def _collected(service: Batches, run: Run, batch_id: str, waiting: dict[str, Job], task: Task) -> bool:
    """Store what a batch answered; False while it is under way. What it left undone is handed over again."""
    try:
        state = service.state(batch_id)
    except BackendRefused as error:
        if error.code != "batch-unknown":
            raise
        run.store.close_batch(batch_id, "unknown to the server")
        return True
    if not state.is_over:
        return False
    if state.status == "failed":
        run.store.close_batch(batch_id, f"failed: {state.problem or 'no reason given'}")
    for key, reply in service.collect(batch_id, {key: run.request_of(job) for key, job in waiting.items()}):
        if key in waiting and not waiting[key].is_done:
            run.keep({key: waiting[key]}, [reply], 0.0, task)
    run.store.close_batch(batch_id, state.status)
    return True


def _affordable(run: Run, jobs: Sequence[Job]) -> Iterator[Job]:
    """As many as the budget pays for; nothing of a batch is settled before all of it is sent."""
    budget, estimator = run.limits.budget, run.limits.estimator
    if budget is None or estimator is None or budget.is_idle:
        yield from jobs
        return
    for place, job in enumerate(jobs):
        if budget.reserve(estimator.of(run.request_of(job))) is None:
            left = jobs[place:]
            run.hold_back(len(left), OUT_OF_BUDGET, run.limits.over_budget(j.request for j in left))
            return
        yield job


def _tell(run: Run, away: Sequence[Job]) -> None:
    if away:
        run.hold_back(len(away), IN_BATCH, BackendError(
            f"{len(away):,} {'reply is' if len(away) == 1 else 'replies are'} still to come from "
            f"{len(run.store.open_batches(run.backend.spec))} of the provider's batches",
            code="batch-under-way",
            hint="they take up to 24 hours",
        ))  # fmt: skip
