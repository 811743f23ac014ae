from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking.batches import IN_BATCH
from fgvr_kit.asking.budget import Budget
from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.limits import OUT_OF_BUDGET, Limits
from fgvr_kit.asking.prices import Price
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.errors import BackendError, SettingsError
from fgvr_kit.store import Store
from fgvr_kit.types import Outcome
from tests.asking.scripted import Scripted, said
from tests.backends.batch_server import BatchServer, answered, undone
from tests.backends.contract import opened, question

REQUESTS = [question(n) for n in range(4)]
USD_A_TOKEN = Price("openai:gpt-x", "given", "a test", 2e6, 2e6, 2e6, 1e6, 1e6)


def at(server: BatchServer, folder: Path) -> Backend:
    return opened("openai:gpt-x", folder, openai={"base_url": server.url})


def by_batch(server: BatchServer, folder: Path, store: Store, limits: Limits | None = None) -> Asked:
    return ask(at(server, folder), REQUESTS, store, batch=True, limits=limits or Limits())


def finish(server: BatchServer, batch_id: str, n_undone: int = 0, status: str = "completed") -> None:
    lines = server.lines(batch_id)
    done, not_done = lines[n_undone:], lines[:n_undone]
    server.finish(
        batch_id, [answered(line, "brown") for line in done],
        [undone(line, "batch_expired") for line in not_done], status,
    )  # fmt: skip


def test_a_batch_is_handed_over_left_and_collected_by_the_same_command(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        first = by_batch(server, tmp_path, store)
        assert (first.n_new, first.failures) == (
            1,
            {IN_BATCH: 3},
        )  # one is asked at once: can it be asked so?
        assert first.errors[IN_BATCH].code == "batch-under-way"
        again = by_batch(server, tmp_path, store)  # too early: nothing is sent twice
        assert (again.n_new, again.failures, len(server.batches)) == (0, {IN_BATCH: 3}, 1)
        finish(server, "batch_0")
        last = by_batch(server, tmp_path, store, Limits(price=USD_A_TOKEN))
        assert (last.n_new, last.failures, len(server.batches)) == (3, {}, 1)
        assert last.cost == 3 * 15  # at the batch's price
        assert [row["text"] for _, row in last.rows(REQUESTS) if row] == ["at once", *["brown"] * 3]
        assert store.open_batches("openai:gpt-x") == []
        assert by_batch(server, tmp_path, store).n_stored == 4


def test_what_a_batch_left_undone_goes_into_the_next_one(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        by_batch(server, tmp_path, store)
        finish(server, "batch_0", n_undone=1, status="expired")
        second = by_batch(server, tmp_path, store)
        assert (second.n_new, second.failures) == (2, {IN_BATCH: 1})
        assert len(server.lines("batch_1")) == 1
        finish(server, "batch_1")
        assert by_batch(server, tmp_path, store).failures == {}


def test_a_batch_that_failed_is_told_once_and_then_sent_again(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        by_batch(server, tmp_path, store)
        server.batches["batch_0"]["status"] = "failed"
        server.batches["batch_0"]["errors"] = {"data": [{"code": "bad", "message": "wrong model"}]}
        with pytest.raises(BackendError) as caught:
            by_batch(server, tmp_path, store)
        assert (caught.value.code, "wrong model" in (caught.value.why or "")) == ("batch-failed", True)
        assert by_batch(server, tmp_path, store).failures == {IN_BATCH: 2}
        assert len(server.batches) == 2


def test_a_batch_is_no_larger_than_the_budget(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        estimator = Estimator(at(server, tmp_path), lambda _: None)
        dearest = USD_A_TOKEN.cost(
            *(r.high for r in (estimator.of(REQUESTS[0]).input, estimator.of(REQUESTS[0]).output)), batch=True
        )
        assert dearest is not None
        store.put_batch("batch_gone", "openai:gpt-x", "extract", [])  # so that none is asked at once
        budget = Budget(2.5 * dearest, USD_A_TOKEN, batch=True)
        asked = by_batch(server, tmp_path, store, Limits(0, USD_A_TOKEN, budget, estimator))
        assert asked.failures == {OUT_OF_BUDGET: 2, IN_BATCH: 2}
        assert len(server.lines("batch_0")) == 2


def test_only_openai_takes_batches(store: Store) -> None:
    with pytest.raises(SettingsError) as caught:
        ask(Scripted(lambda _: said()), REQUESTS, store, batch=True)
    assert caught.value.code == "batch-unsupported"


def test_a_run_about_fewer_images_throws_nothing_away_that_was_paid_for(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        by_batch(server, tmp_path, store)
        finish(server, "batch_0")
        some = ask(at(server, tmp_path), REQUESTS[:2], store, batch=True)
        assert (some.n_new, some.n_stored, some.failures) == (1, 1, {})
        rest = by_batch(server, tmp_path, store)
        assert (rest.n_new, rest.n_stored, len(server.batches)) == (2, 2, 1)
        assert store.open_batches("openai:gpt-x") == []


def test_what_is_in_a_batch_is_not_asked_for_at_full_price_meanwhile(store: Store, tmp_path: Path) -> None:
    with BatchServer() as server:
        by_batch(server, tmp_path, store)
        n_calls = len(server.calls)
        plain = ask(at(server, tmp_path), [*REQUESTS, question(9)], store)
        assert (plain.n_new, plain.failures) == (1, {IN_BATCH: 3})
        assert len(server.calls) == n_calls + 1
        assert "--batch" in plain.errors[IN_BATCH].hint


def test_ctrl_c_before_the_batch_is_sent_sends_none(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchServer() as server:
        backend = at(server, tmp_path)
        answer = backend.reply

        async def interrupted(requests: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return await answer(requests)

        monkeypatch.setattr(backend, "reply", interrupted)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                ask(backend, REQUESTS, store, batch=True)
        finally:
            signal.signal(signal.SIGINT, before)
        assert (server.batches, store.count("replies")) == ({}, 1)


def test_a_kill_between_sending_and_noting_the_batch_is_healed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchServer() as server:
        with monkeypatch.context() as killed:
            killed.setattr(Store, "name_batch", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                by_batch(server, tmp_path, store)
        assert len(server.batches) == 1
        again = by_batch(server, tmp_path, store)
        assert (again.failures, len(server.batches)) == ({IN_BATCH: 3}, 1)
        finish(server, "batch_0")
        assert by_batch(server, tmp_path, store).failures == {}


def test_a_kill_in_the_middle_of_collecting_makes_no_reply_its_own_repair(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(_: Request, text: str) -> tuple[Outcome, str]:
        return ("invalid" if text == "brown" else "ok"), text

    def asked(server: BatchServer) -> Asked:
        return ask(at(server, tmp_path), REQUESTS, store, batch=True, judge=judge, mend=lambda *_: "better")

    with BatchServer() as server:
        asked(server)
        finish(server, "batch_0")
        with monkeypatch.context() as killed:
            killed.setattr(Store, "close_batch", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                asked(server)
        second = asked(server)
        assert second.failures == {IN_BATCH: 3}
        lines = server.lines("batch_1")
        assert [len(line["body"]["messages"]) for line in lines] == [3, 3, 3]
        assert {row["calls"] for row in store.all_replies()} == {1}
        server.finish("batch_1", [answered(line, "a brown one") for line in lines], [])
        assert asked(server).outcomes == {"ok": 1, "repaired": 3}
