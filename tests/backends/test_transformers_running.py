"""How it runs: batches of like length, a thread of its own, and Ctrl-C that is heard."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.backends.transformers import Transformers
from fgvr_kit.backends.transformers.batches import Batches
from fgvr_kit.backends.transformers.worker import Worker
from fgvr_kit.families.base import Ask
from fgvr_kit.families.sequences.reading import Reading, Seen
from tests.backends.contract import opened, question


def readings(*lengths: int, seen: Seen | None = None) -> dict[int, Reading]:
    return {n: Reading(Ask(""), "", tuple(range(length)), seen) for n, length in enumerate(lengths)}


# --- batches ----------------------------------------------------------------------------------------------


def test_like_lengths_and_like_limits_go_together() -> None:
    lengths = readings(9, 3, 8, 2, 7, 1)
    assert Batches(2, "x").of(lengths, dict.fromkeys(lengths, 5)) == [[5, 3], [1, 4], [2, 0]]
    limits = {n: 100 if n % 2 else 5 for n in lengths}
    assert Batches(3, "x").of(lengths, limits) == [[4, 2, 0], [5, 3, 1]]


def test_questions_about_one_image_stay_together() -> None:
    one, other = (Seen((), torch_zeros(), {}) for _ in range(2))
    mixed = {n: Reading(Ask(""), "", tuple(range(5 + n)), (one, other)[n % 2]) for n in range(6)}
    assert Batches(3, "x").of(mixed, dict.fromkeys(mixed, 5)) == [[0, 2, 4], [1, 3, 5]]


def torch_zeros() -> Any:
    import torch

    return torch.zeros(0, 1)


def test_what_fits_is_counted_with_padding_and_answers() -> None:
    batches = Batches(8, "x")
    batches.most_tokens = 40
    lengths = readings(5, 5, 5, 10, 60)
    limits = dict.fromkeys(lengths, 5)
    assert batches.of(lengths, limits) == [[0, 1, 2], [3], [4]]  # one alone is always tried
    assert batches.tokens([2, 3], lengths, limits) == 30


# --- threads ----------------------------------------------------------------------------------------------


def test_the_event_loop_turns_while_the_model_works(toy_vlm_path: Path, tmp_path: Path) -> None:
    backend = opened("transformers:toy-vlm", tmp_path, transformers={"device": "cpu"})
    turns = 0

    async def beside() -> None:
        nonlocal turns
        task = asyncio.ensure_future(backend.reply([question(1, max_tokens=200)]))
        while not task.done():
            turns += 1
            await asyncio.sleep(0.001)

    asyncio.run(beside())
    assert turns > 20


def test_photographs_are_opened_while_the_model_works(
    toy_vlm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = opened("transformers:toy-vlm", tmp_path, transformers={"device": "cpu"})
    assert isinstance(backend, Transformers)
    opened_one = threading.Event()
    begun: list[bool] = []

    def opening(request: Request) -> Any:
        if request.attribute == "attribute 2":
            opened_one.set()
        return ask(request)

    def answering(*args: Any) -> Any:
        begun.append(opened_one.wait(timeout=60))  # the first hand-over works until the second is opened
        return answers(*args)

    ask, answers = backend._ask, backend._answers
    monkeypatch.setattr(backend, "_ask", opening)
    monkeypatch.setattr(backend, "_answers", answering)

    async def two() -> None:
        await asyncio.gather(backend.reply([question(1)]), backend.reply([question(2)]))

    asyncio.run(two())
    assert begun == [True, True]


def test_a_cancelled_hand_over_stops_at_the_next_token(
    toy_vlm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = opened("transformers:toy-vlm", tmp_path, transformers={"device": "cpu"})
    assert isinstance(backend, Transformers)
    vlm = backend._load()
    monkeypatch.setattr(vlm.model.generation_config, "exponential_decay_length_penalty", None)
    begun, ended = threading.Event(), threading.Event()
    answers = backend._answers

    def watched(*args: Any) -> Any:
        begun.set()
        try:
            return answers(*args)
        finally:
            ended.set()

    monkeypatch.setattr(backend, "_answers", watched)

    async def cancel() -> None:
        endless = asyncio.ensure_future(backend.reply([question(1, max_tokens=1900)]))
        await asyncio.to_thread(begun.wait)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert not ended.is_set()  # nobody waited for the model

    asyncio.run(cancel())
    assert ended.wait(timeout=60)


def test_what_a_job_raises_reaches_whoever_waits() -> None:
    worker = Worker("test")

    def fail() -> None:
        raise ValueError("told")

    with pytest.raises(ValueError, match="told"):
        asyncio.run(worker.do(fail))
    assert asyncio.run(worker.do(lambda: 7)) == 7  # the thread lives on
    worker.end()


def test_a_backend_that_nobody_holds_takes_its_weights_and_threads_along(
    toy_vlm_path: Path, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    backend = opened("transformers:toy-vlm", tmp_path, transformers={"device": "cpu"})
    assert isinstance(backend, Transformers)
    asyncio.run(backend.reply([question(1)]))
    weights, threads = weakref.ref(backend._load().model), set(threading.enumerate()) - before
    assert len(threads) == 2
    del backend
    gc.collect()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert weights() is None


# --- Ctrl-C -----------------------------------------------------------------------------------------------

_ENDLESS = """
import sys
from pathlib import Path
from fgvr_kit.asking.engine import ask
from fgvr_kit.store import Store
from tests.backends.contract import opened, question
backend = opened("transformers:toy-vlm", Path(sys.argv[1]), transformers={"device": "cpu", "batch_size": 1})
backend._load().model.generation_config.exponential_decay_length_penalty = None
generate = backend._load().generate
def said(*args, **kwargs):
    print("works", flush=True)
    return generate(*args, **kwargs)
backend._load().generate = said
with Store(Path(sys.argv[1]) / "fgvr.db") as store:
    try:
        ask(backend, [question(n, max_tokens=int(sys.argv[2])) for n in range(400)], store)
    except KeyboardInterrupt:
        print(len(list(store.all_replies())), flush=True)
        sys.exit(130)
"""


@pytest.mark.parametrize(("max_tokens", "presses"), [pytest.param(4, 1, marks=pytest.mark.slow), (1900, 2)])
def test_ctrl_c_lets_what_is_in_flight_come_in_and_a_second_one_does_not(
    toy_vlm_path: Path, tmp_path: Path, max_tokens: int, presses: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path), str(max_tokens)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    rest, _ = process.communicate(timeout=100)
    assert process.returncode == 130
    n = int(rest.splitlines()[-1])
    assert (n == 0) == (presses == 2)
    assert n < 400
