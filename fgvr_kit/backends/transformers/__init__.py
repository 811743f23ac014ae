"""transformers:MODEL - a model in this process; "transformers:toy-vlm" is the tiny untrained one.

The weights are loaded when the first question is really asked: a run that is all stored needs no torch. The
model runs in a thread of its own: Ctrl-C is heard, and the next photographs are opened while it works.
"""

from __future__ import annotations

import hashlib
import math
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fgvr_kit import toy
from fgvr_kit.backends.base import Backend, Request, Response, labels_of, pictures
from fgvr_kit.backends.transformers.batches import Batches
from fgvr_kit.backends.transformers.worker import Worker
from fgvr_kit.errors import BackendError, BackendRefused, ModelError, RequestRejected
from fgvr_kit.families.weights.quantized import resolved
from fgvr_kit.fingerprint import digest_files
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from fgvr_kit.families.base import Ask, Generated, Vlm
    from fgvr_kit.families.sequences.reading import Reading

HAND_OVER = 4
"""Batches in one hand-over: enough to put requests of like length together."""
SIGHTS = 256 * 2**20
"""Bytes of image features that are kept: of thirty large photographs for Qwen2.5-VL, of hundreds for Idefics2."""

Found = dict[int, Response | BackendError]


class Settings(Section):
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda", "mps"."""
    quantize: Literal["auto", "nf4", "int8", "none"] = "auto"
    """Weights: "nf4" is 4 bit, "int8" is 8 bit, "none" keeps them whole; "auto" is "nf4" on a CUDA GPU and "none"
    elsewhere."""
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
    """One model, asked in batches of like length. Two hand-overs at once: one is opened, one is answered."""

    concurrency = 2

    def __init__(self, model: str, place: str, settings: Settings) -> None:
        conditions: dict[str, Any] = {
            "quantize": resolved(settings.quantize, settings.device), "max_pixels": settings.max_pixels,
        }  # fmt: skip
        if weights := _weights_of(place):
            conditions["weights"] = weights
        super().__init__(f"transformers:{model}", model, conditions=conditions)
        self.batch_size = HAND_OVER * settings.batch_size
        self._place = place
        self._settings = settings
        self._vlm: Vlm | None = None
        self._batches = Batches(settings.batch_size, self.spec)
        self._eyes, self._mind = Worker("fgvr-images"), Worker("fgvr-model")
        for worker in (self._eyes, self._mind):
            weakref.finalize(self, worker.end)

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        """Raises ModelError when the weights cannot be loaded, MissingExtra without torch."""
        halt = threading.Event()
        try:
            asks = await self._eyes.do(lambda: [self._ask(request) for request in requests])
            return await self._mind.do(lambda: self._answers(requests, asks, halt.is_set))
        finally:
            halt.set()  # cancelled: the model stops at its next token

    def _ask(self, request: Request) -> Ask | RequestRejected:
        from fgvr_kit.families.base import Ask

        try:
            images = tuple(pictures(request, self._settings.max_pixels))
        except RequestRejected as error:
            return error
        return Ask(
            request.prompt.text,
            images,
            request.prompt.system,
            turns=tuple((turn.said, turn.told) for turn in request.turns),
            schema=None if request.options else request.schema,
            temperature=request.temperature,
            seed=_seed(request),
        )

    # --- in the model's thread ------------------------------------------------------------------------------

    def _answers(
        self, requests: Sequence[Request], asks: Sequence[Ask | RequestRejected], halt: Callable[[], bool]
    ) -> list[Response | BackendError]:
        vlm = self._load()
        found: Found = {}
        open_asks: dict[int, Ask] = {}
        for n, ask in enumerate(asks):
            if isinstance(ask, RequestRejected):
                found[n] = ask
            elif ask.images and not vlm.family.sees:
                found[n] = self._blind()
            else:
                open_asks[n] = ask
        readings = self._read(vlm, open_asks)
        found |= self._too_long(vlm, requests, readings)
        readings = {n: one for n, one in readings.items() if n not in found}
        found |= self._weigh(vlm, requests, readings)
        found |= self._write(vlm, requests, {n: r for n, r in readings.items() if n not in found}, halt)
        return [found[n] for n in range(len(requests))]

    def _read(self, vlm: Vlm, asks: Mapping[int, Ask]) -> dict[int, Reading]:
        places, size = list(asks), self._batches.size
        readings: dict[int, Reading] = {}
        for start in range(0, len(places), size):
            some = places[start : start + size]
            readings |= zip(some, self._batches.in_halves(vlm.read, [asks[n] for n in some]), strict=True)
        return readings

    def _weigh(self, vlm: Vlm, requests: Sequence[Request], readings: Mapping[int, Reading]) -> Found:
        """Answers to closed questions, from the probabilities of the options' labels; nothing is written.

        Left out are those whose labels this model cannot write as one token each.
        """
        found: Found = {}
        most = {n: len(requests[n].options) for n in readings if requests[n].options}
        for least, limit in ((1, 26), (27, 52), (53, max(most.values(), default=0))):
            some = {n: readings[n] for n in most if least <= most[n] <= limit}
            for batch in self._batches.of(some, dict.fromkeys(some, 1)):
                labels = labels_of(max(most[n] for n in batch))

                def choose(rows: list[Reading], labels: Sequence[str] = labels) -> list[list[float]]:
                    scores: list[list[float]] = vlm.choose(rows, labels).tolist()
                    return scores

                try:
                    scores = self._batches.in_halves(choose, [readings[n] for n in batch])
                except ModelError as error:
                    if error.code not in {"label-not-a-token", "chat-template"}:
                        raise
                    break
                for n, row in zip(batch, scores, strict=True):
                    found[n] = self._chosen(vlm, requests[n], readings[n], row)
        return found

    def _write(
        self,
        vlm: Vlm,
        requests: Sequence[Request],
        readings: dict[int, Reading],
        halt: Callable[[], bool],
    ) -> Found:
        found: Found = {}
        limits = {n: requests[n].max_tokens for n in readings}
        for n, one in readings.items():
            if options := requests[n].options:
                readings[n] = replace(one, ask=replace(one.ask, among=labels_of(len(options))))

        def generate(batch: list[int]) -> list[Generated]:
            return vlm.generate(
                [readings[n] for n in batch], max_new_tokens=[limits[n] for n in batch], halt=halt
            )

        for batch in self._batches.of(readings, limits):
            tokens = self._batches.tokens(batch, readings, limits)
            said = self._batches.in_halves(generate, batch, tokens)
            found |= {n: self._said(vlm, requests[n], one) for n, one in zip(batch, said, strict=True)}
        return found

    # --- what comes back ------------------------------------------------------------------------------------

    def _said(self, vlm: Vlm, request: Request, said: Generated) -> Response:
        words = dict(zip(labels_of(len(request.options)), request.options, strict=True))
        note = "; ".join(note for note in (vlm.note, said.note) if note) or None
        return Response(
            words.get(said.text, said.text), self.model, said.finish_reason, said.input_tokens,
            said.output_tokens, note,
        )  # fmt: skip

    def _chosen(self, vlm: Vlm, request: Request, reading: Reading, row: Sequence[float]) -> Response:
        """row: log-probabilities of labels, of which the first ones are this request's."""
        weights = [math.exp(score) for score in row[: len(request.options)]]
        total = sum(weights)
        if not (math.isfinite(total) and total > 0):
            raise BackendRefused(
                f"{self.spec} gives probabilities that are not numbers",
                code="scores-not-finite",
                hint='are its weights whole? [transformers] quantize = "none" asks it unquantised',
            )
        scores = tuple(weight / total for weight in weights)
        best = request.options[max(range(len(scores)), key=scores.__getitem__)]
        return Response(best, self.model, "stop", len(reading.ids), 0, vlm.note, scores)

    def _blind(self) -> RequestRejected:
        return RequestRejected(
            f"{self.spec} reads words only, and a picture was sent",
            code="model-cannot-see",
            hint="choose a vision-language model for pictures; this one can discover and describe",
        )

    def _too_long(self, vlm: Vlm, requests: Sequence[Request], readings: Mapping[int, Reading]) -> Found:
        most = getattr(vlm.base_model.config.get_text_config(), "max_position_embeddings", None)
        found: Found = {}
        for n, one in readings.items():
            wanted = len(one.ids) + (1 if requests[n].options else requests[n].max_tokens)
            if most and wanted > most:
                found[n] = RequestRejected(
                    f"{self.spec} reads and writes {most:,} tokens at most, and {wanted:,} were asked for",
                    code="prompt-too-long",
                    hint="a shorter prompt, a smaller [transformers] max_pixels, or fewer max_tokens",
                )
        return found

    def _load(self) -> Vlm:
        if self._vlm is None:
            from fgvr_kit.families.base import Vlm
            from fgvr_kit.families.sequences.reading import Sights

            self._vlm = Vlm.load(
                self._place, device=self._settings.device, quantize=self._settings.quantize,
                max_pixels=self._settings.max_pixels, guests=True,
            )  # fmt: skip
            self._vlm.sights = Sights(SIGHTS)
            self.note = self._vlm.note
        return self._vlm


def _seed(request: Request) -> int:
    """Of a request alone: what it is answered with does not depend on what else is asked."""
    told = [request.prompt.system, request.prompt.text, *(image.sha256 for image in request.images)]
    digest = hashlib.blake2b("\0".join([str(request.sample), *told]).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _weights_of(place: str) -> str | None:
    """What tells one checkpoint from the next in the same place, without torch; None for a hub id."""
    if place in toy.NAMES:
        return toy.identity(place)
    folder = Path(place)
    if not folder.is_dir():
        return None
    return digest_files(folder)
