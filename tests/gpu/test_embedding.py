"""Images a second of CLIP models with random weights: from JPEG files to stored vectors, and beside it the forward
pass alone, on pictures that lie ready."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.embedding import Clip
from fgvr_kit.embedding.model import Model
from fgvr_kit.embedding.specs import parse
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.bench.test_scan import photographs
from tests.gpu import meter
from tests.gpu.figures import Figures

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(150)]

TEXT = {"context_length": 16, "vocab_size": 512, "width": 64, "heads": 1, "layers": 1}
"""Only images are embedded here."""
SO400M = {
    "image_size": 384,
    "patch_size": 14,
    "width": 1152,
    "layers": 27,
    "head_width": 72,
    "mlp_ratio": 3.7362,
}
"""The vision tower of SigLIP SO400M, as open_clip's own transformer."""
VIT_L_14 = {"image_size": 224, "patch_size": 14, "width": 1024, "layers": 24, "head_width": 64}
TOWERS: dict[str, tuple[int, dict[str, Any]]] = {"ViT-L-14": (768, VIT_L_14), "SO400M": (1152, SO400M)}


@pytest.fixture(scope="module")
def images(device: str, tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """JPEGs of 500x375."""
    root = photographs(tmp_path_factory.mktemp("jpegs"), 512 if device == "cuda" else 12)
    return [ImageRef(path, pixel_sha256(open_image(path))) for path in sorted(root.rglob("*.jpg"))]


@pytest.fixture(params=sorted(TOWERS))
def tower(request: pytest.FixtureRequest, device: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(what figures call it, spec of a model of that shape with random weights); tiny in a rehearsal."""
    import open_clip

    dimension, vision = TOWERS[request.param]
    if device == "cpu":
        vision = vision | {"image_size": 56, "width": vision["head_width"], "layers": 1}
    name = f"{request.param}-as-here-{device}"
    config = {"embed_dim": dimension, "vision_cfg": vision, "text_cfg": TEXT}
    (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model(name).state_dict(), tmp_path / "weights.pt")
    yield request.param, f"{name}:{tmp_path / 'weights.pt'}"
    (tmp_path / "weights.pt").unlink()
    meter.forget_peak()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_images_are_embedded(
    tower: tuple[str, str], precision: Literal["fp32", "bf16"], images: list[ImageRef], device: str,
    figures: Figures, tmp_path: Path,
) -> None:  # fmt: skip
    name, spec = tower
    size = 128 if device == "cuda" else 4
    meter.forget_peak()
    clip = Clip(spec, device=device, precision=precision)
    with Store(tmp_path / "warm" / "fgvr.db") as store:
        clip.images(store, images[:size], batch_size=size)  # loads it, and chooses kernels
    with Store(tmp_path / "timed" / "fgvr.db") as store:
        started = meter.finished()
        vectors = clip.images(store, images, batch_size=size)
        seconds = meter.finished() - started
    assert vectors.shape[0] == len(images)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    peak = meter.peak_gb()
    del clip
    figures.put(
        f"{name} shape, random weights, {precision}, {len(images)} JPEGs of 500x375 in batches of {size}",
        images_a_second=len(images) / seconds,
        images_a_second_of_the_forward_pass_alone=size / alone(spec, precision, images[:size], device),
        peak_gb=peak,
    )


def alone(spec: str, precision: Any, images: list[ImageRef], device: str) -> float:
    """Seconds of a batch that lies ready on the device."""
    model = Model(parse(spec), precision, device)
    pictures = np.stack([model.preparation.picture(image) for image in images])
    ready = torch.from_numpy(pictures).to(model.device)
    return meter.median_seconds(lambda: model.encode_images(ready))
