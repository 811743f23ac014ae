from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit import toy
from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend
from fgvr_kit.errors import BackendRefused, RequestRejected
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import opened, prompt, question, say


def toy_backend(folder: Path, spec: str = "transformers:toy-vlm", **more: Any) -> Backend:
    return opened(spec, folder, transformers={"device": "cpu", **more})


def test_what_an_untrained_model_says_is_marked(toy_vlm_path: Path, store: Store, tmp_path: Path) -> None:
    row = ask(toy_backend(tmp_path), [question(1)], store).row(question(1))
    assert row is not None
    assert (row["model"], row["note"]) == ("toy-vlm", toy.NOTE)


def test_a_folder_is_found_from_the_workspace_and_known_by_its_weights(
    toy_vlm_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    for file in toy_vlm_path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    backend = toy_backend(tmp_path, "transformers:models/mine")
    reply = say(backend, question(1))[0]
    assert (reply.model, reply.note) == ("models/mine", toy.NOTE)
    assert reply.text == say(toy_backend(tmp_path), question(1))[0].text
    before = backend.conditions["weights"]
    assert toy_backend(tmp_path, "transformers:models/mine").conditions["weights"] == before
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert toy_backend(tmp_path, "transformers:models/mine").conditions["weights"] != before
    assert str(tmp_path) not in json.dumps(backend.conditions)


def test_a_reply_is_known_by_how_the_weights_are_really_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by "auto": what was begun on a GPU and goes on without one would mix the replies of two models."""
    from fgvr_kit.families.weights import quantized

    stored = []
    for gpu in (True, False):
        monkeypatch.setattr(quantized, "has_cuda", lambda gpu=gpu: gpu)
        stored.append(toy_backend(tmp_path, device="auto").conditions["quantize"])
    assert stored == ["nf4", "none"]


def test_requests_of_unequal_length_keep_their_places(toy_vlm_path: Path, tmp_path: Path) -> None:
    backend = toy_backend(tmp_path, batch_size=3)
    requests = [question(n, max_tokens=tokens) for n, tokens in enumerate((2, 5, 2, 5, 3))]
    assert [r.output_tokens for r in say(backend, *requests)] == [2, 5, 2, 5, 3]
    assert say(backend, *requests) == [say(backend, request)[0] for request in requests]


def test_what_it_cannot_do_concerns_that_request_alone(toy_vlm_path: Path, tmp_path: Path) -> None:
    gone = question(1, images=(ImageRef(tmp_path / "gone.png", "7" * 64),))
    long = question(2, prompt=prompt("What colour is it? " * 500))
    replies = asyncio.run(toy_backend(tmp_path).reply([gone, long, question(3)]))
    assert [type(reply).__name__ for reply in replies] == ["RequestRejected", "RequestRejected", "Response"]
    codes = [reply.code for reply in replies if isinstance(reply, RequestRejected)]
    assert codes == ["image-unreadable", "prompt-too-long"]


def test_a_batch_too_large_for_the_gpu_is_halved_and_not_tried_again(
    toy_vlm_path: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fgvr_kit.families.base import Generated, Vlm

    sizes: list[int] = []
    fits = 2

    def generate(_: Vlm, asks: Sequence[Any], **__: Any) -> list[Generated]:
        sizes.append(len(asks))
        if len(asks) > fits:
            raise torch.OutOfMemoryError
        return [Generated(one.ask.text, "stop", 3, 1) for one in asks]

    monkeypatch.setattr(Vlm, "generate", generate)
    requests = [question(n) for n in range(5)]
    backend = toy_backend(tmp_path)
    asked = ask(backend, requests, store)
    assert [row["text"] for r in requests if (row := asked.row(r))] == [r.prompt.text for r in requests]
    assert sizes == [5, 2, 3, 1, 2]
    sizes.clear()
    say(backend, *requests)
    assert max(sizes) == fits
    fits = 0
    with pytest.raises(BackendRefused) as caught:
        ask(toy_backend(tmp_path), [question(9)], store)
    assert caught.value.code == "backend-memory"


def test_a_run_that_is_all_stored_loads_no_torch(toy_vlm_path: Path, store: Store, tmp_path: Path) -> None:
    ask(toy_backend(tmp_path), [question(1)], store)
    script = (
        "import sys; from pathlib import Path; from fgvr_kit.store import Store\n"
        "from fgvr_kit.asking.engine import ask; from tests.backends.contract import opened, question\n"
        "b = opened('transformers:toy-vlm', Path(sys.argv[1]), transformers={'device': 'cpu'})\n"
        "with Store(Path(sys.argv[2])) as store: asked = ask(b, [question(1)], store)\n"
        "print(asked.n_new, asked.n_stored, [m for m in ('torch', 'transformers', 'openai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(store.path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == "0 1 []"
