"""transformers:MODEL - a model in this process; "transformers:toy-vlm" is the tiny untrained one.

The weights are loaded when the first question is really asked: a run that is all stored needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fgvr_kit import toy
from fgvr_kit.backends.base import Backend, Request, Response, pictures
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.fingerprint import digest_files
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from fgvr_kit.families.base import Ask, Vlm


class Settings(Section):
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda", "mps"."""
    quantize: Literal["auto", "nf4", "none"] = "auto"
    """Weights: "nf4" is 4 bit, "none" keeps them whole; "auto" is "nf4" on a CUDA GPU and "none" elsewhere."""
    batch_size: int = Field(8, ge=1)
    """Requests answered at once. More is faster and needs more memory."""
    max_pixels: int = Field(980 * 980, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels."""


def make(model: str, settings: Settings, base: Path) -> Transformers:
    """model: a hub id, "toy-vlm", or a folder, relative to the workspace or else to the current directory."""
    place = Path(model).expanduser()
    folder = next((f for f in (base / place, place) if f.is_dir()), None)
    return Transformers(model, model if model in toy.NAMES or folder is None else str(folder), settings)


class Transformers(Backend):
    """Answers greedily, a batch at a time. concurrency is 1: there is one model."""

    def __init__(self, model: str, place: str, settings: Settings) -> None:
        conditions: dict[str, Any] = {"quantize": settings.quantize, "max_pixels": settings.max_pixels}
        if weights := _weights_of(place):
            conditions["weights"] = weights
        super().__init__(f"transformers:{model}", model, conditions=conditions)
        self.batch_size = settings.batch_size
        self._place = place
        self._settings = settings
        self._vlm: Vlm | None = None

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        """Blocks the event loop: there is nothing else to do in it, and Ctrl-C keeps a finished batch.

        Raises ModelError when the weights cannot be loaded, MissingExtra without torch.
        """
        vlm = self._load()
        replies: dict[int, Response | BackendError] = {}
        alike: dict[int, list[tuple[int, Ask]]] = {}
        for place, request in enumerate(requests):
            try:
                alike.setdefault(request.max_tokens, []).append((place, self._ask(request)))
            except RequestRejected as error:
                replies[place] = error
        for max_tokens, placed in alike.items():
            said = self._generate(vlm, [ask for _, ask in placed], max_tokens)
            replies |= zip((place for place, _ in placed), said, strict=True)
        return [replies[place] for place in range(len(requests))]

    def _ask(self, request: Request) -> Ask:
        from fgvr_kit.families.base import Ask

        if request.temperature:
            raise RequestRejected(
                f"{self.spec} answers greedily, and temperature {request.temperature:g} was asked for",
                code="temperature-unsupported",
                hint="ask with temperature 0, or serve the model (vLLM, Ollama) and use that backend",
            )
        images = tuple(pictures(request, self._settings.max_pixels))
        return Ask(request.prompt.text, images, request.prompt.system)

    def _generate(self, vlm: Vlm, asks: list[Ask], max_tokens: int) -> list[Response]:
        """In halves when the GPU's memory does not suffice."""
        import torch

        try:
            said = vlm.generate(asks, max_new_tokens=max_tokens)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            if len(asks) == 1:
                raise BackendRefused(
                    f"{self.spec}: a single request does not fit into the memory of the GPU",
                    code="backend-memory",
                    hint='[transformers] quantize = "nf4", a smaller max_pixels, or a smaller model',
                ) from None
            half = len(asks) // 2
            return [
                *self._generate(vlm, asks[:half], max_tokens),
                *self._generate(vlm, asks[half:], max_tokens),
            ]
        return [
            Response(g.text, self.model, g.finish_reason, g.input_tokens, g.output_tokens, vlm.note)
            for g in said
        ]

    def _load(self) -> Vlm:
        if self._vlm is None:
            from fgvr_kit.families.base import Vlm

            self._vlm = Vlm.load(
                self._place, device=self._settings.device, quantize=self._settings.quantize,
                max_pixels=self._settings.max_pixels,
            )  # fmt: skip
            self.note = self._vlm.note
        return self._vlm


def _weights_of(place: str) -> str | None:
    """What tells one checkpoint from the next in the same place, without torch; None for a hub id."""
    if place in toy.NAMES:
        return toy.identity(place)
    folder = Path(place)
    if not folder.is_dir():
        return None
    return digest_files(folder)
