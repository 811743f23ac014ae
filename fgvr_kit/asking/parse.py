"""What a reply is worth: its outcome, and the values in it. Models wrap, trail off and half-quote.

Nothing here raises for what a model said; whatever cannot be used is None, or an outcome.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fgvr_kit.backends.base import Request, labels_of
from fgvr_kit.types import Attribute, Outcome

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_UNABLE = r"(?:can['’]?t|can ?not|unable)"
_REFUSAL = re.compile(
    rf"(?:i['’]m|i am|we['’]re|we are)?\s*(?:very |so )?(?:sorry|afraid)\b.{{0,40}}?\b{_UNABLE}\b"
    r"|i (?:can['’]?t|can ?not|am unable to|am not able to|won['’]?t)"
    r" (?:help|assist|comply|fulfil|provide|do that)"
    rf"|as an ai\b.{{0,60}}?\b{_UNABLE}\b",
    re.IGNORECASE | re.DOTALL,
)
_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)```", re.DOTALL)
_LIST_KEYS = ("attributes", "attribute_list", "list", "items", "properties", "result")
_NAME_KEYS = ("name", "attribute", "attribute_name", "key", "property")
_QUESTION_KEYS = ("question", "description", "prompt", "text")
_OPTION_KEYS = ("options", "values", "choices", "allowed_values", "possible_values")
_SUPERCLASS_KEYS = ("superclass", "parent")
_PAIR = re.compile(r'^\s*"[^"\n]+"\s*:', re.MULTILINE)  # where an object without braces begins
_LETTERED = re.compile(
    r"\(?(?:option\s+)?(?P<label>[A-Za-z]|\d{1,3})(?:[.):\]]+|$)\s*(?P<rest>.*)", re.IGNORECASE
)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):])\s+")


def judge(request: Request, text: str) -> tuple[Outcome, str]:
    """What a finished reply is worth, and the text to keep: all of it, the evidence. For `engine.ask`."""
    said = plain(text)
    if not said:
        return "invalid", text
    if is_refusal(said):
        return "refused", text
    if request.options:
        return ("ok" if option(said, request.options) else "invalid"), text
    if request.purpose == "discover":
        return _outcome(said, bool(attribute_list(said)), None), text  # any list will do
    if request.schema is not None:
        return _outcome(said, _holds_any(said, request.schema), request.schema), text
    return "ok", text


def is_refusal(text: str) -> bool:
    """Whether a reply begins as refusals do. "It cannot be seen" is an answer."""
    return _REFUSAL.match(text.lstrip("\"'*# ")) is not None


def _holds_any(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether something that was asked for can be read out of a reply, however it is written."""
    names = list(schema.get("properties", {}))
    return bool(answers(text, names)) if names else json_object(text) is not None


def _fits(found: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a reply is what its schema says; servers that promise it are looked at all the same."""
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator(dict(schema)).is_valid(found))


def _outcome(text: str, is_found: bool, schema: Mapping[str, Any] | None) -> Outcome:
    """ "ok" is JSON as it was asked for; what can still be read out of something else is "repaired"."""
    if (strict := _strict(text)) is not None:
        if schema is None:
            return "ok" if is_found else "invalid"
        return "ok" if _fits(strict, schema) else "repaired" if is_found else "invalid"
    return "repaired" if is_found and _is_closed(text) else "invalid"


def _is_closed(text: str) -> bool:
    """False for JSON that breaks off: its last value is half a value, and nobody could tell."""
    first = next((mark for mark in text if mark in "[{"), None)
    if first is None:
        return True
    return text.rfind("]" if first == "[" else "}") > text.rfind(first)


def plain(text: str) -> str:
    """A reply without a thinking model's thoughts and without space around it."""
    return _THINKING.sub("", text).strip()


def value(text: str) -> str:
    """A free-text reply as one line, without quotes or markup around the whole of it."""
    line = " ".join(plain(text).split())
    line = re.sub(r"^(?:answer|antwort)\s*:\s*", "", line, flags=re.IGNORECASE)
    for mark in ("**", "```", "`", '"', "'"):
        if len(line) > 2 * len(mark) and line.startswith(mark) and line.endswith(mark):
            inner = line[len(mark) : -len(mark)]
            line = line if mark in inner else inner.strip()
    return line


def option(text: str, options: Sequence[str]) -> str | None:
    """The one of options that a reply names: by its letter ("B", "B. blue", "(b)"), or by its words."""
    said = value(text).strip(" .:;!")
    literal = {" ".join(each.casefold().split()): each for each in options}
    if found := literal.get(" ".join(said.casefold().split())):
        return found
    # Without signs and blanks, where that does not make one of two ("1.5 mm" and "15 mm").
    bare = {_key(each): each for each in options}
    if len(bare) == len(options) and _key(said) and (found := bare.get(_key(said))):
        return found
    if lettered := _LETTERED.match(said):
        rest = _key(lettered["rest"])
        labelled = _by_label(options, lettered["label"])
        if labelled and rest in ("", _key(labelled)):
            return labelled
        if rest in bare:  # the letter of one and the words of another
            return None
    words = _spaced(said)
    named = [each for each in options if _spaced(each).strip() and _spaced(each) in words]
    # "dark red" names "red" too: what is a part of another named option does not count.
    whole = [
        each for each in named if not any(each != other and _key(each) in _key(other) for other in named)
    ]
    if len(whole) != 1 or (_NEGATED.search(words) and not _NEGATED.search(_spaced(whole[0]))):
        return None
    return whole[0]


def _by_label(options: Sequence[str], label: str) -> str | None:
    """The option that a label stands before; a small letter will do where only capitals were shown."""
    by_label = dict(zip(labels_of(len(options)), options, strict=True))
    return by_label.get(label) or by_label.get(label.upper())


_WORD = re.compile(r"[^\W_]+(?:\.[0-9]+)?")
_NEGATED = re.compile(r" (?:not|no|non|never|neither|nor|without|isn|aren|nicht|kein\w*|ohne|weder) ")


def _spaced(text: str) -> str:
    """The words of a text, folded, with a space around each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object in a reply: as it stands, fenced, with text around it, or slightly broken."""
    return next((found for found in _candidates(text) if isinstance(found, dict) and found), None)


def answers(text: str, names: list[str]) -> dict[str, str]:
    """attribute -> value for those of names that a JSON reply answers; empty values are left out."""
    found = json_object(text) or {}
    if len(found) == 1 and isinstance(inner := next(iter(found.values())), dict):
        found = inner  # {"answers": {...}}
    by_name = {_key(str(name)): said for name, said in found.items()}
    said_of = {name: _flat(by_name.get(_key(name))) for name in names}
    return {name: said for name, said in said_of.items() if said}


def attribute_list(text: str) -> list[Attribute]:
    """Attributes as a model listed them: JSON or Python literals, strings or objects, or bullet lines.

    Names and options are as written; a question that was not given is empty.
    """
    text = plain(text)
    for found in _candidates(text):
        if listed := _attributes_in(found):
            return listed
    lines = [line for line in text.splitlines() if _BULLET.match(line)]
    return [a for line in lines if (a := _attribute_of_line(_BULLET.sub("", line)))]


def _strict(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _repaired(text: str) -> Any:
    import json_repair

    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):  # a model in a loop nests brackets by the thousand
        return None


def _candidates(text: str) -> Iterator[Any]:
    """What the text may hold as JSON, the most literal reading first."""
    text = plain(text)
    if (strict := _strict(text)) is not None:
        yield strict
    for part in [*reversed(_FENCE.findall(text)), *_bracketed(text)]:
        exact = _strict(part)
        yield exact if exact is not None else _repaired(part)
    if pair := _PAIR.search(text):
        yield _repaired(f"{{{text[pair.start() :]}}}")


def _bracketed(text: str) -> Iterator[str]:
    """From the first bracket of either kind to its last, the earlier kind first; unclosed ones to the end."""
    starts = sorted((place, pair) for pair in ("[]", "{}") if (place := text.find(pair[0])) >= 0)
    for place, pair in starts:
        end = text.rfind(pair[1])
        yield text[place : end + 1] if end > place else text[place:]


def _attributes_in(found: Any) -> list[Attribute]:
    if isinstance(found, dict):
        for key in _LIST_KEYS:
            if isinstance(found.get(key), list | dict):
                return _attributes_in(found[key])
        lists = [v for v in found.values() if isinstance(v, list)]
        if len(lists) == 1 and len(found) == 1:
            return _attributes_in(lists[0])
        if not all(isinstance(v, str) for v in found.values()):
            return []
        return [Attribute(str(name).strip(), question.strip()) for name, question in found.items()]
    if not isinstance(found, list):
        return []
    return [attribute for item in found if (attribute := _attribute_of(item))]


def _attribute_of(item: Any) -> Attribute | None:
    if isinstance(item, str):
        return _attribute_of_line(item)
    if not isinstance(item, dict):
        return None
    lowered = {str(key).lower(): said for key, said in item.items()}
    name = next((lowered[key] for key in _NAME_KEYS if isinstance(lowered.get(key), str)), None)
    question = next((lowered[key] for key in _QUESTION_KEYS if isinstance(lowered.get(key), str)), "")
    if name is None and len(item) == 1:  # {"wing colour": "What colour is the wing?"}
        name, question = next(iter((str(k), str(v)) for k, v in item.items()))
    options = next((lowered[key] for key in _OPTION_KEYS if lowered.get(key)), ())
    superclass = next((lowered[key] for key in _SUPERCLASS_KEYS if isinstance(lowered.get(key), str)), "")
    if not name or not name.strip():
        return None
    return Attribute(name.strip(), question.strip(), values_in(options), superclass.strip())


def _attribute_of_line(line: str) -> Attribute | None:
    """ "wing colour: What colour is the wing?" or a bare name."""
    name, _, question = line.strip().strip("*_`\"',").partition(":")
    name, question = name.strip("*_`\"' "), question.strip("*_`\"' ")
    return Attribute(name, question) if name else None


def values_in(said: Any) -> tuple[str, ...]:
    """The values of a closed list: a JSON list, or a text with ";" or "|" between them."""
    items = (
        re.split(r"[;|]", said) if isinstance(said, str) else said if isinstance(said, list | tuple) else ()
    )
    return tuple(text for item in items if (text := _flat(item)))


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _flat(said: Any) -> str:
    if said is None or isinstance(said, dict):
        return ""
    if isinstance(said, bool):
        return "yes" if said else "no"
    if isinstance(said, list):
        return ", ".join(part for item in said if (part := _flat(item)))
    return value(str(said))
