"""Looking at pictures beside their answers, and correcting them: what the page is told, and what it writes.

A person's value is a row of table `corrections`: extraction never overwrites it, and the machine's stays beside it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from fgvr_kit.dataset.images import open_known, shrink
from fgvr_kit.errors import UsageError, WorkspaceError
from fgvr_kit.pipeline.extract.questions import Questions, options_of
from fgvr_kit.report.render import visible
from fgvr_kit.report.review_filters import UNSURE, Filters, chosen, differ, said_again
from fgvr_kit.types import GENERAL, NOT_VISIBLE, Attribute, Image
from fgvr_kit.workspace import Workspace

MOST_VALUES = 40
"""Values of an attribute that its field offers."""
LONGEST, LONGEST_GENERAL = 400, 4_000
"""Characters of a value, and of the free description."""
MOST_PIXELS = 1_600 * 1_200
"""Of a picture as it is shown."""
PATIENCE = 2.0
"""Seconds that a correction waits for another fgvr-kit to end, before the page is told."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """What was done, against what stood before. reviewed: images whose attributes all have a person's value now,
    and had not. corrected: values that differ from the machine's; confirmed: that do not."""

    reviewed: int
    corrected: int
    confirmed: int
    taken_back: int


class Conflict(Exception):
    """Somebody else has written meanwhile. names: the attributes."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = list(names)


class Review:
    """One sitting in one workspace. Called from several threads: one at a time reaches the store."""

    def __init__(self, workspace: Workspace, author: str) -> None:
        """Raises WorkspaceError without images, DatasetError without attributes."""
        self.workspace, self.author = workspace, author
        self.attributes = {a.name: a for a in workspace.attributes()}
        self._questions = Questions(workspace, list(self.attributes.values()))
        self.images = {image.id: image for image in workspace.store.images()}
        if not self.images:
            raise workspace.no_images()
        self.class_names = sorted({image.class_name for image in self.images.values()})
        self._ids: dict[str, list[int]] = defaultdict(list)
        for image in self.images.values():
            self._ids[image.sha256].append(image.id)
        self._lock = RLock()
        self._has_samples = workspace.store.has_samples()
        self._before: dict[tuple[str, str], str | None] = {}
        self._reviewed_before = self._reviewed_pictures(None)

    # --- what the page is told ------------------------------------------------------------------------------

    def page(self) -> dict[str, Any]:
        """What does not change while the page is open. classes: shown names, chosen by their place."""
        with self._lock:
            store = self.workspace.store
            return {
                "n": len(self.images),
                "classes": [visible(name) for name in self.class_names],
                "kinds": sorted({finding.kind for finding in store.findings() if finding.path}),
                "attributes": [self._field(name) for name in (GENERAL, *self.attributes)],
                "not_visible": NOT_VISIBLE,
                "unsure": UNSURE,
                "has_samples": self._has_samples,
                "has_confidence": bool(store.count("answers", "confidence is not null")),
                "author": self.author,
            }

    def listed(self, filters: Filters) -> dict[str, Any]:
        """ids of the images that are shown, in order, and which of them are reviewed.

        Raises UsageError "review-filter" for a filter that does not exist.
        """
        with self._lock:
            self._refuse_unknown(filters)
            shown = chosen(self.workspace.store, self.images.values(), self._names, filters)
            reviewed = self._reviewed_pictures(filters.attribute or None)
        return {
            "ids": [image.id for image in shown],
            "reviewed": [image.id for image in shown if image.sha256 in reviewed],
        }

    def shown(self, image_id: int, *, with_class: bool = False) -> dict[str, Any]:
        """One image with its answers. Its class and its path (which may tell it) only if they are asked for.

        Raises KeyError for an image that is not there.
        """
        image = self.images[image_id]
        with self._lock:
            rows = {row["attribute"]: row for row in self.workspace.store.chain_of_answers(image_id)}
            others = self._others(image_id) if self._has_samples else {}
        told: dict[str, Any] = {"id": image_id, "copies": len(self._ids[image.sha256]) - 1}
        if with_class:
            told |= {"class": visible(image.class_name), "path": visible(image.path), "split": image.split}
        names = (GENERAL, *self._names(image))
        return told | {"answers": [_answer(name, rows.get(name), others.get(name, [])) for name in names]}

    def reply(self, reply_id: int) -> dict[str, Any]:
        """What was sent, and what was said. Raises KeyError."""
        with self._lock:
            row = self.workspace.store.reply_of_id(reply_id)
        if row is None:
            raise KeyError(reply_id)
        names = ("text", "rejected", "system", "prompt", "model", "backend", "outcome", "created")
        return {name: visible_lines(row[name]) for name in names}

    def picture(self, image_id: int) -> bytes:
        """The image as a JPEG of at most MOST_PIXELS, without what its file tells. Raises KeyError, ImageError."""
        from io import BytesIO

        small = shrink(open_known(self.workspace.ref_of(self.images[image_id])), MOST_PIXELS)
        small.info = {}
        file = BytesIO()
        small.save(file, "JPEG", quality=90)
        return file.getvalue()

    # --- what the page writes -------------------------------------------------------------------------------

    def write(
        self, image_id: int, changes: Mapping[str, str | None], was: Mapping[str, str | None],
        within: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Write what a person says, all of it or nothing; None or "" takes it back.

        was: the values that the person saw.  within: the attribute that is reviewed alone. Returns `shown` with
        which images are reviewed now. Raises KeyError for an image that is not there, UsageError "review-value"
        for a value that cannot be, Conflict when an answer is another by now, WorkspaceError "workspace-busy" when
        another fgvr-kit writes for longer than PATIENCE.
        """
        image = self.images[image_id]
        written = {name: self._checked(image, name, value) for name, value in changes.items()}
        with self._lock, self._busy():
            now = {row["attribute"]: row for row in self.workspace.store.chain_of_answers(image_id)}
            others = [name for name in written if name in was and was[name] != _value(now.get(name))]
            if others:
                raise Conflict(others)
            with self.workspace.store.transaction():
                for name, value in written.items():
                    row = now.get(name)
                    self._before.setdefault((image.sha256, name), row["written"] if row else None)
                    self.workspace.store.put_correction(image.sha256, name, value, self.author)
            ids = self._ids[image.sha256]
            is_reviewed = image.sha256 in self._reviewed_pictures(within)
        return {"image": self.shown(image_id), "ids": ids, "reviewed": is_reviewed}

    def sitting(self) -> Sitting:
        """What was done since this began."""
        with self._lock:
            written = self.workspace.store.corrections()
            reviewed = self._reviewed_pictures(None) - self._reviewed_before
            corrected = confirmed = taken_back = 0
            for (sha256, name), before in self._before.items():
                now = written.get((sha256, name))
                if now == before:
                    continue
                rows = self.workspace.store.chain_of_answers(self._ids[sha256][0])
                machine = next((row["machine"] for row in rows if row["attribute"] == name), None)
                taken_back += now is None
                confirmed += now is not None and now == machine
                corrected += now is not None and now != machine
        n_reviewed = sum(len(self._ids[sha256]) for sha256 in reviewed)
        return Sitting(n_reviewed, corrected, confirmed, taken_back)

    # --- inside ---------------------------------------------------------------------------------------------

    def _field(self, name: str) -> dict[str, Any]:
        attribute = self.attributes.get(name, Attribute(GENERAL, "What does the picture show?"))
        values = [] if name == GENERAL else self.workspace.store.frequent_values(name, MOST_VALUES)
        return {
            "name": name,
            "words": name.replace("_", " ") if name != GENERAL else "free description",
            "question": attribute.question,
            "options": list(options_of(attribute)),
            "values": [value for value in values if value != NOT_VISIBLE],
        }

    def _names(self, image: Image) -> list[str]:
        return [a.name for a in self._questions.attributes_of(image.class_name)]

    def _refuse_unknown(self, filters: Filters) -> None:
        if filters.doubt not in ("", "disagree", "unsure"):
            raise _no_such("filter", filters.doubt)
        if filters.attribute and filters.attribute not in self.attributes:
            raise _no_such("attribute", filters.attribute)
        if filters.class_name is not None and filters.class_name not in self.class_names:
            raise _no_such("class", filters.class_name)

    def _others(self, image_id: int) -> dict[str, list[str]]:
        """attribute -> what the other samples said."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in self.workspace.store.samples(image_id):
            if said := said_again(row):
                found[row["attribute"]].append(said)
        return found

    def _reviewed_pictures(self, within: str | None) -> set[str]:
        """Pixel hashes of the images of which every attribute (or this one) has a person's value."""
        written: dict[str, set[str]] = defaultdict(set)
        for sha256, name in self.workspace.store.corrections():
            written[sha256].add(name)
        return {
            sha256
            for sha256, names in written.items()
            if sha256 in self._ids
            and names >= ({within} if within else set(self._names(self.images[self._ids[sha256][0]])))
        }

    def _checked(self, image: Image, name: str, value: str | None) -> str | None:
        """A value as it is kept; None for an empty one."""
        if name != GENERAL and name not in self._names(image):
            raise _no_such("attribute", name)
        text = " ".join((value or "").split())
        longest = LONGEST_GENERAL if name == GENERAL else LONGEST
        options = options_of(self.attributes[name]) if name in self.attributes else ()
        problem = (
            f"longer than {longest} characters" if len(text) > longest
            else "not a text that can be kept" if not _is_kept(text)
            else f"none of {', '.join(options)}" if text and options and text not in options
            else None
        )  # fmt: skip
        if problem:
            raise UsageError(
                f"{name}: {visible(text[:60])!r} is {problem}", code="review-value", hint="write another"
            )
        return text or None

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """The workspace's lock, as soon as another process lets go of it."""
        until = time.monotonic() + PATIENCE
        while True:
            taken = self.workspace.busy()
            try:
                taken.__enter__()
                break
            except WorkspaceError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        try:
            yield
        finally:
            taken.__exit__(None, None, None)


def visible_lines(text: str | None) -> str | None:
    """text with what cannot be seen written out; its lines stay."""
    return None if text is None else "\n".join(visible(line) for line in text.splitlines())


def _answer(name: str, row: Mapping[str, Any] | None, others: Sequence[str]) -> dict[str, Any]:
    """One answer as the page shows it. written: by a person.  machine: by a model.  value: the one that stands."""
    if row is None:
        return {"name": name, "value": None, "written": None, "machine": None, "others": list(others)}
    machine = row["machine"] if row["source"] == "human" else row["value"]
    return {
        "name": name,
        "value": row["value"],
        "written": row["written"],
        "author": row["author"],
        "written_at": row["written_at"],
        "machine": machine,
        "confidence": row["confidence"],
        "model": row["model"] or row["backend"],
        "reply": row["reply_id"],
        "others": list(others),
        "disagree": any(differ(machine or "", other) for other in others),
    }


def _value(row: Mapping[str, Any] | None) -> str | None:
    return row["value"] if row else None


def _no_such(what: str, name: str) -> UsageError:
    return UsageError(
        f"there is no {what} {visible(name)!r}", code="review-filter", hint="load the page anew"
    )


def _is_kept(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
