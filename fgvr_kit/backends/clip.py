"""clip:ARCHITECTURE:PRETRAINED - weighs the values of a closed attribute by how well their words match the picture.

Far cheaper than a model that talks: one vector a picture, whatever is asked about it, and one a value. It answers
nothing but closed questions about one picture ("clip:toy-clip" is the tiny untrained one). The prompt gives the words
of each value, one line each (prompts/extract/clip.md).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.backends.transformers.worker import Worker
from fgvr_kit.embedding import Clip
from fgvr_kit.errors import BackendError, ImageError, RequestRejected, SettingsError
from fgvr_kit.settings import Section
from fgvr_kit.store import Store
from fgvr_kit.types import NOT_VISIBLE, ImageRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROMPT = "extract/clip"
CANNOT_SAY = "weighed by CLIP, which cannot say that something is not visible"
HAND_OVER = 8
"""Times batch_size requests at once: there are several about each picture."""


class Settings(Section):
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda"."""
    batch_size: int = Field(64, ge=1)
    """Pictures embedded at once."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Numbers that the model computes with; vectors are shared with `mine` where both say the same."""


def make(model: str, settings: Settings, base: Path) -> ClipBackend:
    """model: "ARCHITECTURE:PRETRAINED", "ARCHITECTURE:FILE", "hf-hub:..." or "toy-clip", as in [mine].

    base: vectors are kept in the workspace there, and shared with `mine`.  Raises SettingsError "clip-spec".
    """
    try:
        clip = Clip(model, device=settings.device, precision=settings.precision)
    except SettingsError as error:
        raise SettingsError(
            f"clip:{model} does not say which weights",
            code="clip-spec",
            hint="clip:ARCHITECTURE:PRETRAINED, such as clip:ViT-B-32:laion2b_s34b_b79k",
        ) from error
    return ClipBackend(clip, settings, base / ".fgvr" / "fgvr.db")


class ClipBackend(Backend):
    """One CLIP model. Its vectors come from the store where they stand there; else the weights are loaded."""

    def __init__(self, clip: Clip, settings: Settings, database: Path) -> None:
        super().__init__(f"clip:{clip.spec}", clip.spec, note=clip.note, conditions={"weights": clip.key})
        self.batch_size = HAND_OVER * settings.batch_size
        self._clip = clip
        self._at_once = settings.batch_size
        self._database = database
        self._worker = Worker("fgvr-clip")
        weakref.finalize(self, self._worker.end)

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        """Raises ModelError when the weights cannot be loaded, MissingExtra without open_clip."""
        return await self._worker.do(lambda: self._replies(requests))

    def _replies(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        refused = {n: error for n, request in enumerate(requests) if (error := self._refusal(request))}
        asked = [n for n in range(len(requests)) if n not in refused]
        if not asked:
            return [refused[n] for n in range(len(requests))]
        found: dict[int, Response | BackendError] = {**refused}
        with Store(self._database) as store:
            vectors = self._images(
                store, {requests[n].images[0].sha256: requests[n].images[0] for n in asked}
            )
            scale = self._clip.scale(store)
            for n in asked:
                vector = vectors[requests[n].images[0].sha256]
                words = self._clip.texts(store, texts_of(requests[n]))
                found[n] = (
                    vector
                    if isinstance(vector, BackendError)
                    else self._weighed(requests[n], vector, words, scale)
                )
        return [found[n] for n in range(len(requests))]

    def _images(
        self, store: Store, refs: dict[str, ImageRef]
    ) -> dict[str, NDArray[np.float32] | BackendError]:
        """Pixel hash -> (D,) unit vector, or why there is none: one lost file must not cost the others."""
        try:
            rows = self._clip.images(store, list(refs.values()), batch_size=self._at_once)
            return dict(zip(refs, rows, strict=True))
        except ImageError as error:
            if len(refs) > 1:
                one_by_one = (self._images(store, {sha: ref}) for sha, ref in refs.items())
                return {sha: vector for one in one_by_one for sha, vector in one.items()}
            lost = RequestRejected(error.reason, code=error.code, where=error.where,
                                   hint="fgvr-kit init IMAGES reads the folder again")  # fmt: skip
            return dict.fromkeys(refs, lost)

    def _weighed(
        self, request: Request, image: NDArray[np.float32], words: NDArray[np.float32], scale: float
    ) -> Response:
        """image: (D,); words: (visible options, D)."""
        import numpy as np

        logits = scale * (words.astype(np.float64) @ image)
        weights = np.exp(logits - logits.max())
        shares = iter((weights / weights.sum()).tolist())
        # The scores are those of all options, in their order.
        scores = tuple(0.0 if option == NOT_VISIBLE else next(shares) for option in request.options)
        best = request.options[max(range(len(scores)), key=scores.__getitem__)]
        cannot_say = CANNOT_SAY if NOT_VISIBLE in request.options else None
        note = "; ".join(each for each in (self.note, cannot_say) if each) or None
        return Response(best, self.model, "stop", None, None, note, scores)

    def _refusal(self, request: Request) -> RequestRejected | None:
        if len(visible(request)) < 2:
            return RequestRejected(
                f"{self.spec} weighs the values of a closed list and writes nothing",
                code="options-only",
                why=f"{request.attribute or request.purpose!r} is an open question",
                hint=f'name a model that writes in [extract] backend, and closed_by = "{self.spec}" beside it',
            )
        if len(request.images) != 1:
            return RequestRejected(
                f"{self.spec} looks at one picture at a time, and {len(request.images)} were sent",
                code="one-image-only",
                hint="use it as [extract] closed_by",
            )
        if request.prompt.name == PROMPT and len(_lines(request)) != len(request.options):
            return RequestRejected(
                f"prompt {PROMPT} gives {len(_lines(request))} lines for {len(request.options)} values",
                code="clip-lines",
                hint="it must render to one line for each of options, in their order; compare it with the shipped "
                f"file: fgvr-kit prompts diff {PROMPT}",
            )
        return None


def texts_of(request: Request) -> list[str]:
    """What the picture is compared with: the prompt's line for each value that can be seen.

    A prompt that is no list of lines was made for a model that talks: of it, attribute and values are used.
    """
    lines = _lines(request)
    if len(lines) == len(request.options):
        return [line for line, option in zip(lines, request.options, strict=True) if option != NOT_VISIBLE]
    about = f", {request.attribute.replace('_', ' ')}" if request.attribute else ""
    return [f"a photo{about}: {option}" for option in visible(request)]


def visible(request: Request) -> list[str]:
    return [option for option in request.options if option != NOT_VISIBLE]


def _lines(request: Request) -> list[str]:
    return [line.strip() for line in request.prompt.text.splitlines() if line.strip()]
