from __future__ import annotations

from pathlib import Path

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Request, Turn
from fgvr_kit.errors import RequestRejected
from fgvr_kit.store import Store
from fgvr_kit.types import Outcome
from tests.asking.scripted import Scripted, error, said
from tests.backends.contract import question

ROOT = Path(__file__).parents[2]


def judge(_: Request, text: str) -> tuple[Outcome, str]:
    return ("ok" if text.startswith("{") else "invalid"), text


def mend(_: Request, said: str) -> str:
    return f"{said!r} is no JSON"


def test_an_invalid_reply_gets_one_turn_and_what_was_said_first_is_kept(store: Store) -> None:
    backend = Scripted(lambda r: said("{}" if r.turns else "Sure!"))
    asked = ask(backend, [question(1)], store, judge=judge, mend=mend)
    row = asked.row(question(1))
    assert row is not None
    assert (row["outcome"], row["text"], row["rejected"], row["calls"]) == ("repaired", "{}", "Sure!", 2)
    assert (row["input_tokens"], row["output_tokens"], asked.n_new, asked.n_calls) == (10, 4, 1, 2)
    assert [r.turns for r in backend.requests] == [(), (Turn("Sure!", "'Sure!' is no JSON"),)]


def test_it_is_one_turn_only_and_never_for_a_refusal_or_a_reply_that_was_cut_off(store: Store) -> None:
    replies = {
        "Question 1?": said("no"),
        "Question 2?": said("no", "refused"),
        "Question 3?": said("no", "length"),
    }
    backend = Scripted(lambda r: replies[r.prompt.text])
    requests = [question(n) for n in (1, 2, 3)]
    asked = ask(backend, requests, store, judge=judge, mend=mend)
    assert asked.n_calls == 4
    assert asked.outcomes == {"invalid": 1, "refused": 1, "cut_off": 1}
    assert ask(backend, requests, store, judge=judge, mend=mend).n_calls == 0


def test_a_kill_before_the_repair_turn_costs_nothing(store: Store) -> None:
    first = Scripted(lambda _: said("Sure!"))
    ask(first, [question(1)], store, judge=judge)  # as if killed between the reply and its repair
    backend = Scripted(lambda _: said("{}"))
    row = ask(backend, [question(1)], store, judge=judge, mend=mend).row(question(1))
    assert row is not None
    assert [len(r.turns) for r in backend.requests] == [1]
    assert (row["outcome"], row["rejected"], row["calls"]) == ("repaired", "Sure!", 2)


def test_when_the_repair_turn_gets_no_reply_the_first_one_stands(store: Store) -> None:
    backend = Scripted(lambda r: error("no-recorded-reply", RequestRejected) if r.turns else said("Sure!"))
    asked = ask(backend, [question(1)], store, judge=judge, mend=mend)
    row = asked.row(question(1))
    assert row is not None
    assert (row["outcome"], row["calls"], asked.failures) == ("invalid", 1, {"no recorded reply": 1})
