"""templates/documents/ as Jinja templates in which strangers' names can do no harm."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import shipped

if TYPE_CHECKING:
    from markupsafe import Markup

_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line breaks, marks that turn the direction of writing, bytes of a file name that are no letters."""

_WRITTEN = {"\n": "⏎", "\t": "⇥"}


def template(name: str, folder: Path) -> Any:
    """A template of templates/documents. Every text in it is written escaped, visible, and without the path of
    folder, so that a page tells nobody where it was made.

    Filters: n (1,234), anchor (an id of small letters), said (commands as code), broken (paths may end a line).
    """
    import jinja2
    from markupsafe import Markup, escape

    places = [f"{place}{mark}" for place in {str(folder), str(folder.resolve())} for mark in (os.sep, "")]

    def written(value: object) -> object:
        if not isinstance(value, str) or isinstance(value, Markup):
            return value
        for place in places:
            if len(place) > 2:  # not "/" or "."; and no part of a longer path
                value = re.sub(rf"(?<![\w./-]){re.escape(place)}", "", value)
        return visible(value)

    def marked(pattern: str, mark: str) -> Callable[[str], Markup]:
        return lambda text: Markup(re.sub(pattern, mark, str(escape(written(text)))))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped.folder("templates") / "documents"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=written,
    )
    environment.filters |= {
        "n": "{:,}".format,
        "anchor": lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"),
        "said": marked(r"(fgvr-kit(?: [a-z]+)?(?: --[a-z-]+)*)", r"<code>\1</code>"),
        "broken": marked(r"([/_])", r"\1<wbr>"),
    }
    return environment.get_template(name)


def visible(text: str) -> str:
    """text with what cannot be seen written out: no name may look like another one."""
    return _HIDDEN.sub(lambda found: _WRITTEN.get(found[0], f"\\u{ord(found[0]):04x}"), text)
