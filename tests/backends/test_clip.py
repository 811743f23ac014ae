from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgvr_kit import toy
from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Request
from fgvr_kit.backends.clip import CANNOT_SAY, texts_of
from fgvr_kit.dataset.images import pixel_sha256
from fgvr_kit.embedding import Clip
from fgvr_kit.errors import BackendError, SettingsError
from fgvr_kit.prompts import Prompt, Prompts
from fgvr_kit.store import Store
from fgvr_kit.types import NOT_VISIBLE, ImageRef
from tests.backends.contract import opened, say

OPTIONS = ("brown", "green", "red")
pytestmark = pytest.mark.usefixtures("toy_clip_model")


def picture(folder: Path, seed: int = 0) -> ImageRef:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    image.save(folder / f"{seed}.png")
    return ImageRef(folder / f"{seed}.png", pixel_sha256(image))


def question(*images: ImageRef, options: tuple[str, ...] = OPTIONS, prompt: str = "extract/clip") -> Request:
    pairs = list(zip("ABCD", options, strict=False))
    given = {"attribute": "leg colour", "question": "Which?", "options": pairs}
    text = Prompts().render(prompt, **given) if options else Prompt(prompt, "Which?", "", "0")
    return Request(
        "extract", text, images, images[0].sha256 if images else None, "leg_colour", options=options
    )


def test_scores_are_a_softmax_of_cosines_with_a_line_of_the_prompt_each(tmp_path: Path) -> None:
    ref = picture(tmp_path)
    (reply,) = say(opened("clip:toy-clip", tmp_path, clip={"device": "cpu"}), question(ref))
    clip = Clip("toy-clip", device="cpu")
    with Store(tmp_path / "other.db") as store:
        image = clip.images(store, [ref], batch_size=1)[0]
        words = clip.texts(store, [f"a photo of one object with leg colour: {option}" for option in OPTIONS])
        weights = np.exp(clip.scale(store) * (words.astype(float) @ image))
    assert reply.scores == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert math.isclose(sum(reply.scores or ()), 1)
    assert reply.text == OPTIONS[int(np.argmax(weights))]
    assert reply.note == toy.NOTE


def test_what_is_not_visible_is_never_chosen_and_the_note_says_so(tmp_path: Path) -> None:
    ref = picture(tmp_path)
    backend = opened("clip:toy-clip", tmp_path, clip={"device": "cpu"})
    plain, more = say(backend, question(ref), question(ref, options=(*OPTIONS, NOT_VISIBLE)))
    assert more.scores == (*(plain.scores or ()), 0.0)
    assert more.note == f"{toy.NOTE}; {CANNOT_SAY}"


def test_vectors_are_computed_once_for_all_questions_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, requests = picture(tmp_path), []
    for options in (OPTIONS, ("long", "short")):
        requests.append(question(ref, options=options))
    seen: list[int] = []
    encode = Clip._encode_images

    def counted(self: Clip, images: list[ImageRef]) -> object:
        seen.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(Clip, "_encode_images", counted)
    first = say(opened("clip:toy-clip", tmp_path), *requests)
    monkeypatch.setattr(Clip, "_load", lambda _: pytest.fail("everything is stored"))
    assert say(opened("clip:toy-clip", tmp_path), *requests) == first
    assert seen == [1]


def test_only_closed_questions_about_one_picture_are_answered(tmp_path: Path) -> None:
    ref = picture(tmp_path)
    lost = ImageRef(tmp_path / "gone.png", "0" * 64)
    broken = replace(question(ref), prompt=Prompt("extract/clip", "one line", "", "0"))
    wrong = [question(ref, options=()), question(ref, options=("red", NOT_VISIBLE)), question(), question(ref, ref),
             broken, question(lost)]  # fmt: skip
    backend = opened("clip:toy-clip", tmp_path)
    with Store(tmp_path / "replies.db") as store:
        asked = ask(backend, [*wrong, question(ref)], store)
        assert asked.row(question(ref)) is not None
        codes = sorted(row["code"] for row in store.failures())
    assert (asked.n_new, sum(asked.failures.values())) == (1, 6)
    assert codes[:5] == ["clip-lines", "image-unreadable", "one-image-only", "one-image-only", "options-only"]
    assert "closed_by" in asked.errors["options only"].hint


def test_the_prompt_for_a_model_that_talks_gives_its_attribute_and_values(tmp_path: Path) -> None:
    asked = question(picture(tmp_path), options=("brown", NOT_VISIBLE, "red"), prompt="extract/closed")
    assert texts_of(asked) == ["a photo, leg colour: brown", "a photo, leg colour: red"]


def test_weights_that_are_not_named_or_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as unnamed:
        opened("clip:ViT-B-32", tmp_path)
    assert unnamed.value.code == "clip-spec"
    backend = opened("clip:ViT-X-99:nothing", tmp_path)
    with Store(tmp_path / "replies.db") as store, pytest.raises(Exception) as unknown:  # noqa: PT011
        ask(backend, [question(picture(tmp_path))], store)
    assert getattr(unknown.value, "code", "") == "clip-unknown"
    assert not isinstance(unknown.value, BackendError)
