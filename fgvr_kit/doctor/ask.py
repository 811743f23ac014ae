"""Run as a process of its own: one picture and one question to one backend, and what came back.

The picture is red, made on the spot: nobody's photographs leave the machine, and whether the model saw it can
be told from its answer.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fgvr_kit.backends.base import Backend, Request, Response, open_backend
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.doctor.child import say
from fgvr_kit.errors import BackendError, FgvrError
from fgvr_kit.prompts import Prompt
from fgvr_kit.settings import FILE_NAME, load
from fgvr_kit.types import ImageRef

COLOUR = "red"
_QUESTION = Prompt("doctor", "What colour is this picture? Answer with one word.", "", "")
_SIDE = 224  # pixels; some vision towers refuse pictures of a few


def main(key: str, spec: str, root: Path, overrides: Sequence[str]) -> None:
    """key: the setting that names spec.  root: the workspace, or a folder without one."""
    try:
        settings = load(root / FILE_NAME, overrides)
        backend = open_backend(spec, settings, root, key=key)
        with tempfile.TemporaryDirectory() as folder:
            request = _request(Path(folder) / "red.png", settings.extract.max_tokens)
            start = time.perf_counter()
            response = asyncio.run(_reply(backend, request))
            seconds = time.perf_counter() - start
    except FgvrError as error:
        say(error=error.message, where=error.where, why=error.why, hint=error.hint, code=error.code)
    else:
        text = backend.redact(" ".join(response.text.split()))
        say(text=text, finish=response.finish_reason, note=response.note, seconds=seconds)


def _request(file: Path, max_tokens: int) -> Request:
    from PIL import Image

    Image.new("RGB", (_SIDE, _SIDE), COLOUR).save(file)
    image = ImageRef(file, pixel_sha256(open_image(file)))
    return Request("doctor", _QUESTION, (image,), subject=image.sha256, max_tokens=max_tokens)


async def _reply(backend: Backend, request: Request) -> Response:
    try:
        (reply,) = await backend.reply([request])
    finally:
        await backend.aclose()
    if isinstance(reply, BackendError):
        raise reply
    return reply


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
