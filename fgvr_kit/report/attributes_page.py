"""reports/attributes.html: what `attributes report` found, as one file to look at, offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fgvr_kit
from fgvr_kit.edited import write_text
from fgvr_kit.pipeline.quality import Quality
from fgvr_kit.report.render import template
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AttributesPage:
    """What stands on the page. folder: of the images; it is not told.  questions: attribute -> its question."""

    title: str
    folder: Path
    quality: Quality
    questions: Mapping[str, str]
    generated: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: str = fgvr_kit.__version__

    @classmethod
    def of(cls, workspace: Workspace, quality: Quality) -> AttributesPage:
        questions = {a.name: a.question for a in workspace.attributes()}
        title = workspace.settings.domain.superclass or workspace.place.stem
        return cls(title, workspace.dataset, quality, questions)


def write_attributes_page(path: Path, page: AttributesPage) -> int:
    """Write the page, and its folder where there is none; return its size in bytes."""
    html = render_attributes_page(page)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)
    return len(html.encode())


def render_attributes_page(page: AttributesPage) -> str:
    """The page as text. The same report gives the same page, but for the time."""
    apart = {
        one.measured.name: {(s.first, s.second): s for s in one.measured.separations}
        for one in page.quality.attributes
    }
    return str(template("attributes.html", page.folder).render(page=page, quality=page.quality, apart=apart))
