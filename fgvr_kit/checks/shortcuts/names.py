"""Class names in file names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from fgvr_kit.checks.base import Subject
from fgvr_kit.dataset.names import folded
from fgvr_kit.types import Finding, ScannedImage

WORTH_TELLING = 0.01
"""Share of the file names that must hold their class before it is told."""

_MOST_WORDS = 12  # of a class name, as it stands in a file name
_WORD = re.compile(r"\d+|[^\W\d_]+")


def forms_of(subject: Subject) -> dict[str, set[str]]:
    """How classes may be written in a file name, in small letters without gaps -> the classes that it may mean."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in subject.workspace.class_rows():
        for text in (row.name, row.display_name, *row.synonyms, row.scientific, row.common):
            found[_squashed(text)].add(row.name)
    for image in subject.images:
        found[_squashed(image.label)].add(image.class_name)
    found.pop("", None)
    return dict(found)


def classes_in(stem: str, forms: Mapping[str, set[str]]) -> tuple[list[set[str]], str]:
    """(for each class name that stands in a file name as whole words the classes it may mean, the rest of the name).

    Of names inside each other the longest counts: "hairy woodpecker 3" holds no "woodpecker".
    """
    stem = unicodedata.normalize("NFKC", stem)
    words = [(m.start(), m.end(), m[0].casefold()) for m in _WORD.finditer(stem)]
    found: list[set[str]] = []
    rest, kept_to, here = "", 0, 0
    while here < len(words):
        for end in range(min(len(words), here + _MOST_WORDS), here, -1):
            if meant := forms.get("".join(word for *_, word in words[here:end])):
                found.append(meant)
                rest += stem[kept_to : words[here][0]]
                kept_to, here = words[end - 1][1], end
                break
        else:
            here += 1
    return found, rest + stem[kept_to:]


def name_leak(images: Sequence[ScannedImage], forms: Mapping[str, set[str]]) -> tuple[list[Finding], float]:
    """(one finding or none, share of the images whose file name holds their class and no other)."""
    own: dict[str, list[str]] = defaultdict(list)
    n_wrong = 0
    for image in images:
        name = PurePosixPath(image.file)
        found = classes_in(name.stem, forms)[0]
        if found and all(image.class_name in meant for meant in found):
            own[image.class_name].append(name.name)
        n_wrong += len(found) == 1 and image.class_name not in found[0]
    n_own = sum(map(len, own.values()))
    share = n_own / max(1, len(images))
    # Classes called "1" and "2" stand in many names by chance; but then the wrong ones do, too.
    if share < WORTH_TELLING or n_own <= 2 * n_wrong:
        return [], share
    return [_finding(own, Counter(image.class_name for image in images), share)], share


def _finding(own: Mapping[str, Sequence[str]], sizes: Mapping[str, int], share: float) -> Finding:
    worst = sorted(own, key=lambda name: (-len(own[name]) / sizes[name], -len(own[name]), name))
    told = ", ".join(f"{name!r} ({percent(len(own[name]) / sizes[name])})" for name in worst[:5])
    return Finding(
        "name-leak", "note",
        f"{percent(share)} of the file names hold the name of their class, such as {min(own[worst[0]])!r}; "
        f"most of all in {told}",
        value=round(share, 4),
        why="whoever sees the names knows the answers; no prompt of fgvr-kit holds a file name",
        hint="rename the files before people label them blind, or another tool shows or sends the names",
    )  # fmt: skip


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _squashed(text: str) -> str:
    return "".join(_WORD.findall(folded(text)))
