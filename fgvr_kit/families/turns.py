"""From asks to what the processor makes of them: prompts, answers, and the boundary between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fgvr_kit.dataset.images import shrink
from fgvr_kit.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ask:
    """One user turn. images: RGB; they stand before the text.

    turns: (said, told) pairs that follow it.  schema: the answer is JSON of this schema.  among: it is one of
    these words.  temperature: 0 is greedy; otherwise seed decides the sample.
    """

    text: str
    images: tuple[Image, ...] = ()
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    among: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """output_tokens counts the end token; "length": max_new_tokens came first.

    note: why a schema could not be enforced.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """inputs: what the processor returned, whole, on the CPU.  labels: (B, T) int64, -100 but at answers."""

    inputs: dict[str, Any]
    labels: Tensor


def prompt(processor: Any, ask: Ask) -> str:
    """The user turn as text, up to where the answer begins. Raises ModelError without a chat template."""
    image_token = getattr(processor, "image_token", "<image>")
    if any(image_token in text for text in (ask.text, ask.system)):
        raise ModelError(
            f"a prompt holds {image_token!r}, which this model reads as an image",
            code="image-token-in-prompt",
            hint="take it out of the prompt; images are placed by the tool",
        )
    return _render(processor, _messages(processor, ask), open_answer=True)


def words(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of prompts, each image still one image token."""
    if not texts:
        return []
    wants = _wants_start(tokenizer, texts[0])
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=wants)["input_ids"]]


def plain(tokenizer: Any, text: str) -> str:
    """text without the tokenizer's special tokens: a description that a model wrote may hold "<image>"."""
    for token in dict.fromkeys([*tokenizer.all_special_tokens, *_special(tokenizer)]):
        text = text.replace(token, " ")
    return text


def with_answer(processor: Any, ask: Ask, answer: str, end: str) -> str:
    """Prompt, answer and the end token, as the chat template writes them."""
    start = prompt(processor, ask)
    said, _ = _said(processor, ask, answer, start)
    return start + said + end


def end_of_turn(processor: Any) -> str:
    """The special token the template puts behind an answer; the end token where it puts none (LLaVA 1.5)."""
    tokenizer = processor.tokenizer
    ask = Ask("question")
    _, tail = _said(processor, ask, "answer", prompt(processor, ask))
    found = [token for token in _special(tokenizer) if tail.strip().startswith(token)]
    return max(found, key=len) if found else str(tokenizer.eos_token)


def answer_ids(tokenizer: Any, start: str, full: str) -> list[int]:
    """Token ids of the answer and its end. Raises ModelError when tokens run across the boundary."""
    before, both = _ids(tokenizer, start), _ids(tokenizer, full)
    if both[: len(before)] != before or len(both) == len(before):
        raise _template_error("the tokenizer joins the end of the prompt with the answer")
    return both[len(before) :]


def label_ids(processor: Any, ask: Ask, labels: Sequence[str], end: str) -> list[int]:
    """One token id for each label, as it is written at the start of an answer."""
    start = prompt(processor, ask)
    found: list[int] = []
    for label in labels:
        ids = answer_ids(processor.tokenizer, start, with_answer(processor, ask, label, end))
        if len(ids) != 2 or ids[0] in found:
            raise ModelError(
                f"this model does not write {label!r} as one token of its own",
                code="label-not-a-token",
                why=f"it writes {[processor.tokenizer.decode([i]) for i in ids[:-1]]}",
                hint="choose among letters",
            )
        found.append(ids[0])
    return found


def process(
    processor: Any, texts: Sequence[str], asks: Sequence[Ask], *, side: str, max_pixels: int
) -> dict[str, Any]:
    """What the processor returns for texts and the images of their asks, on the CPU."""
    images = [[shrink(image, max_pixels) for image in ask.images] for ask in asks]  # one list a row
    batch = processor(
        text=list(texts),
        images=images if any(images) else None,
        padding=True,
        padding_side=side,
        add_special_tokens=_wants_start(processor.tokenizer, texts[0]),
        return_tensors="pt",
    )
    return dict(batch)


def pad_id(tokenizer: Any) -> int:
    """The id padding is written with; it is masked everywhere, so the end token does where there is none."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _messages(processor: Any, ask: Ask) -> list[dict[str, Any]]:
    user: list[dict[str, Any]] = [{"type": "image"} for _ in ask.images]
    if ask.text or not user:
        user.append(_text(ask.text))
    messages = [{"role": "user", "content": user}]
    if ask.system:
        messages.insert(0, {"role": "system", "content": [_text(ask.system)]})
    for turn in ask.turns:  # a model's words may hold "<image>", and who answers may quote them
        said, told = (plain(processor.tokenizer, text) for text in turn)
        messages.append({"role": "assistant", "content": [_text(said)]})
        messages.append({"role": "user", "content": [_text(told)]})
    return messages


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _said(processor: Any, ask: Ask, answer: str, start: str) -> tuple[str, str]:
    """What the template writes for the answer, and what it writes behind it."""
    turn = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    full = _render(processor, [*_messages(processor, ask), turn], open_answer=False)
    if not full.startswith(start):
        raise _template_error("it writes the prompt differently once an answer follows")
    rest = full[len(start) :]
    place = rest.find(answer.strip())
    if place < 0:
        raise _template_error("it does not write the answer as it was given")
    cut = place + len(answer.strip())
    return rest[:cut], rest[cut:]


def _render(processor: Any, messages: list[dict[str, Any]], *, open_answer: bool) -> str:
    if not getattr(processor, "chat_template", None):
        raise _template_error("it has none")
    from jinja2 import TemplateError

    try:
        return str(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_answer))
    except TemplateError as error:  # some know no system (Gemma 1): its words go before the user's
        if messages[0]["role"] != "system":
            raise _template_error(str(error)) from error
        system, user, *rest = messages
        parts = [*(p for p in user["content"] if p["type"] == "image"), *system["content"], _text("\n\n"),
                 *(p for p in user["content"] if p["type"] != "image")]  # fmt: skip
        return _render(processor, [{"role": "user", "content": parts}, *rest], open_answer=open_answer)


def _special(tokenizer: Any) -> list[str]:
    """Also those that `all_special_tokens` of transformers 5 leaves out: "<image>" of a processor."""
    return [str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=_wants_start(tokenizer, text))["input_ids"])


def _wants_start(tokenizer: Any, text: str) -> bool:
    """False when the template wrote the start token itself: it must not stand there twice."""
    return tokenizer.bos_token is None or not text.startswith(tokenizer.bos_token)


def _template_error(why: str) -> ModelError:
    return ModelError(
        "the chat template of this model cannot be used",
        code="chat-template",
        why=why,
        hint="choose an instruction-tuned checkpoint whose processor brings a chat template",
    )
