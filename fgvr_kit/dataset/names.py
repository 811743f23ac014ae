"""Names: those of classes as they are first shown, two that are one name spelled twice, and those that are no text."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def display_name(class_name: str) -> str:
    """How a label is first written in prompts: "10_cent" -> "10 cent". Edited in classes.csv."""
    return " ".join(class_name.replace("_", " ").split())


def folded(name: str) -> str:
    """What two spellings of one name share: no case, no accents typed in two ways, one kind of gap and quote."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(re.sub(r"[\s_\-‐-―.'’`´]+", " ", plain).split())


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Names that are one name once folded: lists of two or more, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        found[folded(name)].append(name)
    return [same for same in found.values() if len(same) > 1]


def as_text(name: str) -> str:
    """A name from the disk or the command line, without the stand-ins that Python puts for bytes that are no UTF-8;
    the name itself where there are none."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")
