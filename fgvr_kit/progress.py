"""How long work tells how far it is. The library calls it; only cli/ draws it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    def advance(self, n: int = 1, note: str = "") -> None:
        """n more units are done; note replaces the words behind the bar."""


class Progress(Protocol):
    def task(self, what: str, total: int | None, *, done: int = 0) -> _TaskContext:
        """A context in which `what` advances from `done` to `total`."""


class _TaskContext(Protocol):
    def __enter__(self) -> Task: ...

    def __exit__(self, *exc: object) -> bool | None: ...


class _SilentTask:
    def advance(self, n: int = 1, note: str = "") -> None:
        pass


class Silent:
    """The default: says nothing."""

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Task]:
        yield _SilentTask()


SILENT: Progress = Silent()
