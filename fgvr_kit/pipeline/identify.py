"""identify: what all classes have in common, by the majority of a model's replies about pictures, blind to the labels.

FineR asks one closed question a picture and takes the most frequent last word. Here each reply is about pictures of
several classes at once: what is true of one picture alone is rather the class itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.replies import USABLE, Row
from fgvr_kit.backends.base import Request, open_backend
from fgvr_kit.edited import write_text
from fgvr_kit.pipeline.extract import told
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.pipeline.guess import judge, meaning_of, read, request_about, template_for
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.pipeline.spending import limits_of
from fgvr_kit.pipeline.unanswered import nothing_answered, notices_of, why_none
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME, DomainSettings
from fgvr_kit.types import Image, Notice, Summary
from fgvr_kit.workspace import Workspace

N_PICTURES = 20
AT_ONCE = 4
"""Pictures of one reply, each of another class."""


@dataclass
class Votes:
    """superclasses: meaning -> spelling -> replies.  units: meaning -> unit -> replies.  void: why -> replies."""

    superclasses: dict[tuple[str, ...], Counter[str]] = field(default_factory=dict)
    units: dict[tuple[str, ...], Counter[str]] = field(default_factory=dict)
    void: Counter[str] = field(default_factory=Counter)

    def add(self, superclass: str, unit: str) -> None:
        meaning = meaning_of(superclass)
        self.superclasses.setdefault(meaning, Counter())[superclass] += 1
        self.units.setdefault(meaning, Counter())[unit] += bool(unit)

    def ranked(self) -> list[tuple[str, int]]:
        """(superclass, votes), most votes first."""
        totals = [(spelled.most_common(1)[0][0], spelled.total()) for spelled in self.superclasses.values()]
        return sorted(totals, key=lambda pair: -pair[1])

    def winner(self) -> tuple[str, str] | None:
        """(superclass, unit) of more votes than any other, and of two at least where there are several."""
        ranked = self.ranked()
        n_votes = sum(n for _, n in ranked) + self.void.total()
        if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]) or ranked[0][1] < min(2, n_votes):
            return None
        superclass = ranked[0][0]
        units = self.units[meaning_of(superclass)].most_common(1)
        return superclass, units[0][0] if units and units[0][1] else ""


def identify(
    workspace: Workspace, *, n_pictures: int = N_PICTURES, keep: bool = False, progress: Progress = SILENT
) -> Summary:
    """Let the model of [extract] vote on what all classes are; write it where fgvr.toml has the default still.

    keep: write it also in place of what stands there.  Raises DatasetError without images, SettingsError without a
    backend, BackendError when nobody answers.
    """
    images = workspace.store.images("train")
    if not images:
        raise workspace.no_images()
    settings = workspace.settings
    backend = open_backend(settings.extract.backend, settings, workspace.root, key="extract.backend")
    shown = ballots(images, n_pictures, seed=settings.dataset.seed)
    requests = [request_about(workspace, some) for some in shown]
    asked = ask(
        backend, requests, workspace.store, progress=progress, what="identify", retry_failed=True, judge=judge,
        mend=mend_with(workspace.prompts), limits=limits_of(workspace, backend),
    )  # fmt: skip
    votes = counted(workspace, asked, requests)
    if not any(row for _, row in asked.rows(requests)):
        raise nothing_answered(backend.spec, [asked], votes.void)
    n_shown = sum(map(len, shown))
    done = {"backend": backend.spec, "pictures": n_shown, **told([asked]), **_rows_of(votes, len(requests))}
    winner = votes.winner()
    notices = list(notices_of(asked, True))
    if winner is None:
        notices.append(_undecided(votes))
    else:
        written, notice = _write(workspace, *winner, keep=keep)
        done |= {"kept in fgvr.toml": ", ".join(written)} if written else {}
        notices += [notice] if notice else []
    rows = tuple(("votes", n, why) for why, n in votes.void.most_common())
    return Summary("identify", done, rows, asked.notes, tuple(notices))


def ballots(images: Sequence[Image], n_pictures: int, *, seed: int) -> list[list[Image]]:
    """About n_pictures, AT_ONCE together: of classes in turn, so that each has its share; none is taken twice."""
    draw = random.Random(seed)
    of_class: dict[str, list[Image]] = {}
    for image in images:
        of_class.setdefault(image.class_name, []).append(image)
    names = sorted(of_class)
    for name in names:
        draw.shuffle(of_class[name])
    draw.shuffle(names)
    size = min(AT_ONCE, len(names))
    turns = islice(cycle(names), max(size, n_pictures // size * size))
    chosen = [of_class[name].pop() if of_class[name] else None for name in turns]
    groups = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    return [whole for group in groups if len(whole := [image for image in group if image]) == size]


def counted(workspace: Workspace, asked: Asked, requests: Sequence[Request]) -> Votes:
    """The votes in stored replies. A reply that names a class is void: no class is what all of them are."""
    votes, names = Votes(), finder(workspace.classes().values(), language=workspace.prompts.words["language"])
    for _, row in asked.rows(requests):
        found, why = _said(row, why_none([asked]))
        if found and found[0] and names.find(found[0]):
            votes.void["naming a class"] += 1
        elif found and found[0]:
            votes.add(*found)
        else:
            votes.void[why] += 1
    return votes


def _said(row: Row | None, why: str) -> tuple[tuple[str, str] | None, str]:
    if row is None:
        return None, why
    if row["outcome"] not in USABLE:
        return None, REASONS[row["outcome"]]
    return read(row["text"]), "the model was not sure"


def _rows_of(votes: Votes, n_replies: int) -> dict[str, Any]:
    told_of = ", ".join(f"{superclass} {n} of {n_replies}" for superclass, n in votes.ranked())
    rows: dict[str, Any] = {"votes": told_of or "none"}
    if winner := votes.winner():
        rows |= {"superclass": winner[0]} | ({"unit": winner[1]} if winner[1] else {})
        rows |= {"template": template} if (template := template_for(winner[0])) else {}
    return rows


def _undecided(votes: Votes) -> Notice:
    return Notice(
        "the replies do not agree on what all classes are",
        code="identify-undecided",
        why=", ".join(f"{superclass} {n}" for superclass, n in votes.ranked()) or "no reply says anything",
        hint='say it yourself: [domain] superclass = "..." in fgvr.toml; or --pictures shows more of them',
    )


def _write(
    workspace: Workspace, superclass: str, unit: str, *, keep: bool
) -> tuple[list[str], Notice | None]:
    """The keys that were written, and a notice where another value of the user's stays."""
    own, default = workspace.settings.domain, DomainSettings()
    found = {"superclass": superclass} | ({"unit": unit} if unit else {})
    new = {key: said for key, said in found.items() if said != getattr(own, key)}
    free = {key: said for key, said in new.items() if keep or getattr(own, key) == getattr(default, key)}
    if free:
        _write_domain(workspace, free)
    if not (held := [key for key in new if key not in free]):
        return [f"domain.{key}" for key in free], None
    notice = Notice(
        "fgvr.toml says otherwise and was left as it is: "
        + ", ".join(f"{key} = {getattr(own, key)!r}" for key in held),
        code="domain-differs",
        where=str(workspace.root / FILE_NAME),
        hint="--keep writes what was voted for",
    )
    return [f"domain.{key}" for key in free], notice


def _write_domain(workspace: Workspace, values: Mapping[str, str]) -> None:
    import tomlkit

    path = workspace.root / FILE_NAME
    document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    document.setdefault("domain", tomlkit.table()).update(values)
    write_text(path, tomlkit.dumps(document))
