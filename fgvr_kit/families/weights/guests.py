"""Guests: models of no known family. They answer through stock transformers alone and cannot be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgvr_kit.families import Family


def family_of(config: Any) -> Family | None:
    """How a checkpoint with this config answers; None when transformers has no class that could."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    from fgvr_kit.families import Family

    for sees, auto in ((True, AutoModelForImageTextToText), (False, AutoModelForCausalLM)):
        if type(config) in auto._model_mapping:
            return Family((config.model_type,), "", (), "", by_parts=False, sees=sees)
    return None


class TextProcessor:
    """A tokenizer under the name of a processor: what a model has that reads words only."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @property
    def chat_template(self) -> Any:
        return self.tokenizer.chat_template

    @property
    def image_token(self) -> str:
        """No word is an image here."""
        return "\0"

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> str:
        """Templates of text models join strings, not lists of parts."""
        plain = [
            {**message, "content": "".join(part["text"] for part in message["content"])}
            for message in messages
        ]
        return str(self.tokenizer.apply_chat_template(plain, **options))
