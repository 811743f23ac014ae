"""How long work tells how far it is. The library calls it; only cli/ draws it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    def advance(self, n: int = 1, note: str = "") -> None:
        """n more units are done; note replaces the words behind the bar."""


class Progress(Protocol):
    def task(self, what: str, total: int | None, *, done: int = 0) -> AbstractContextManager[Task]:
        """A context in which `what` advances from `done` to `total`."""


class _SilentTask:
    def advance(self, n: int = 1, note: str = "") -> None:
        pass


class Silent:
    """The default: says nothing."""

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Task]:
        yield _SilentTask()


SILENT: Progress = Silent()
