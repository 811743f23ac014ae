"""Store: the database of a workspace, whole. Each method is one question or one transaction.

A kill between two calls loses only the call under way.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fgvr_kit.store.batches import BatchTables
from fgvr_kit.store.chains import ChainTables
from fgvr_kit.store.findings import FindingTables
from fgvr_kit.store.images import ImageTables
from fgvr_kit.store.mined import MinedTables
from fgvr_kit.store.replies import ReplyTables
from fgvr_kit.store.runs import RunTables
from fgvr_kit.store.sent import SentTables
from fgvr_kit.types import Summary


class Store(
    ImageTables, FindingTables, ReplyTables, BatchTables, MinedTables, RunTables, SentTables, ChainTables
):
    """The database of a workspace. Use as a context manager, or call close()."""

    def finish(self, step: str, fingerprint: str, summary: Summary) -> None:
        """Write down that a step of the walk stands, what it was made from and what it did."""
        self.db["walk"].upsert(
            {
                "step": step,
                "fingerprint": fingerprint,
                "summary": json.dumps(summary.as_dict(), ensure_ascii=False),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            pk="step",
        )

    def renew(self, step: str, fingerprint: str) -> None:
        """The step stands as it did; what it stands on was changed on purpose."""
        with self.transaction():
            self.db.execute("update walk set fingerprint = ? where step = ?", [fingerprint, step])

    def walk(self) -> dict[str, dict[str, Any]]:
        """step -> {"fingerprint", "summary" (a dict), "finished"} of every step that stands."""
        return {row["step"]: {**row, "summary": json.loads(row["summary"])} for row in self.db["walk"].rows}
