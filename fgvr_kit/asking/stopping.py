"""Ctrl-C while a model is being asked: the first one lets what is in flight come in, the second one stops."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_ctrl_c(first: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first Ctrl-C; the second one cancels the running task, as Ctrl-C otherwise does.

    Without effect outside the main thread, and where event loops cannot listen to signals (Windows): there the
    first one stops.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    n = 0

    def pressed() -> None:
        nonlocal n
        n += 1
        if n == 1:
            first()
        else:
            task.cancel()

    before = signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, pressed)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
