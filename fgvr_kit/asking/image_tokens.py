"""How many tokens an image costs, by the rule of the model that looks at it.

`image_tokens(model, width, height)` takes the size as sent. Where a provider publishes its rule the count is exact
(low = likely = high); where it publishes two, or the rule is that of a library's defaults, it is a range; where
nothing is known it is a guess, and says so. Sources stand at each rule; read in November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil, floor, sqrt

from fgvr_kit.asking.ranges import Range, exactly

Count = Callable[[int, int], Range]
"""(width, height) in pixels -> tokens."""


@dataclass(frozen=True, slots=True)
class ImageRule:
    """name: said beside a plan ("OpenAI, 512 px tiles").  is_guess: nobody publishes how this model counts."""

    name: str
    count: Count
    is_guess: bool = False


# --- OpenAI: https://developers.openai.com/api/docs/guides/images-vision, "Calculating costs" ---------------


def openai_tiles(width: int, height: int, *, base: int, tile: int) -> Range:
    """Fit into 2048 px, shortest side to 768 px (never enlarged), then base + tile for each square of 512 px."""
    shrunk = min(1.0, 2048 / max(width, height))
    width, height = _scaled(width, height, shrunk)
    width, height = _scaled(width, height, min(1.0, 768 / min(width, height)))
    return exactly(base + tile * ceil(width / 512) * ceil(height / 512))


def openai_patches(
    width: int, height: int, *, factor: float, budget: int | None, max_side: int | None = 2048
) -> int:
    """Patches of 32 px, at most `budget` after shrinking, times the model's factor."""
    if max_side:
        width, height = _scaled(width, height, min(1.0, max_side / max(width, height)))
    n = ceil(width / 32) * ceil(height / 32)
    if budget and n > budget:
        scale = sqrt(32 * 32 * budget / (width * height))
        across, down = width * scale / 32, height * scale / 32
        # Then so much smaller that one side ends at a whole patch.
        scale *= min(max(1, floor(across)) / across, max(1, floor(down)) / down)
        n = min(budget, ceil(round(width * scale) / 32) * ceil(round(height * scale) / 32))
    return ceil(n * factor)


def _openai_capped(width: int, height: int, *, factors: tuple[float, float]) -> Range:
    """The guide of autumn 2026 allows 6144 patches; that of spring allowed 1536 and had larger factors.

    OpenAI's forum measured the smaller factors with the small budget ("GPT-5.4 mini and nano", thread 1377015).
    """
    now, before = factors
    small = openai_patches(width, height, factor=now, budget=1536)
    likely = openai_patches(width, height, factor=now, budget=6144)
    return Range(small, likely, max(likely, openai_patches(width, height, factor=before, budget=1536)))


def _openai_whole(width: int, height: int, *, budget: int | None, max_side: int | None) -> Range:
    return exactly(openai_patches(width, height, factor=1.2, budget=budget, max_side=max_side))


# --- Anthropic: https://platform.claude.com/docs/en/build-with-claude/vision --------------------------------


def claude(width: int, height: int, *, most: int, longest: int) -> Range:
    """One token a patch of 28 px; a larger image is first shrunk to at most `most` tokens and `longest` px.

    Until 2025 the guide said width * height / 750, which gives nearly the same.
    """
    edge = max(width, height)
    short, long = 0, edge + 1
    if _patches_28(width, height, edge, longest) <= most:
        short = edge
    while long - short > 1 and short != edge:  # the largest long edge that keeps both limits
        middle = (short + long) // 2
        if _patches_28(width, height, middle, longest) <= most:
            short = middle
        else:
            long = middle
    return exactly(_patches_28(width, height, max(1, short), longest))


def _patches_28(width: int, height: int, edge: int, longest: int) -> float:
    """Patches when the longer side is `edge`; infinitely many when it is longer than allowed."""
    across, down = (ceil(side / 28) for side in _scaled(width, height, edge / max(width, height)))
    return float("inf") if max(across, down) * 28 > longest else across * down


# --- Google: https://ai.google.dev/gemini-api/docs/image-understanding and /media-resolution ----------------


def gemini_tiles(width: int, height: int) -> Range:
    """Gemini 2: 258 tokens up to 384 px, else 258 for each crop; a crop is 1/1.5 of the shorter side, 256-768 px.

    `low` is one crop: some routes to the model send the whole picture as one.
    """
    if max(width, height) <= 384:
        return exactly(258)
    crop = min(768, max(256, floor(min(width, height) / 1.5)))
    n = 258 * ceil(width / crop) * ceil(height / crop)
    return Range(258, n, n)


# --- Open weights: the image processors of transformers 5.23, which vLLM uses as well -----------------------


def qwen(width: int, height: int, *, unit: int, least: int, most: int) -> Range:
    """One token for `unit` x `unit` pixels, both sides rounded to it, between least and most pixels; 2 around it.

    Source: smart_resize of Qwen2VLImageProcessor. Servers may set a smaller `most`, so `low` is at 1280 tokens,
    the figure in Qwen's own examples.
    """
    likely = _qwen(width, height, unit, least, most)
    return Range(
        min(likely, _qwen(width, height, unit, least, min(most, 1280 * unit * unit))), likely, likely
    )


def _qwen(width: int, height: int, unit: int, least: int, most: int) -> int:
    down, across = max(1, round(height / unit)), max(1, round(width / unit))
    n_pixels = across * down * unit * unit
    if n_pixels > most:
        scale = sqrt(width * height / most)
        down, across = max(1, floor(height / scale / unit)), max(1, floor(width / scale / unit))
    elif n_pixels < least:
        scale = sqrt(least / (width * height))
        down, across = ceil(height * scale / unit), ceil(width * scale / unit)
    return across * down + 2


def idefics3(width: int, height: int, *, tile: int, longest: int, tokens: int) -> Range:
    """Idefics3 and SmolVLM: enlarged or shrunk to `longest` px, cut into tiles, and once more whole; `tokens` each.

    `low` is without the cutting. Around each tile stand two tokens, at the end of each row one, around the whole
    three.
    """
    whole = tokens + 3
    scale = longest / max(width, height)
    across, down = ceil(width * scale / tile - 1e-6), ceil(height * scale / tile - 1e-6)
    split = whole if across * down == 1 else whole + down * (across * (tokens + 2) + 1)
    return Range(whole, split, split + 1)


def pixtral(width: int, height: int, *, unit: int, longest: int) -> Range:
    """Mistral: one token for `unit` px square, one at the end of each row. Source: mistral-common, ImageEncoder."""
    shrink = max(1.0, width / longest, height / longest)
    width, height = max(1, round(width / shrink)), max(1, round(height / shrink))  # a line of 2048 x 1 too
    across, down = (width - 1) // unit + 1, (height - 1) // unit + 1
    return exactly(down * (across + 1))


def llama_tiles(width: int, height: int) -> Range:
    """Llama 3.2 Vision: up to four tiles of 560 px, 1601 positions each, read beside the text, not in it.

    Ollama and transformers count one token in the prompt, Groq bills about 6400 an image: what a server reports
    lies anywhere between.
    """
    tiles = min(4, ceil(width / 560) * ceil(height / 560))
    return Range(1, 1601 * tiles, 6404)


def _fixed(width: int, height: int, *, tokens: Range) -> Range:
    return tokens


def _guessed(width: int, height: int) -> Range:
    """A guess: patches of 28 px. Low: 64 tokens, as resamplers make. High: patches of 14 px, at most 8192."""
    n = ceil(width / 28) * ceil(height / 28)
    return Range(min(64, n), max(64, min(n, 2048)), min(8192, max(576, 4 * n)))


# --- which model follows which rule -------------------------------------------------------------------------


def _tiles(base: int, tile: int) -> ImageRule:
    return ImageRule("OpenAI, tiles of 512 px", partial(openai_tiles, base=base, tile=tile))


def _capped(now: float, before: float) -> ImageRule:
    return ImageRule("OpenAI, patches of 32 px", partial(_openai_capped, factors=(now, before)))


def _whole(budget: int | None, max_side: int | None) -> ImageRule:
    count = partial(_openai_whole, budget=budget, max_side=max_side)
    return ImageRule("OpenAI, patches of 32 px", count)


def _fix(name: str, low: int, likely: int, high: int) -> ImageRule:
    return ImageRule(name, partial(_fixed, tokens=Range(low, likely, high)))


def _split(tile: int, longest: int, tokens: int) -> ImageRule:
    count = partial(idefics3, tile=tile, longest=longest, tokens=tokens)
    return ImageRule(f"Idefics3, tiles of {tile} px", count)


_UNCUT = ("Idefics", "SmolVLM")
"""Rules whose model this package runs with do_image_splitting off: the image as a whole is `low`."""

_GUESS = ImageRule("a guess: nothing is known of how this model counts images", _guessed, is_guess=True)

# The first pattern found in the model's name, in small letters, wins: the special before the general.
_RULES: tuple[tuple[str, ImageRule], ...] = (
    (r"^toy-vlm$", _fix("the toy, 8 tokens an image", 10, 10, 10)),
    (r"gpt-4o-mini", _tiles(2833, 5667)),
    (r"gpt-4\.1-nano", _capped(2.46, 2.46)),
    (r"gpt-4\.1-mini", _capped(1.62, 1.62)),
    (r"gpt-4o|gpt-4\.[15]|gpt-4-(turbo|vision)|chatgpt-4o", _tiles(85, 170)),
    (r"\bo4-mini", _capped(1.72, 1.72)),
    (r"\bo[13]\b", _tiles(75, 150)),
    (r"computer-use", _tiles(65, 129)),
    (r"gpt-5(\.4)?-nano", _capped(1.5, 2.46)),
    (r"gpt-5(\.4)?-mini", _capped(1.2, 1.62)),
    (r"gpt-5\.[23]", _capped(1.2, 1.2)),
    (r"gpt-5\.4", _whole(2500, 2048)),
    (r"gpt-5\.5", _whole(10_000, 6000)),
    (r"gpt-5\.[6-9]|gpt-[6-9]", _whole(None, None)),
    (r"gpt-5", _tiles(70, 140)),
    (r"claude-(opus-4[-.][78]|(opus|sonnet|haiku|fable|mythos)-[5-9])",
     ImageRule("Claude, patches of 28 px", partial(claude, most=4784, longest=2576))),
    (r"claude", ImageRule("Claude, patches of 28 px", partial(claude, most=1568, longest=1568))),
    (r"gemini-([3-9]|flash-latest|pro-latest)", _fix("Gemini 3, high media resolution", 1000, 1120, 1120)),
    (r"gemini", ImageRule("Gemini 2, crops of 258 tokens", gemini_tiles)),
    (r"gemma-?3n", _fix("Gemma 3n", 256, 258, 260)),
    (r"gemma", _fix("Gemma, 256 tokens an image", 256, 258, 260)),
    (r"qwen-?3|qwen3|\bqvq",
     ImageRule("Qwen3-VL, 32 px a token", partial(qwen, unit=32, least=65_536, most=16_777_216))),
    (r"qwen|ui-tars|mimo-vl",
     ImageRule("Qwen2-VL, 28 px a token", partial(qwen, unit=28, least=3136, most=12_845_056))),
    (r"smolvlm2?-?(256|500)m", _split(512, 2048, 64)),
    (r"smolvlm", _split(384, 1536, 81)),
    (r"idefics-?3", _split(364, 1456, 169)),
    (r"idefics-?2", _fix("Idefics2, 64 tokens a tile", 66, 66, 5 * 64 + 6)),
    (r"pixtral", ImageRule("Pixtral, 16 px a token", partial(pixtral, unit=16, longest=1024))),
    (r"(mistral|magistral|ministral).*(small|medium|large|vision|3)",
     ImageRule("Mistral Small, 28 px a token", partial(pixtral, unit=28, longest=1540))),
    (r"llama-?3\.2", ImageRule("Llama 3.2 Vision", llama_tiles, is_guess=True)),
    (r"llava.*(1\.6|next|onevision)|bakllava", _fix("LLaVA-NeXT, up to five times 576", 576, 2144, 2930)),
    (r"llava", _fix("LLaVA, 576 tokens an image", 576, 576, 576)),
)  # fmt: skip


@lru_cache(maxsize=256)
def rule_for(model: str) -> ImageRule:
    """The rule of a model, told by its name ("gpt-4o-mini", "qwen2.5vl:7b", "google/gemini-2.5-flash")."""
    name = re.sub(r"[\s_]", "-", model.lower())
    return next((rule for pattern, rule in _RULES if re.search(pattern, name)), _GUESS)


@lru_cache(maxsize=65_536)
def image_tokens(
    model: str, width: int, height: int, *, detail: str = "auto", in_process: bool = False
) -> Range:
    """Tokens of one image as sent.

    detail: OpenAI's word; "low" costs the base alone where tiles are counted.  in_process: this package runs the
    model itself ("transformers:").
    """
    rule = rule_for(model)
    if detail == "low" and isinstance(rule.count, partial) and rule.count.func is openai_tiles:
        return exactly(rule.count.keywords["base"])
    tokens = rule.count(max(1, width), max(1, height))
    return exactly(tokens.low) if in_process and rule.name.startswith(_UNCUT) else tokens


def sent_size(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    """The size that `dataset.images.shrink` makes of an image before it is sent."""
    if not max_pixels or width * height <= max_pixels:
        return width, height
    scale = sqrt(max_pixels / (width * height))
    return max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6))


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return (width, height) if factor == 1 else (max(1, round(width * factor)), max(1, round(height * factor)))
