"""guess: what the classes are, out of their names, or by showing a model a few pictures of them.

A guess is offered to a person as a default; nothing is written here. When in doubt there is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fgvr_kit import templates as templates_module
from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.replies import USABLE
from fgvr_kit.backends.base import Request, open_backend
from fgvr_kit.pipeline.discover.singular import singular
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.templates import Template
from fgvr_kit.types import Image, Outcome
from fgvr_kit.workspace import Workspace

PROMPT = "guess/superclass"
MAX_TOKENS = 1024  # thinking models spend most of them before the JSON begins
MOST_LETTERS = 40  # of a superclass or unit; what is longer is a sentence
MOST_WORDS = 4
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"superclass": {"type": "string"}, "unit": {"type": "string"}},
    "required": ["superclass", "unit"],
    "additionalProperties": False,
}

ENOUGH = 0.5
"""Score from which a template is offered: half of the names, and at least two, end in one of its words."""
AHEAD = 0.2
"""By how much it must lead the next one."""
_LAST, _FIRST, _WITHIN = 1.0, 0.75, 0.5
"""What a word counts where it stands in a name. "bean aphid" is an aphid; "Audi A4" an Audi."""

# What a last word may be without being what all classes are.
_NO_THINGS = frozenset({
    "class", "type", "kind", "sort", "species", "breed", "variety", "variant", "model", "make", "brand", "series",
    "group", "category", "other", "others", "misc", "unknown", "image", "picture", "photo", "sample", "item", "object",
    "thing", "set", "disease", "defect", "condition", "stage", "left", "right", "front", "back", "side", "top",
    "bottom", "male", "female", "adult", "juvenile", "young", "old", "new", "small", "large", "big", "normal",
    "abnormal", "healthy", "good", "bad", "red", "green", "blue", "yellow", "black", "white", "brown", "grey", "gray",
    "orange",
})  # fmt: skip
_NOTHING = frozenset(
    {"object", "thing", "item", "image", "photo", "photograph", "picture", "none", "unknown", "misc"}
)

_ID = re.compile(
    r"^(?:n\d{8}[\s_-]+|0\d+[\s._-]+|\d+\.)(?=\D)"
)  # "n02085620-Chihuahua", "001.Black footed Albatross"
_YEAR = re.compile(r"(?<=\S)\s+(?:19|20)\d\d$")  # "Audi TT Coupe 2012"
_GENUS = re.compile(r"[A-Z]?[a-z]+(?:a|e|o|i|us|um|is|es|as|os|ys|on|an|en|er|ex|ix|ax|yx|ops)")
_EPITHET = re.compile(
    r"[a-z]+(?:a|i|us|um|is|es|as|os|on|or|er|ax|ex|ix|ops|ae|(?:al|il|ar|or|tr|ns|nn|ac)e|[ae]ns)"
)
_SURELY_LATIN = re.compile(r"(?:us|um|is|ii|ae|ens|ensis|oides|ops|ix|ax)\b")


@dataclass(frozen=True, slots=True)
class Guess:
    """superclass, unit: "" where there is no guess.  template: name of one that fits, or None.  why: a clause."""

    superclass: str
    unit: str
    template: str | None
    why: str


def guess_from_names(class_names: Sequence[str], templates: Sequence[Template]) -> Guess | None:
    """What the names of the classes tell: their common last word, words of a template, Latin binomials.

    class_names: as people read them (display names).  None when they tell nothing for sure.
    """
    spelled = [words for name in class_names if (words := _words(name))]
    if len(spelled) < 2:
        return None
    is_latin = _are_binomials(class_names)
    template = _template_of(spelled, templates)
    ending = _common_ending(spelled)
    if template and not template.kinds and template.said("domain.superclass") not in ending:
        ending = ""  # "10 cent": no kind of cent
    if not (template or ending or is_latin):
        return None
    superclass = ending or (template.said("domain.superclass") if template else "")
    unit = "species" if is_latin else template.said("domain.unit") if template else ""
    reasons = [f"every class name ends in {ending!r}"] if ending else []
    reasons += ["the class names look like Latin binomials"] if is_latin else []
    reasons += [f"the class names hold words of the template {template.name!r}"] if template else []
    return Guess(superclass, unit, template.name if template else None, "; ".join(reasons))


def guess_from_pictures(
    workspace: Workspace, spec: str, n: int = 4, progress: Progress = SILENT
) -> Guess | None:
    """What a model sees in training pictures of up to n classes; one call, stored and paid once.

    spec: the backend, "ollama:qwen3-vl:8b".  None when its reply is of no use, when it is not sure, or when it
    names a class: no name of a class is true of all. Raises what the backend raises, and DatasetError without
    images.
    """
    images = _one_each(workspace.store.images("train"), n)
    if not images:
        raise workspace.no_images()
    backend = open_backend(spec, workspace.settings, workspace.root, key="extract.backend")
    request = request_about(workspace, images)
    # A reply that says nothing usable is asked for again next time, as in discover.
    asked = ask(
        backend, [request], workspace.store, progress=progress, what="guess", retry_failed=True, judge=judge
    )
    if (row := asked.row(request)) is None:
        raise next(iter(asked.errors.values()))
    superclass, unit = (read(row["text"]) if row["outcome"] in USABLE else None) or ("", "")
    if not superclass or finder(
        workspace.classes().values(), language=workspace.prompts.words["language"]
    ).find(superclass):
        return None
    why = f"{backend.spec} looked at {len(images)} training pictures"
    return Guess(superclass, unit, template_for(superclass), why)


def request_about(workspace: Workspace, images: Sequence[Image]) -> Request:
    """What all these pictures show; each is of another class."""
    prompt = workspace.prompts.render(PROMPT, n_images=len(images))
    refs = tuple(workspace.ref_of(image) for image in images)
    return Request("guess", prompt, refs, schema=SCHEMA, max_tokens=MAX_TOKENS)


def template_for(superclass: str) -> str | None:
    """The template whose superclass this is, or whose words it is one of."""
    templates = templates_module.load_all()
    template = next((t for t in templates if t.said("domain.superclass") == superclass), None)
    template = template or _template_of([_words(superclass)], templates)
    return template.name if template else None


def meaning_of(superclass: str) -> tuple[str, ...]:
    """What "Beetles" and "beetle" share."""
    return _stems(_words(superclass))


def judge(request: Request, text: str) -> tuple[Outcome, str]:
    """As `parse.judge`; JSON that holds no superclass in a few words is of no use either."""
    outcome, kept = parse.judge(request, text)
    return ("invalid" if outcome in USABLE and read(text) is None else outcome), kept


def read(text: str) -> tuple[str, str] | None:
    """(superclass, unit) of a reply, "" for what the model is not sure of; None for what is no such reply."""
    found = parse.json_object(text) or {}
    superclass, unit = found.get("superclass"), found.get("unit", "")
    if not isinstance(superclass, str) or (superclass.strip() and not (superclass := _noun(superclass))):
        return None
    superclass = superclass.strip()
    is_thing = superclass.casefold() not in _NOTHING
    return (superclass if is_thing else ""), _noun(unit) if isinstance(unit, str) and is_thing else ""


def _noun(said: str) -> str:
    """ "A Beetle." -> "beetle"; "" for a sentence and for what holds no letter."""
    words = re.sub(r"^(?:an?|the)\s+", "", parse.value(said).strip(" .\"'"), flags=re.IGNORECASE)
    is_short = len(words) <= MOST_LETTERS and len(words.split()) <= MOST_WORDS
    if not is_short or not re.search(r"[^\W\d_]{2}", words) or re.search(r"[{}<>\[\]:;]", words):
        return ""
    return words[0].lower() + words[1:] if words[1:].islower() else words  # "SUV" stays


def _one_each(images: Sequence[Image], n: int) -> list[Image]:
    """The first image of n classes, spread evenly over all of them in the order of their names."""
    first: dict[str, Image] = {}
    for image in images:
        first.setdefault(image.class_name, image)
    names = sorted(first)
    chosen = names if len(names) <= n else [names[i * len(names) // n] for i in range(n)]
    return [first[name] for name in chosen]


# --- names --------------------------------------------------------------------------------------------------


def _words(name: str) -> list[str]:
    """'001.Black_footed_Albatross' -> ['black', 'footed', 'albatross']; 'GroundBeetle' is two words."""
    text = unicodedata.normalize("NFKC", name).strip()
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", _ID.sub("", text))
    text = re.sub(r"[_\W]+", " ", re.sub(r"['’`]", "", text)).strip()
    return _YEAR.sub("", text).casefold().split()


def _stems(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(singular(word) for word in words)


def _template_of(names: Sequence[list[str]], templates: Sequence[Template]) -> Template | None:
    """The template whose words stand in most names, if that is enough and far enough ahead of the next."""
    spelled = [_stems(words) for words in names]
    scored = sorted(
        ((_score(spelled, template), template) for template in templates), key=lambda pair: -pair[0]
    )
    if not scored or scored[0][0] < ENOUGH or (len(scored) > 1 and scored[0][0] - scored[1][0] < AHEAD):
        return None
    return scored[0][1]


def _score(names: Sequence[tuple[str, ...]], template: Template) -> float:
    """0..1: mean over the names of the weight of the template's best word in each."""
    known = {_stems(_words(word)) for word in template.words}
    longest = max((len(word) for word in known), default=0)
    weights = [_weight(name, known, longest) for name in names]
    is_chance = len(names) > 1 and sum(weight > 0 for weight in weights) < 2
    return 0.0 if is_chance else sum(weights) / len(weights)


def _weight(name: tuple[str, ...], known: set[tuple[str, ...]], longest: int) -> float:
    best = 0.0
    for start in range(len(name)):
        for end in range(start + 1, min(start + longest, len(name)) + 1):
            if name[start:end] in known:
                best = max(best, _LAST if end == len(name) else _FIRST if start == 0 else _WITHIN)
    return best


def _common_ending(names: Sequence[list[str]]) -> str:
    """The last words that all names share, in the singular where one name has it; "" without any.

    At most one name may be nothing but the ending ("beetle" beside "stag beetle").
    """
    stems = [_stems(words) for words in names]
    n = 0
    while all(len(words) > n for words in stems) and len({words[-n - 1] for words in stems}) == 1:
        n += 1
    while n and sum(len(words) == n for words in stems) > 1:
        n -= 1
    if not n:
        return ""
    ending = min((words[-n:] for words in names), key=lambda words: len(words[-1]))
    last = ending[-1]
    if last in _NO_THINGS or len(last) < 3 or not last.isalpha():
        return ""
    return " ".join([*ending[:-1], last if last.endswith("ns") else singular(last)])


def _are_binomials(names: Sequence[str]) -> bool:
    """Whether nearly all names are a Latin genus with an epithet, such as "Apis mellifera"."""
    spelled = [_ID.sub("", name).replace("_", " ").split() for name in names]
    likely = [words for words in spelled if _is_binomial(words)]
    surely = [words for words in likely if _SURELY_LATIN.search(" ".join(words))]
    return len(names) > 1 and len(likely) >= 0.8 * len(names) and len(surely) >= 0.25 * len(names)


def _is_binomial(words: Sequence[str]) -> bool:
    if len(words) not in (2, 3):
        return False
    genus, *epithets = words
    return bool(_GENUS.fullmatch(genus)) and all(_EPITHET.fullmatch(word) for word in epithets)
