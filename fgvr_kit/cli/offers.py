"""What the walk-through offers as answers: guesses about the domain, and who could look at images from here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fgvr_kit.pipeline.guess import Guess
    from fgvr_kit.settings import Settings
    from fgvr_kit.surroundings import Gpu
    from fgvr_kit.templates import Template

_SEES = re.compile(
    r"vl|llava|vision|moondream|minicpm-v|gemma-?[3-9]|llama-?4|mistral-small-?3|pixtral", re.I
)
"""Names of models that take images; Ollama's list does not tell."""
_GIB = 2**30
_FOR_GPUS = ((12 * _GIB, "Qwen/Qwen2.5-VL-7B-Instruct"), (6 * _GIB, "Qwen/Qwen2.5-VL-3B-Instruct"))
"""(memory, model): in 4 bit, which is what a GPU gets by default, with room for a photograph."""


@dataclass(frozen=True, slots=True)
class Offer:
    """default: what Enter takes.  choices: what a number takes.  remarks: lines told before the question.

    is_asked: False where the remarks are all there is to say.
    """

    default: str = ""
    choices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_asked: bool = True


def domain_here(key: str, guess: Guess | None, template: Template | None) -> Offer:
    """What is offered for a setting of [domain]: the guess, unless another template was chosen than guessed."""
    guessed = ""
    if guess and (template is None or guess.template in (None, template.name)):
        guessed = {"domain.superclass": guess.superclass, "domain.unit": guess.unit}.get(key, "")
    return Offer(guessed or (template.said(key) if template else ""))


def backends_here(settings: Settings) -> Offer:
    """Who could look at images from this machine. Enter takes what costs nothing and is there; never what is paid
    by the call or must be downloaded first."""
    from fgvr_kit import surroundings
    from fgvr_kit.backends import ollama, openai
    from fgvr_kit.settings import plugin_section

    server = plugin_section(settings, "openai", openai.Settings)
    models = surroundings.ollama_models(plugin_section(settings, "ollama", ollama.Settings).host)
    seeing = [f"ollama:{model}" for model in models or () if _SEES.search(model)]
    local = _for_gpus(surroundings.gpus())
    remarks = []
    if models is not None:
        remarks.append(f"Ollama is running; models that look at images: {len(seeing)} of {len(models)}")
    if models is not None and not seeing:
        remarks.append("  `ollama pull qwen3-vl:8b` brings one")
    if local:
        remarks.append(f"There is a GPU: {local} fits into it, and is downloaded when it is first used")
    if surroundings.has_openai_key(os.environ, server.api_key_env):
        remarks.append(f"${server.api_key_env} is set: openai:MODEL (openai:gpt-4o-mini) is paid by the call")
    elif address := server.base_url or os.environ.get("OPENAI_BASE_URL", ""):
        remarks.append(f"A server is named: openai:MODEL asks {address}")
    if remarks:
        return Offer(seeing[0] if seeing else "", (*seeing, *([local] if local else [])), tuple(remarks))
    nobody = (
        f"Nobody who could look at images was found: no running Ollama, no ${server.api_key_env}, no NVIDIA GPU.",
        "  Start Ollama and `ollama pull qwen3-vl:8b`, or set the key, and name the model later:",
        "  fgvr-kit attributes --backend ollama:qwen3-vl:8b (or openai:MODEL, transformers:ID)",
    )
    return Offer(remarks=nobody, is_asked=False)


def _for_gpus(gpus: Sequence[Gpu]) -> str:
    """The spec of a model that fits into the largest GPU, "" without one."""
    most = max((gpu.memory for gpu in gpus), default=0)
    return next((f"transformers:{model}" for memory, model in _FOR_GPUS if most >= memory), "")
