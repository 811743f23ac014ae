"""How far long work is: a bar on a terminal, otherwise a line every 30 seconds; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fgvr_kit.progress import Progress, Task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichBar
    from rich.progress import ProgressColumn, TaskID
    from rich.progress import Task as RichTask

SECONDS_BETWEEN_LINES = 30.0


def choose(console: Console) -> Progress:
    return Bars(console) if console.is_terminal else Lines(console)


class _BarTask:
    def __init__(self, bar: RichBar, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def advance(self, n: int = 1, note: str = "") -> None:
        self._bar.update(self._task, advance=n, note=note)


def _rate_column() -> ProgressColumn:
    from rich import progress as rich_progress
    from rich.text import Text

    class Rate(rich_progress.ProgressColumn):
        """Units a second; nothing until two of them are done."""

        def render(self, task: RichTask) -> Text:
            return Text("" if not task.speed else f"{task.speed:.{0 if task.speed >= 10 else 1}f}/s")

    return Rate()


class Bars:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Task]:
        from rich import progress as rich_progress

        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            _rate_column(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
        )
        with rich_progress.Progress(*columns, console=self._console, transient=True) as bar:
            yield _BarTask(bar, bar.add_task(what, total=total, completed=done, note=""))


class _LineTask:
    def __init__(self, console: Console, what: str, total: int | None, done: int) -> None:
        self._console, self._what, self._total, self._done = console, what, total, done
        self._first, self._started = done, time.monotonic()
        self._said = self._started

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            rate = (self._done - self._first) / (now - self._started)
            of = f"/{self._total}" if self._total is not None else ""
            left = f", {(self._total - self._done) / rate:.0f} s left" if self._total and rate > 0 else ""
            self._say(f"{self._what}: {self._done}{of}, {rate:.1f}/s{left} {note}".rstrip())

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Task]:
        yield _LineTask(self._console, what, total, done)
