"""Tokens that real vocabularies counted, and euro-coins requests beside what a real model's replies took.

A model's reply ends with a token of its own, and a chat template puts tokens around the prompt: OpenAI's puts 7
there (https://github.com/openai/openai-cookbook, "How to count tokens with tiktoken").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.prompts import Prompt
from fgvr_kit.types import GENERAL, ImageRef

COUNTED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "counted_tokens.json").read_text(encoding="utf-8")
)
VOCABULARIES = ("o200k", "cl100k", "qwen", "tekken")
SIZE = (150, 150)
"""Of every photograph of euro-coins."""
CHAT = 7
END = 1


class Named(Backend):
    """A backend that is only asked for its name."""

    async def reply(self, requests: Any) -> list[Response]:  # type: ignore[override]
        raise AssertionError("a plan asks nobody")


def backend(spec: str, **conditions: Any) -> Named:
    return Named(spec, spec.partition(":")[2], conditions=conditions)


def prompt(text: str = "Which colour?", name: str = "extract/question", system: str = "") -> Prompt:
    return Prompt(name, text, system, "0" * 16)


def picture(number: int = 0) -> ImageRef:
    return ImageRef(Path(f"{number}.jpg"), f"{number:064x}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request and what its reply took."""

    request: Request
    row: dict[str, Any]


def coins(image: int, n_images: int = 460) -> Iterator[Recorded]:
    """extract, one call a question, photograph by photograph. image: tokens of one photograph."""
    prompts = {
        row["what"].removeprefix("extract "): row
        for row in COUNTED["texts"]
        if row["what"].startswith("extract ")
    }
    rendered = {
        name: prompt(row["text"], "extract/general" if name == GENERAL else "extract/question")
        for name, row in prompts.items()
    }
    for number in range(n_images):
        ref = picture(number)
        for name, replies in COUNTED["replies"].items():
            if name in ("together", "describe"):
                continue
            most = 256 if name == GENERAL else 64
            request = Request("extract", rendered[name], (ref,), ref.sha256, name, max_tokens=most)
            yield Recorded(request, row(prompts[name]["o200k"] + CHAT + image, replies[number] + END))


def descriptions() -> Iterator[Recorded]:
    """describe, for every 23rd photograph."""
    written = COUNTED["replies"]["describe"][::23]
    asked = [row for row in COUNTED["texts"] if row["what"] == "describe"]
    for told, n_written in zip(asked, written, strict=True):
        request = Request("describe", prompt(told["text"], "describe/summary"), max_tokens=256)
        yield Recorded(request, row(told["o200k"] + CHAT, n_written + END))


def row(read: int | None, written: int | None, seconds: float | None = 1.0) -> dict[str, Any]:
    return {"input_tokens": read, "output_tokens": written, "seconds": seconds, "calls": 1}
