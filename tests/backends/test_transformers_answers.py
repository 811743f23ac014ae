"""What a model in this process does beyond a single greedy reply: looks once, weighs options, keeps to schemas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit import toy
from fgvr_kit.backends.base import Request, Turn, labels_of
from fgvr_kit.backends.transformers import Transformers
from fgvr_kit.dataset.images import pixel_sha256
from fgvr_kit.errors import BackendRefused, RequestRejected
from fgvr_kit.types import ImageRef
from tests.backends.contract import SCHEMA, opened, prompt, question, say
from tests.families import tiny
from tests.families.contract import count_looks, photo

COLOURS = ("dark brown", "red", "golden yellow")


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """model_type -> the folder of a tiny checkpoint of it."""
    root = tmp_path_factory.mktemp("guests")
    return lambda name: str(tiny.GUESTS[name](root / name))


@pytest.fixture
def backend(toy_vlm_path: Path, tmp_path: Path) -> Transformers:
    return open_at(tmp_path)


def open_at(folder: Path, spec: str = "toy-vlm", **more: Any) -> Transformers:
    backend = opened(f"transformers:{spec}", folder, transformers={"device": "cpu", **more})
    assert isinstance(backend, Transformers)
    return backend


def pictured(folder: Path, n: int) -> ImageRef:
    image = photo(n)
    image.save(folder / f"{n}.png")
    return ImageRef(folder / f"{n}.png", pixel_sha256(image))


def closed(n: int, options: tuple[str, ...] = COLOURS, **fields: Any) -> Request:
    listed = "".join(
        f"\n{label}. {word}" for label, word in zip(labels_of(len(options)), options, strict=True)
    )
    return question(n, prompt=prompt(f"What colour is it? ({n}){listed}"), options=options, **fields)


# --- one look an image ------------------------------------------------------------------------------------


def test_an_image_is_looked_at_once_for_all_its_questions(
    backend: Transformers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [pictured(tmp_path, n) for n in range(3)]
    requests = [question(n, images=(ref,)) for ref in refs for n in range(4)]
    alone = [say(open_at(tmp_path, batch_size=1), request)[0] for request in requests[::4]]
    looks = count_looks(backend._load(), monkeypatch)
    together = say(backend, *requests)
    assert together[::4] == alone
    assert len(looks) <= 2  # batches of eight
    say(backend, *(closed(n, images=(ref,)) for ref in refs for n in range(4)))
    assert len(looks) <= 2  # another hand-over knows them still


# --- closed questions -------------------------------------------------------------------------------------


def test_options_are_weighed_and_nothing_is_written(
    backend: Transformers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = backend._load()
    monkeypatch.setattr(vlm.base_model, "generate", None)
    requests = [closed(n, COLOURS[: 2 + n % 2], images=(pictured(tmp_path, n),)) for n in range(4)]
    for request, reply in zip(requests, say(backend, *requests), strict=True):
        asked = [backend._ask(request)]
        expected = vlm.choose(asked, labels_of(len(request.options)))[0].exp().tolist()  # type: ignore[arg-type]
        assert reply.scores == pytest.approx(expected, abs=1e-5)
        assert reply.text == request.options[expected.index(max(expected))]
        assert (reply.finish_reason, reply.output_tokens, reply.note) == ("stop", 0, toy.NOTE)
        assert reply.input_tokens == len(vlm.read(asked)[0].ids)  # type: ignore[arg-type]


def test_open_and_closed_questions_share_a_hand_over(backend: Transformers) -> None:
    requests = [question(1), closed(2), question(3, schema=SCHEMA, max_tokens=60), closed(4)]
    together = say(backend, *requests)
    assert [reply.scores is not None for reply in together] == [False, True, False, True]
    assert [reply.text for reply in together] == [say(backend, one)[0].text for one in requests]


@pytest.mark.parametrize(
    ("n", "first", "last"), [(2, "A", "B"), (26, "A", "Z"), (30, "A", "d"), (60, "1", "60")]
)
def test_labels_are_letters_as_long_as_there_are_any(n: int, first: str, last: str) -> None:
    labels = labels_of(n)
    assert (len(set(labels)), labels[0], labels[-1]) == (n, first, last)


@pytest.mark.parametrize("n", [3, 60])
def test_options_whose_labels_are_no_tokens_are_written_under_a_mask(
    backend: Transformers, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    from fgvr_kit.families import turns

    def refuse(*_: Any) -> list[int]:
        from fgvr_kit.errors import ModelError

        raise ModelError("no", code="label-not-a-token", hint="none")

    monkeypatch.setattr(turns, "label_ids", refuse)
    options = tuple(f"word {i}" for i in range(n))
    reply = say(backend, closed(1, options, max_tokens=20))[0]
    assert reply.text in options
    assert (reply.scores, reply.finish_reason) == (None, "stop")


def test_more_than_52_options_need_no_letters(backend: Transformers) -> None:
    options = tuple(f"word {i}" for i in range(60))
    assert say(backend, closed(1, options, max_tokens=20))[0].text in options


def test_probabilities_that_are_no_numbers_stop_the_run(
    backend: Transformers, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fgvr_kit.families.base import Vlm

    monkeypatch.setattr(Vlm, "choose", lambda *_: torch.full((1, 3), float("nan")))
    with pytest.raises(BackendRefused) as caught:
        asyncio.run(backend.reply([closed(1)]))
    assert caught.value.code == "scores-not-finite"


# --- how an answer is written -----------------------------------------------------------------------------


def test_a_schema_is_kept_by_an_untrained_model(backend: Transformers) -> None:
    schema = {**SCHEMA, "properties": {"colour": {"enum": list(COLOURS)}}}
    said = say(backend, question(1, schema=schema, max_tokens=60))[0]
    assert json.loads(said.text)["colour"] in COLOURS
    assert said.note == toy.NOTE


def test_a_schema_that_cannot_be_kept_is_noted_beside_the_reply(backend: Transformers) -> None:
    schema = {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True}
    plain, said = say(backend, question(1), question(1, schema=schema))
    assert said.text == plain.text
    assert str(said.note).startswith(f"{toy.NOTE}; schema not enforced: ")


def test_samples_differ_and_come_again(backend: Transformers) -> None:
    requests = [question(1, temperature=1.0, sample=n, max_tokens=8) for n in range(4)]
    first = say(backend, *requests)
    assert len({reply.text for reply in first}) > 1
    assert [say(backend, request)[0] for request in requests] == first
    other = question(2, temperature=1.0, sample=0, max_tokens=8)
    assert say(backend, other, *requests)[1:] == first  # not by place in the batch


def test_earlier_turns_reach_the_model(backend: Transformers) -> None:
    told = question(1, turns=(Turn("<image> red", "That is no JSON. Again."),))
    asked = backend._ask(told)
    assert not isinstance(asked, RequestRejected)
    text = backend._load().read([asked])[0].prompt
    assert text.index("Question 1?") < text.index("red") < text.index("That is no JSON. Again.")
    assert "<image>" not in text
    assert say(backend, told)[0].text != say(backend, replace(told, turns=()))[0].text


# --- models of words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen2", "llama"])
def test_a_model_of_words_answers_and_refuses_pictures(
    tiny_checkpoint: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    backend = open_at(tmp_path, tiny_checkpoint(name))
    words = [question(n, prompt=prompt(f"Describe {n}.", "Be brief.")) for n in range(3)]
    seeing = question(9, images=(pictured(tmp_path, 1),))
    replies = asyncio.run(backend.reply([*words, seeing, closed(4)]))
    assert isinstance(replies[3], RequestRejected)
    assert replies[3].code == "model-cannot-see"
    assert [getattr(reply, "output_tokens", None) for reply in replies[:3]] == [6, 6, 6]
    assert sum(getattr(replies[4], "scores", ())) == pytest.approx(1)


def test_a_vision_model_of_no_known_family_answers_about_pictures(
    tiny_checkpoint: Callable[[str], str], tmp_path: Path
) -> None:
    backend = open_at(tmp_path, tiny_checkpoint("vipllava"))
    requests = [question(1, images=(pictured(tmp_path, n),)) for n in range(2)] + [question(2)]
    assert say(backend, *requests) == [say(backend, request)[0] for request in requests]
