"""Under which licence an image is, and who took it: read from its details, spelled in one way.

"CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/" and "Attribution-NonCommercial License" are all
cc-by-nc: the version decides nothing about what may be done. A spelling that is not known stays as it is written.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fgvr_kit.errors import SettingsError
from fgvr_kit.types import ScannedImage

NOT_STATED = "not stated"
NONE = "none"
"""How [dataset] only_licence names images whose licence is not stated."""

KNOWN = (
    "cc0", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa", "cc-by-nd", "cc-by-nc-nd", "public-domain",
    "all-rights-reserved",
)  # fmt: skip

_LICENCES = (
    "licence", "license", "licencename", "licensename", "licencecode", "licensecode", "licenceurl", "licenseurl",
    "photolicence", "photolicense", "medialicence", "medialicense", "rights", "usageterms",
)  # fmt: skip
_AUTHORS = (
    "author", "photographer", "creator", "rightsholder", "copyrightholder", "observer", "recordedby", "username",
    "userlogin", "user", "artist", "contributor", "credit", "attribution", "copyright",
)  # fmt: skip
"""What people call their columns, in lower case, letters only; the first that is filled in is taken."""

_PARTS = {
    "nc": r"nc|noncommercial",
    "nd": r"nd|noderiv(?:ative)?s?(?:works)?",
    "sa": r"sa|sharealike",
}
_ANY_PART = "|".join(_PARTS.values())
_CREATIVE_COMMONS = re.compile(
    rf"(?:cc|creativecommons)?(?:by|attribution)(?P<parts>(?:{_ANY_PART})*)(?:licen[cs]e)?"
    r"(?:\d+(?:[a-z]{2,3})?)?(?:international|unported|generic)?(?:licen[cs]e)?"
)
_ZERO = re.compile(
    r"(?:cc|creativecommons)(?:0|zero)v?\d*(?:universal)?(?:cc0\d*)?(?:publicdomaindedication)?(?:licen[cs]e)?"
)
_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses/(?P<kind>[a-z-]+)|publicdomain/(?P<domain>zero|mark))"
)
_OTHERS = {
    **dict.fromkeys(("publicdomaindedication", "norightsreserved"), "cc0"),
    **dict.fromkeys(("publicdomain", "publicdomainmark", "publicdomainmark10", "pd", "pdm"), "public-domain"),
    **dict.fromkeys(("allrightsreserved", "c", "copyright", "copyrighted", "arr"), "all-rights-reserved"),
}


@dataclass(frozen=True, slots=True)
class Attribution:
    """How many images somebody gave under a licence. licence, author: "" where it is not stated."""

    licence: str
    author: str
    n_images: int


@lru_cache(maxsize=10_000)
def licence_named(text: str) -> str:
    """The licence that a cell means: one of KNOWN, or the text itself, without blanks around it."""
    plain = " ".join(text.split())
    lower = plain.lower()
    if "all rights reserved" in lower:
        return "all-rights-reserved"
    if found := _ADDRESS.search(lower):
        domain = {"zero": "cc0", "mark": "public-domain"}
        return domain.get(found["domain"] or "") or _named(f"cc{found['kind'].replace('-', '')}") or plain
    # "(c) Ida, some rights reserved (CC BY-NC)" is how iNaturalist tells who and what in one.
    inside = re.search(r"rights reserved \((cc[^()]*)\)", lower)
    return _named(_only(lower)) or (inside and _named(_only(inside[1]))) or plain


def licence_of(details: Mapping[str, str]) -> str:
    """The licence that the columns of an image tell, "" for none."""
    return licence_named(_cell(details, _LICENCES))


def author_of(details: Mapping[str, str]) -> str:
    """Who took an image, or whose it is, as its columns tell; "" for nobody."""
    return " ".join(_cell(details, _AUTHORS).split())


def attributions(images: Iterable[ScannedImage]) -> list[Attribution]:
    """Who gave how many images under which licence: those of one licence together, the commonest first."""
    pairs = Counter((licence_of(image.details), author_of(image.details)) for image in images)
    of_licence: Counter[str] = Counter()
    for (licence, _), n in pairs.items():
        of_licence[licence] += n
    ordered = sorted(pairs, key=lambda p: (-of_licence[p[0]], p[0], -pairs[p], p[1]))
    return [Attribution(*pair, pairs[pair]) for pair in ordered]


def counted(images: Iterable[ScannedImage]) -> str:
    """ "cc-by 120, cc0 30, not stated 10"; "" where no image tells its licence."""
    counts = Counter(licence_of(image.details) for image in images)
    if not any(counts):
        return ""
    ordered = sorted(counts.items(), key=lambda count: (not count[0], -count[1], count[0]))
    return ", ".join(f"{name or NOT_STATED} {n:,}" for name, n in ordered)


def permit(only: Sequence[str]) -> Callable[[ScannedImage], bool]:
    """Whether an image may be used when only these licences are wanted; [] is all of them."""
    wanted = {_key(name) for name in only}
    return lambda image: not wanted or _key(licence_of(image.details) or NONE) in wanted


def refuse_unknown(only: Sequence[str], images: Iterable[ScannedImage]) -> None:
    """Raise SettingsError for a wanted licence that is neither a usual one nor any image's."""
    present = {licence_of(image.details) or NONE for image in images} if only else set()
    known = {_key(name) for name in (*KNOWN, NONE, *present)}
    for name in only:
        if _key(name) not in known:
            here = ", ".join(sorted(present - {NONE})) or "none is stated"
            close = difflib.get_close_matches(name, [*sorted(present), *KNOWN], n=1)
            raise SettingsError(
                f"no image has the licence {name!r}", code="licence-unknown", where="dataset.only_licence",
                why=f"licences in this dataset: {here}",
                hint=f"did you mean {close[0]!r}?" if close
                else f"name one of them; {NONE!r} is for images whose licence is not stated",
            )  # fmt: skip


def _key(name: str) -> str:
    return licence_named(name).casefold()


def _only(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text)


def _named(letters: str) -> str:
    """The licence that letters and digits mean, "" for none that is known."""
    if _ZERO.fullmatch(letters):
        return "cc0"
    if found := _CREATIVE_COMMONS.fullmatch(letters):
        parts = (name for name, spelled in _PARTS.items() if re.search(spelled, found["parts"]))
        return "-".join(["cc", "by", *parts])
    return _OTHERS.get(letters, "")


def _cell(details: Mapping[str, str], usual: Sequence[str]) -> str:
    """The first usual column that is filled in."""
    columns = {_letters(name): text for name, text in details.items() if text.strip()}
    return next((columns[name] for name in usual if name in columns), "")


@lru_cache(maxsize=1_000)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z]+", "", name.lower())
