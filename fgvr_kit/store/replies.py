"""What models said, and what was made of it: answers and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.types import Answer, Description


class ReplyTables(Tables):
    def replies(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of table `replies` by their key, for those that are there."""
        found: dict[str, dict[str, Any]] = {}
        for chunk in chunks(keys):
            marks = ",".join("?" * len(chunk))
            found |= {row["key"]: row for row in self.db["replies"].rows_where(f"key in ({marks})", chunk)}
        return found

    def all_replies(self) -> Iterator[dict[str, Any]]:
        yield from self.db["replies"].rows_where(order_by="id")

    def put_replies(self, rows: Iterable[dict[str, Any]]) -> None:
        """Insert replies in one transaction; a reply whose key is there is replaced (asked again on request)."""
        with self.transaction():
            for row in rows:
                old = self.db.execute("select id from replies where key = ?", [row["key"]]).fetchone()
                now = {"created": datetime.now(UTC).isoformat(timespec="seconds")}
                self.db["replies"].upsert({**row, **now, "id": old[0]}, pk="id") if old else (
                    self.db["replies"].insert({**row, **now})
                )

    def answers(self) -> dict[int, dict[str, str]]:
        """image id -> attribute -> value."""
        found: dict[int, dict[str, str]] = {}
        for image_id, attribute, value in self.db.execute(
            "select image_id, attribute, value from answers order by image_id, attribute"
        ):
            found.setdefault(image_id, {})[attribute] = value
        return found

    def put_answers(self, answers: Sequence[Answer]) -> None:
        """Make table `answers` hold just these."""
        with self.transaction():
            self.db["answers"].delete_where()
            self.db["answers"].insert_all(
                {"image_id": a.image_id, "attribute": a.attribute, "value": a.value, "reply_id": a.reply_id}
                for a in answers
            )

    def notes_of_answers(self) -> list[str]:
        """The distinct notes of the replies that table `answers` rests on ("untrained toy model")."""
        rows = self.db.execute(
            "select distinct note from replies where note is not null"
            " and id in (select reply_id from answers) order by note"
        )
        return [note for (note,) in rows]

    def descriptions(self) -> dict[int, str]:
        """image id -> text."""
        return dict(self.db.execute("select image_id, text from descriptions order by image_id").fetchall())

    def put_descriptions(self, descriptions: Sequence[Description]) -> None:
        """Make table `descriptions` hold just these."""
        with self.transaction():
            self.db["descriptions"].delete_where()
            self.db["descriptions"].insert_all(
                {"image_id": d.image_id, "text": d.text, "source": d.source, "reply_id": d.reply_id}
                for d in descriptions
            )
