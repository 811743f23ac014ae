"""Database: one SQLite file a workspace, in WAL mode, through sqlite-utils, and its transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlite_utils import Database

from fgvr_kit.errors import StoreError
from fgvr_kit.fingerprint import digest_rows
from fgvr_kit.store.migrations import migrations

_MAX_VARIABLES = 500  # SQLite's oldest limit on ? in a statement is 999


class Tables:
    """The open database. The tables' own questions stand in the classes that build on it."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring it up to date.

        Raises StoreError when it was made by a newer fgvr-kit, or is no SQLite database.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self.db = Database(sqlite3.connect(path, timeout=30, check_same_thread=False))
            self.db.enable_wal()
            self.db.execute("pragma synchronous = normal")
            # Keys of replies are random: a million of them looked up through SQLite's usual 2 MB would read the
            # disk's cache for each.
            self.db.execute("pragma cache_size = -65536")  # KiB
            # For the same reason each reply changes a page of its own; carried over from the log once for many
            # replies, it is written once for many. Pages of 4 KB: the log grows to 64 MB.
            self.db.execute("pragma wal_autocheckpoint = 16000")
            self._refuse_newer()
            migrations.apply(self.db)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the database cannot be opened: {error}",
                code="store-unreadable",
                where=str(path),
                hint="is it an fgvr.db of fgvr-kit, and is its disk full or read-only?",
            ) from error

    def _refuse_newer(self) -> None:
        known = {migration.name for migration in migrations.pending(self.db)}
        known |= {migration.name for migration in migrations.applied(self.db)}
        ours = {migration.name for migration in migrations._migrations}
        if newer := sorted(known - ours):
            raise StoreError(
                "this workspace was made by a newer fgvr-kit",
                code="store-newer",
                where=str(self.path),
                why=f"it holds the migration {newer[0]!r}, which this version does not know",
                hint="pip install --upgrade fgvr-kit",
            )

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is there, or nothing is. Nests.

        Waits for another process to finish writing; a deferred transaction that reads first would not.
        """
        if self.db.conn.in_transaction:
            yield
            return
        self.db.conn.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.conn.rollback()
            self.forget()
            raise
        self.db.conn.commit()

    def forget(self) -> None:
        """What was remembered of rows that are no longer there."""

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.db.conn.in_transaction)

    def begin(self) -> None:
        """Begin a transaction that `commit` ends, or go on with the one that is open."""
        if not self.db.conn.in_transaction:
            self.db.conn.execute("begin immediate")

    def commit(self) -> None:
        """What was written since `begin` stands. Nothing happens where no transaction is open."""
        self.db.conn.commit()

    def count(self, table: str, where: str = "1", params: Sequence[Any] = ()) -> int:
        return int(self.db[table].count_where(where, list(params)))

    def digest(self, table: str, columns: Sequence[str], where: str = "1") -> str:
        """16 hex digits of these columns of the rows, in their own order: for fingerprints."""
        names = ", ".join(f"[{c}]" for c in columns)
        return digest_rows(self.db.execute(f"select {names} from [{table}] where {where} order by {names}"))


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Pieces small enough for one statement with a ? for each item."""
    for start in range(0, len(items), _MAX_VARIABLES):
        yield list(items[start : start + _MAX_VARIABLES])
