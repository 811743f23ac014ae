"""Asking through a provider's batch service: hand over, leave, and collect with the same command days later.

What is in a batch counts as not yet answered, so the step ends partly done (exit code 4) until all is collected.
A reply is known there by its key, that of a repair turn by its key and ".2".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fgvr_kit.asking.limits import OUT_OF_BUDGET
from fgvr_kit.asking.run import Job, Run
from fgvr_kit.backends.base import Backend
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected, SettingsError
from fgvr_kit.progress import Task

if TYPE_CHECKING:
    from fgvr_kit.backends.openai_batch import Batches

IN_BATCH = "in a batch"
_REPAIR = ".2"
_FILE = "file:"
"""Before the id of a file that was sent, and of whose batch nobody knows yet whether it was made."""


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


def in_no_batch(run: Run, jobs: Sequence[Job]) -> list[Job]:
    """Those that no batch is going to answer; the others are counted, and not paid for twice."""
    away = {_key(one) for batch in run.store.open_batches(run.backend.spec) for one in batch["keys"]}
    _tell(run, [job for job in jobs if job.key in away])
    return [job for job in jobs if job.key not in away]


def ask_by_batch(service: Batches, run: Run, jobs: Sequence[Job], step: str, task: Task) -> None:
    """Collect what is done, hand over what is in no batch yet, and count what is still away.

    Raises BackendError for what is wrong with the server, the key, or a batch as a whole; what was collected
    before that is stored.
    """
    run.is_batch = True
    waiting = {job.key: job for job in jobs}
    away: set[str] = set()
    for batch in run.store.open_batches(run.backend.spec):
        if not _collected(service, run, _found(service, run, batch), waiting, task):
            away.update(map(_key, batch["keys"]))
    todo = [job for job in waiting.values() if job.key not in away and not job.is_done]
    unable: dict[str, RequestRejected] = {}
    items = ((_name(job), run.request_of(job)) for job in _affordable(run, todo))

    def noted(file_id: str, names: Sequence[str]) -> None:
        run.store.put_batch(f"{_FILE}{file_id}", run.backend.spec, step, names)

    for sent in service.submit(items, unable=unable, noted=noted):
        run.store.name_batch(f"{_FILE}{sent.file_id}", sent.id)
        away.update(map(_key, sent.keys))
    for name, error in unable.items():
        run.keep({_key(name): waiting[_key(name)]}, [error], 0.0, task)
    _tell(run, [job for job in waiting.values() if job.key in away and not job.is_done])


def _found(service: Batches, run: Run, batch: dict[str, Any]) -> dict[str, Any]:
    """A kill may have come between sending a file and noting its batch: look for that batch, or make it now."""
    if not batch["id"].startswith(_FILE):
        return batch
    batch_id = service.start(batch["id"].removeprefix(_FILE))
    run.store.name_batch(batch["id"], batch_id)
    return {**batch, "id": batch_id}


def _collected(
    service: Batches, run: Run, batch: dict[str, Any], waiting: dict[str, Job], task: Task
) -> bool:
    """Store what a batch answered; False while it is under way. What it left undone is handed over again.

    A batch in which there is more than is waited for stays open: what is paid for is collected by whoever wants it.
    """
    try:
        state = service.state(batch["id"])
    except BackendRefused as error:
        if error.code != "batch-unknown":
            raise
        run.store.close_batch(batch["id"], "unknown to the server")
        return True
    if not state.is_over:
        return False
    if state.status == "failed":
        run.store.close_batch(batch["id"], f"failed: {state.problem or 'no reason given'}")
    requests = {_name(job): run.request_of(job) for job in waiting.values()}
    for name, reply in service.collect(batch["id"], requests):
        job = waiting.get(_key(name))
        # The first reply of a job that is to be repaired is stored already; it is not the repair.
        if job is not None and not job.is_done and name == _name(job):
            run.keep({job.key: job}, [reply], 0.0, task)
    others = [_key(name) for name in batch["keys"] if _key(name) not in waiting]
    if len(run.store.standing(others)) == len(set(others)):
        run.store.close_batch(batch["id"], state.status)
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


def _name(job: Job) -> str:
    return job.key if job.first is None else f"{job.key}{_REPAIR}"


def _key(name: str) -> str:
    return name.removesuffix(_REPAIR)


def _tell(run: Run, away: Sequence[Job]) -> None:
    if away:
        replies = "1 reply is" if len(away) == 1 else f"{len(away):,} replies are"
        run.hold_back(len(away), IN_BATCH, BackendError(
            f"{replies} still to come from the provider's batches",
            code="batch-under-way",
            hint="they take up to 24 hours; the same command with --batch collects them",
        ))  # fmt: skip
