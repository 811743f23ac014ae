"""What one request will cost in tokens, before it is sent.

Reading: the text by its letters, the images by the rule of the model, the schema where a server puts it into the
prompt. Writing: what such replies were like. The basis of that, counted with OpenAI's o200k vocabulary:

- one value ("gold-brown with greenish stains"): 5980 recorded values about euro coins, mean 5.3, 5th and 95th
  percentile 1 and 9; with Qwen's and Mistral's vocabularies 5.6 and 11;
- the free description: 460 of them, mean 25, percentiles 19 and 30;
- all attributes as JSON: 460 of 13 attributes, mean 150 (11.6 an attribute, its name included), 140 and 160;
- a description of five sentences: 460 of them, mean 59, percentiles 50 and 72; FineR's ChatGPT wrote 15 tokens a
  sentence (9010 sentences; percentiles 8 and 24), which makes 75.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fgvr_kit.asking.image_tokens import image_tokens, rule_for, sent_size
from fgvr_kit.asking.ranges import NOTHING, Range, Total, exactly
from fgvr_kit.asking.text_tokens import CHAT_OVERHEAD, SYSTEM_OVERHEAD, text_tokens
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.types import GENERAL

Sizes = Callable[[str], tuple[int, int] | None]
"""Pixel sha256 of an image -> its width and height, None where nobody knows."""

VALUE = Range(3, 6, 11)
FREE = Range(19, 26, 60)
DESCRIPTION = Range(50, 67, 120)
LIST = Range(150, 330, 900)
KEY_SIGNS = 4
"""Tokens of quotation marks, colon and comma around a key and a value of JSON, part of a word's token each."""
USUAL_SIZE = (1024, 768)

_THINKS = re.compile(
    r"(^|/)o[134]\b|gpt-(5|[6-9])(?!.*chat)|gemini-(2\.5-(pro|flash(?!-lite))|[3-9])|deepseek-r|qwq|qvq|think|"
    r"reason|magistral|grok-[3-9]"
)


class Kind(NamedTuple):
    """Requests of one kind are answered alike."""

    purpose: str
    prompt: str
    attribute: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens of one call."""

    kind: Kind
    input: Range
    output: Range


class Estimator:
    """Estimates for one backend. A prompt, a schema and a size are looked at once for all requests."""

    def __init__(self, backend: Backend, sizes: Sizes) -> None:
        self.model = backend.model
        self.image_rule = rule_for(self.model)
        self.thinks = thinks(self.model)
        self.n_unknown_sizes = 0
        self.n_images = 0
        self._sizes = sizes
        self._room = backend.spec.partition(":")[0]
        self._max_pixels: int | None = backend.conditions.get("max_pixels")
        self._detail = str(backend.conditions.get("detail", "auto"))
        self._schemas: dict[int, tuple[Mapping[str, Any], Range, Range]] = {}

    def of(self, request: Request) -> Estimate:
        """What the request will be charged for."""
        kind = Kind(request.purpose, request.prompt.name, request.attribute)
        return Estimate(kind, self.reads(request), self.writes(request))

    def reads(self, request: Request) -> Range:
        total = Total(*CHAT_OVERHEAD)
        total.add(text_tokens(request.prompt.text))
        if request.prompt.system:
            total.add(text_tokens(request.prompt.system))
            total.add(SYSTEM_OVERHEAD)
        for turn in request.turns:
            total.add(text_tokens(turn.said).plus(text_tokens(turn.told)).plus(CHAT_OVERHEAD))
        for image in request.images:
            total.add(self._looks_at(image.sha256))
            self.n_images += 1
        if request.schema is not None:
            total.add(self._schema(request.schema)[0])
        return total.range()

    def writes(self, request: Request) -> Range:
        """Never more than max_tokens. A model that thinks first is expected to use them up."""
        usual = self._usual_reply(request).at_most(request.max_tokens)
        return Range(usual.low, request.max_tokens, request.max_tokens) if self.thinks else usual

    def _usual_reply(self, request: Request) -> Range:
        if request.options:
            longest = max(text_tokens(option).high for option in request.options)
            return Range(1, min(2, longest), longest + 1)
        if request.purpose == "describe":
            return DESCRIPTION
        if request.purpose == "discover":
            return LIST
        if request.attribute == GENERAL:
            return FREE
        return VALUE if request.schema is None else self._schema(request.schema)[1]

    def _looks_at(self, sha256: str) -> Range:
        size = self._sizes(sha256)
        if size is None:
            self.n_unknown_sizes += 1
            size = USUAL_SIZE
        width, height = sent_size(*size, self._max_pixels)
        in_process = self._room == "transformers"
        return image_tokens(self.model, width, height, detail=self._detail, in_process=in_process)

    def _schema(self, schema: Mapping[str, Any]) -> tuple[Range, Range]:
        """(tokens of the schema in the prompt, tokens of a reply that fills it)."""
        known = self._schemas.get(id(schema))
        if known is None or known[0] is not schema:
            known = (schema, self._schema_in_prompt(schema), filled(schema))
            self._schemas = {id(schema): known}
        return known[1], known[2]

    def _schema_in_prompt(self, schema: Mapping[str, Any]) -> Range:
        """Ollama, vLLM and this process steer the decoder by it; hosted models also read it, in a form of their own."""
        if self._room != "openai":
            return NOTHING
        whole = text_tokens(json.dumps(schema))
        return Range(0, whole.likely / 2, whole.high)


def filled(schema: Mapping[str, Any]) -> Range:
    """Tokens of JSON that a schema asks for: its keys, and a short value for each."""
    properties = schema.get("properties", {})
    total = Total(2, 2, 4)
    for name, value in properties.items():
        is_list = isinstance(value, Mapping) and value.get("type") == "array"
        total.add(text_tokens(name))
        total.add(exactly(KEY_SIGNS - 1) if not is_list else LIST)
        total.add(VALUE if not is_list else NOTHING)
    return total.range()


def thinks(model: str) -> bool:
    """Whether a model is known for thoughts that are charged as output and count against max_tokens."""
    return _THINKS.search(model.lower()) is not None
