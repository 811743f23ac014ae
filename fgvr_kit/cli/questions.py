"""What the walk-through asks, which settings an answer fills, and whether one of them is still open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgvr_kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Question:
    """key: the setting that the answer fills, and `also` these, where they stand at their default.

    flag: what answers it without asking.
    """

    key: str
    text: str
    flag: str
    also: tuple[str, ...] = ()


SUPERCLASS = Question(
    "domain.superclass", "What are all of them, in one or two words (beetle, euro coin)?", "--superclass"
)
BACKEND = Question(
    "extract.backend", "Which model shall look at the images?", "--backend",
    also=("discover.backend", "describe.backend"),
)  # fmt: skip
SPENDING = Question(
    "ask.max_calls", "Replies may cost. How many new ones may one step ask for (0: no limit)?", "--max-calls"
)
"""Asked only where replies are likely to be paid for."""
QUESTIONS = (
    SUPERCLASS,
    Question("domain.unit", "What is one class called (species, breed, denomination)?", "--unit"),
    Question("domain.notes", "What should a model know about the photographs?", "--notes"),
    BACKEND,
    SPENDING,
)


def is_open(settings: Settings, key: str) -> bool:
    """Whether a setting exists and is in force with its default, so that it is worth asking for."""
    section, _, name = key.partition(".")
    is_known = name in getattr(_sections().get(section), "model_fields", {})
    if not is_known or (key == SPENDING.key and not is_paid_for(settings.extract.backend)):
        return False
    return bool(value_at(settings, key) == default_of(key))


def is_paid_for(backend: str) -> bool:
    """Whether its replies are likely to cost money: a server that speaks OpenAI's API, wherever it stands."""
    return backend.startswith("openai:")


def default_of(key: str) -> Any:
    section, _, name = key.partition(".")
    return _sections()[section].model_fields[name].get_default(call_default_factory=True)


def value_at(settings: Settings, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def _sections() -> dict[str, Any]:
    from fgvr_kit.settings import describe_sections

    return dict(describe_sections())
