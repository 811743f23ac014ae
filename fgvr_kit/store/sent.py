"""Which wordings of a prompt models were sent."""

from __future__ import annotations

from typing import Any

from fgvr_kit.store.database import Tables

_OF_PROMPT = """
select p.template_hash, count(*) as n, min(r.created) as first, max(r.created) as last,
       group_concat(distinct r.backend) as backends
from replies r join prompts p on p.id = r.prompt_id
where p.name = ?
group by p.template_hash
order by max(r.created) desc, max(r.id) desc
"""


_BY = """
select p.template_hash
from replies r join prompts p on p.id = r.prompt_id
where p.name = ? and substr(r.created, 1, ?) <= ?
order by r.created desc, r.id desc
limit 1
"""


class SentTables(Tables):
    def sent_wordings(self, prompt: str) -> list[dict[str, Any]]:
        """A row for each template hash of a prompt, the newest first: template_hash, n (replies), first, last (when
        they came), backends (with commas)."""
        cursor = self.db.conn.execute(_OF_PROMPT, [prompt])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def wording_sent_by(self, prompt: str, when: str) -> str | None:
        """The template hash of the newest reply to a prompt by the end of a time.

        when: the beginning of an ISO time: "2026-10" is all of October. None where nothing was sent by then.
        """
        found = self.db.execute(_BY, [prompt, len(when), when]).fetchone()
        return found[0] if found else None

    def last_reply_to(self, prompt: str, template_hash: str) -> dict[str, Any] | None:
        """The newest row of view `replies_with_prompts` that was sent with this wording."""
        rows = self.db["replies_with_prompts"].rows_where(
            "prompt_name = ? and template_hash = ?",
            [prompt, template_hash],
            order_by="created desc, id desc",
            limit=1,
        )
        return next(iter(rows), None)
