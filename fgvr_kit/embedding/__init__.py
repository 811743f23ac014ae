"""open_clip vectors of images and texts, each computed once: kept by model and pixels in table `embeddings`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit import plugins, toy
from fgvr_kit.dataset.images import open_known
from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.fingerprint import digest_files, fingerprint
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_SCALE = "logit scale"
"""Subject that the scale of a model stands under."""


class Clip:
    """An open_clip model with its own preprocessing, fed by our one image opener.

    spec: "ARCHITECTURE:PRETRAINED", "ARCHITECTURE:FILE", "hf-hub:...", "local-dir:FOLDER" or "toy-clip".
    note: what must stand beside everything that rests on it ("untrained toy model"), or None.
    Weights are loaded at the first vector that is not stored yet.
    """

    def __init__(self, spec: str, *, device: str = "auto") -> None:
        self.spec = spec
        self.name, self.pretrained = _parse(spec)
        folder = self.name.removeprefix("local-dir:")
        self.note = toy.note_of(Path(folder)) if folder != self.name else None
        self._device = device
        self._parts: tuple[Any, Any, Any, Any] | None = None

    @property
    def key(self) -> str:
        """What vectors are stored under: everything that decides their values but the pixels."""
        return clip_key(self.spec)

    def images(
        self,
        store: Store,
        images: Sequence[ImageRef],
        *,
        batch_size: int,
        progress: Progress = SILENT,
    ) -> NDArray[np.float32]:
        """(N, D) unit rows, in the order of images.

        Batches are cut from the whole list, so that a run that was killed goes on with the same batches and
        ends with the same vectors. Raises ModelError when a vector is not finite.
        """
        unique = {image.sha256: image for image in images}
        shas = list(unique)
        known = store.embeddings(self.key, shas)
        missing = len(shas) - len(known)
        with progress.task("embedding images", len(shas), done=len(known)) as task:
            for start in range(0, len(shas), batch_size):
                batch = [sha for sha in shas[start : start + batch_size] if sha not in known]
                if not batch:
                    continue
                vectors = self._encode_images([unique[sha] for sha in batch])
                known |= self._keep(store, batch, vectors)
                task.advance(len(batch))
        log.info("%d of %d images embedded with %s", missing, len(shas), self.spec)
        return _stack([known[image.sha256] for image in images])

    def texts(self, store: Store, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows, in the order of texts."""
        subjects = [f"text:{text}" for text in texts]
        known = store.embeddings(self.key, subjects)
        if missing := [t for t, s in zip(texts, subjects, strict=True) if s not in known]:
            known |= self._keep(store, [f"text:{t}" for t in missing], self._encode_texts(missing))
        return _stack([known[subject] for subject in subjects])

    def scale(self, store: Store) -> float:
        """What cosines are multiplied with before the softmax; kept beside the vectors, as one of them."""
        known = store.embeddings(self.key, [_SCALE])
        if _SCALE not in known:
            value = self._load()[0].logit_scale.exp().item()
            known = self._keep(store, [_SCALE], np.array([[value]], dtype=np.float32))
        return float(_stack([known[_SCALE]])[0, 0])

    def _keep(self, store: Store, subjects: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, bytes]:
        if not np.isfinite(vectors).all():
            bad = subjects[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise ModelError(
                f"{self.spec} gives vectors that are not numbers",
                code="embedding-not-finite",
                where=bad,
                hint="are its weights whole? try them in float32 on the CPU",
            )
        rows = {s: v.astype("<f4").tobytes() for s, v in zip(subjects, vectors, strict=True)}
        store.put_embeddings(self.key, rows)
        return rows

    def _encode_images(self, images: Sequence[ImageRef]) -> NDArray[np.float32]:
        import torch

        model, preprocess, _, device = self._load()
        pixels = torch.stack([preprocess(open_known(image)) for image in images])  # (B, 3, H, W)
        with torch.inference_mode():
            vectors = model.encode_image(pixels.to(device), normalize=True)  # (B, D)
        return np.asarray(vectors.float().cpu().numpy())

    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        model, _, tokenizer, device = self._load()
        with torch.inference_mode():
            vectors = model.encode_text(tokenizer(list(texts)).to(device), normalize=True)  # (N, D)
        return np.asarray(vectors.float().cpu().numpy())

    def _load(self) -> tuple[Any, Any, Any, Any]:
        if self._parts is None:
            open_clip = plugins.require("open_clip", "comparing images")
            import torch

            device = self._device
            if device == "auto":
                device = "cuda" if torch.cuda.is_available() else "cpu"
            try:
                model, _, preprocess = open_clip.create_model_and_transforms(
                    self.name, pretrained=self.pretrained or None, device=device
                )
                tokenizer = open_clip.get_tokenizer(self.name)
            except (RuntimeError, OSError, ValueError) as error:
                raise _explain(error, self.spec, open_clip) from error
            model.eval()
            self._parts = model, preprocess, tokenizer, device
        return self._parts


def clip_key(spec: str) -> str:
    """The model with all that decides its vectors: a toy by how it is built, files by what is in them."""
    if spec in toy.NAMES:
        return f"{toy.identity(spec)}#{_opener_version()}"
    _, pretrained = _parse(spec)
    places = (Path(place) for place in (spec.removeprefix("local-dir:"), pretrained) if place)
    files = [digest_files(place) for place in places if place.exists()]
    return f"{spec}#{fingerprint(files, _opener_version())}"


def _parse(spec: str) -> tuple[str, str]:
    """(open_clip model name, pretrained tag or file)."""
    if not spec:
        raise SettingsError(
            "no CLIP model is chosen: mine.model is empty",
            code="no-mine-model",
            hint="--model ViT-L-14:laion2b_s32b_b82k (what FOCI used); [mine] model in fgvr.toml keeps it",
        )
    if spec in toy.NAMES:
        return f"local-dir:{toy.path_of(spec)}", ""
    if spec.startswith(("hf-hub:", "local-dir:")):
        return spec, ""
    name, colon, pretrained = spec.partition(":")
    if not colon or not pretrained:
        raise SettingsError(
            f"the CLIP model {spec!r} does not say which weights",
            code="mine-model-spec",
            hint="ARCHITECTURE:PRETRAINED, such as ViT-L-14:laion2b_s32b_b82k",
        )
    return name, pretrained


def _explain(error: Exception, spec: str, open_clip: Any) -> ModelError:
    import difflib

    name = spec.partition(":")[0]
    known = open_clip.list_models()
    if not spec.startswith(("hf-hub:", "local-dir:")) and name not in known and spec not in toy.NAMES:
        close = difflib.get_close_matches(name, known, n=1)
        return ModelError(
            f"open_clip has no architecture {name!r}",
            code="clip-unknown",
            hint=f"did you mean {close[0]!r}?"
            if close
            else "python -c 'import open_clip; print(open_clip.list_models())'",
        )
    return ModelError(
        f"the weights of {spec} cannot be loaded",
        code="clip-unreachable",
        why=str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__,
        hint="download them where there is a network, then name the file: ARCHITECTURE:FILE",
    )


def _opener_version() -> str:
    """Raise it when open_image would give other pixels, or preprocessing changes."""
    return "1"


def _stack(rows: Sequence[bytes]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(row, dtype="<f4") for row in rows])
