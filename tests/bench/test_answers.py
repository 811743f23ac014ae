"""Answers a second of the model in this process, beside one generate call per image and question at batch 1.

The latter is how FineR asks (reference/finer.md §2 E). Same weights, same photographs, same questions, same run;
the texts of both must be equal. Random weights, large enough that the work is arithmetic and not Python.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Request, labels_of
from fgvr_kit.backends.transformers import Transformers
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.prompts import Prompt
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import opened
from tests.families import tiny

pytestmark = pytest.mark.bench

COINS = Path(__file__).parents[2] / "examples" / "euro-coins"
N_IMAGES, N_TOKENS = 6, 12
ATTRIBUTES = (
    "colour of the rim", "colour of the centre", "number on the front", "shape of the map", "pattern of the edge",
    "number of stars", "wear of the relief", "texture of the surface", "size in the picture", "direction of light",
)  # fmt: skip
OPTIONS = ("golden", "silver", "copper", "brown", "two colours", "not visible")
TEXT = {
    "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "initializer_range": 0.05,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    # model_type -> what its vision part is made of. An image is 64 tokens for idefics3; for qwen2_5_vl some 230,
    # as many as a photograph of the papers' mean size (500 x 375) has; the coins are smaller and are enlarged.
    "idefics3": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6,
                 "num_attention_heads": 4, "image_size": 224, "patch_size": 14},
    "qwen2_5_vl": {"depth": 6, "hidden_size": 256, "intermediate_size": 1024, "num_heads": 4, "patch_size": 14,
                   "out_hidden_size": 512, "window_size": 112, "fullatt_block_indexes": [2, 5]},
}  # fmt: skip


@pytest.fixture(params=sorted(MODELS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Transformers:
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, set_seed

    small = tiny.BUILDERS[request.param](tmp_path / "small")
    processor = AutoProcessor.from_pretrained(small)
    document = json.loads((small / "config.json").read_text())
    document["text_config"] |= TEXT | {"head_dim": 64}
    document["text_config"].pop("layer_types", None)  # of two layers
    document["vision_config"] |= MODELS[request.param]
    if request.param == "idefics3":
        processor.image_processor.size = {"longest_edge": 224}
        processor.image_processor.max_image_size = {"longest_edge": 224}
        processor.image_seq_len = 64
    else:
        document["text_config"]["rope_parameters"]["mrope_section"] = [8, 12, 12]
        processor.image_processor.size = {"shortest_edge": 430 * 430, "longest_edge": 448 * 448}  # 500 x 375
    (small / "config.json").write_text(json.dumps(document))
    set_seed(3)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(small))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    backend = opened(f"transformers:{tmp_path / 'model'}", tmp_path, transformers={"device": "cpu"})
    assert isinstance(backend, Transformers)
    return backend


def requests(options: tuple[str, ...] = ()) -> list[Request]:
    listed = "".join(
        f"\n{label}. {word}" for label, word in zip(labels_of(len(options)), options, strict=True)
    )
    made = []
    for path in sorted(COINS.rglob("*.jpg"))[:: max(1, len(list(COINS.rglob("*.jpg"))) // N_IMAGES)][
        :N_IMAGES
    ]:
        ref = ImageRef(path, pixel_sha256(open_image(path)))
        for name in ATTRIBUTES:
            text = f"Look at the coin in the photograph. What is the {name}? Answer in a few words.{listed}"
            prompt = Prompt("extract/question", text, "", "0123456789abcdef")
            made.append(
                Request("extract", prompt, (ref,), ref.sha256, name, options=options, max_tokens=N_TOKENS)
            )
    return made


def one_by_one(backend: Transformers, asked: list[Request]) -> list[str]:
    """One stock generate call per image and question."""
    vlm = backend._load()
    said = []
    for one in asked:
        content = [{"type": "image"}, {"type": "text", "text": one.prompt.text}]
        text = vlm.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        image = open_image(one.images[0].path).convert("RGB")
        inputs = vlm.processor(text=[text], images=[[image]], return_tensors="pt")
        out = vlm.base_model.generate(
            **inputs, max_new_tokens=N_TOKENS, do_sample=False, eos_token_id=sorted(vlm.stop)
        )
        ids = out[0, inputs["input_ids"].shape[1] :]
        said.append(vlm.tokenizer.decode(ids, skip_special_tokens=True).strip())
    return said


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def test_answers_beside_one_call_per_image_and_question(backend: Transformers, tmp_path: Path) -> None:
    asked, closed = requests(), requests(OPTIONS)
    vlm = backend._load()
    one_by_one(backend, asked[:2])
    vlm.generate([backend._ask(closed[0])], max_new_tokens=2)  # type: ignore[list-item]
    looks: list[int] = []
    vlm.base_model.get_submodule(vlm.family.vision).register_forward_hook(lambda *_: looks.append(1))
    slow, expected = seconds(lambda: one_by_one(backend, asked))
    n_stock = len(looks)
    looks.clear()
    with Store(tmp_path / "fgvr.db") as store:
        fast, found = seconds(lambda: ask(backend, asked, store))
        n_looks = len(looks)
        weighed, scored = seconds(lambda: ask(backend, closed, store))
        n_more = len(looks) - n_looks
        texts = [row["text"] for one in asked if (row := found.row(one))]
        assert sum(bool(scored.row(one)) for one in closed) == len(closed)
    n, tokens = len(asked), len(vlm.read([backend._ask(asked[0])])[0].ids)  # type: ignore[list-item]
    size = sum(p.numel() for p in vlm.model.parameters()) / 1e6
    print(
        f"\n{vlm.base_model.config.model_type}, {size:.0f} M weights, {tokens} tokens a prompt, {N_TOKENS} an answer,"
        f" {N_IMAGES} images x {len(ATTRIBUTES)} questions:"
        f"\n  one call each {n / slow:.2f} answers/s, {n_stock} forward passes of the vision tower"
        f"\n  this backend {n / fast:.2f} answers/s ({slow / fast:.1f} times), {n_looks} passes of at most"
        f" {backend._batches.size} images"
        f"\n  closed questions {n / weighed:.2f} answers/s ({slow / weighed:.1f} times),"
        f" {n_more} passes more"
    )
    # The store drops what it cannot hold; untrained models write that too.
    assert texts == [text.replace("\0", "").strip() for text in expected]
    assert slow / fast >= 3
