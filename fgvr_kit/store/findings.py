"""What `check` found."""

from __future__ import annotations

from collections.abc import Iterable

from fgvr_kit.store.database import Tables
from fgvr_kit.types import Finding

_COLUMNS = ("kind", "severity", "message", "path", "other", "value", "why", "hint")


class FindingTables(Tables):
    def findings(self, kind: str | None = None) -> list[Finding]:
        """In the order in which they were found; of one kind, or all."""
        where = "where kind = ?" if kind else ""
        rows = self.db.execute(
            f"select {', '.join(_COLUMNS)} from findings {where} order by id", [kind] if kind else []
        )
        return [Finding(*row) for row in rows]

    def put_findings(self, findings: Iterable[Finding]) -> None:
        """Make table `findings` hold just these."""
        with self.transaction():
            self.db["findings"].delete_where()
            self.db.conn.executemany(
                f"insert into findings ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})",
                ((f.kind, f.severity, f.message, f.path, f.other, f.value, f.why, f.hint) for f in findings),
            )
