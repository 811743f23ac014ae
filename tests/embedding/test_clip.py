from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgvr_kit import toy
from fgvr_kit.dataset.images import open_image
from fgvr_kit.embedding import Clip, Precision, clip_key
from fgvr_kit.embedding import clip as clip_module
from fgvr_kit.embedding.model import Model
from fgvr_kit.embedding.vectors import VectorFile, read_about
from fgvr_kit.errors import FgvrError, ImageError, ModelError
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.embedding.conftest import Refs, reference

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytestmark = pytest.mark.usefixtures("toy_clip_model")

PRECISIONS: list[Precision] = ["fp32", "bf16", "fp16"]


def toy_clip(**options: Any) -> Clip:
    return Clip("toy-clip", device="cpu", **options)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the model was given."""
    sizes: list[int] = []
    encode = Clip._encode_images

    def counted(self: Clip, pictures: Any) -> Any:
        sizes.append(len(pictures))
        return encode(self, pictures)

    monkeypatch.setattr(Clip, "_encode_images", counted)
    return sizes


@contextmanager
def no_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(Clip, "_load", lambda _: pytest.fail("the model was loaded"))
        yield


def folders(store: Store) -> list[Path]:
    return sorted((store.path.parent / "vectors").iterdir())


# --- what a vector is -----------------------------------------------------------------------------------------


def test_vectors_are_those_that_open_clip_gives(store: Store, refs: Refs, toy_clip_model: str) -> None:
    import open_clip

    pictures = refs(5)
    net, _, preprocess = open_clip.create_model_and_transforms(toy_clip_model)
    pixels = torch.stack([preprocess(open_image(ref.path)) for ref in pictures])
    words = open_clip.get_tokenizer(toy_clip_model)(["a bee", "a wasp"])
    with torch.inference_mode():
        images = net.eval().encode_image(pixels, normalize=True).numpy()
        texts = net.encode_text(words, normalize=True).numpy()
        scale = net.logit_scale.exp().item()
    clip = toy_clip()
    assert np.array_equal(clip.images(store, pictures, batch_size=8), images)
    assert np.array_equal(clip.texts(store, ["a bee", "a wasp"]), texts)
    assert clip.scale(store) == pytest.approx(scale)


def test_a_class_of_several_texts_is_the_mean_of_their_unit_vectors(store: Store) -> None:
    clip = toy_clip()
    a, b, c = clip.texts(store, ["a bee", "the bee", "a wasp"]).astype(float)
    found = clip.classes(store, [["a bee", "the bee"], ["a wasp"]])
    assert np.allclose(found, [(a + b) / np.linalg.norm(a + b), c], atol=1e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert store.count("vectors") == 3  # an ensemble is computed, not kept


def test_more_texts_than_the_model_is_given_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "_TEXTS_AT_ONCE", 4)
    texts = [f"a bee of size {n % 9}" for n in range(12)]
    found = toy_clip().texts(store, texts)
    assert store.count("vectors") == 9
    assert np.array_equal(found[9:], found[:3])
    assert np.allclose(
        found[5], toy_clip().texts(Store(store.path.with_name("b.db")), texts[5:6])[0], atol=1e-5
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_vectors_are_float32_and_of_length_1_in_every_precision(
    store: Store, refs: Refs, precision: Precision
) -> None:
    pictures = refs(3)
    exact = toy_clip().images(store, pictures, batch_size=3)
    clip = toy_clip(precision=precision)
    found, texts = clip.images(store, pictures, batch_size=3), clip.texts(store, ["a bee"])
    assert found.dtype == texts.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (np.sum(found * exact, axis=1) > 0.999).all()
    assert np.array_equal(found, exact) == (precision == "fp32")


def test_the_precision_is_part_of_the_key(store: Store, refs: Refs) -> None:
    assert len({clip_key("toy-clip", precision) for precision in PRECISIONS}) == 3
    for precision in PRECISIONS:
        toy_clip(precision=precision).images(store, refs(2), batch_size=2)
    abouts = [read_about(folder) or {} for folder in folders(store)]
    assert sorted(about["precision"] for about in abouts) == sorted(PRECISIONS)
    assert all("Normalize" in about["preprocessing"] for about in abouts)
    assert {about["note"] for about in abouts} == {toy.NOTE}


def test_workers_change_no_vector(store: Store, refs: Refs, tmp_path: Path) -> None:
    alone = toy_clip(workers=1).images(store, refs(9), batch_size=4)
    with Store(tmp_path / "other" / "fgvr.db") as other:
        assert np.array_equal(toy_clip(workers=5).images(other, refs(9), batch_size=4), alone)


# --- nothing is embedded twice --------------------------------------------------------------------------------


def test_what_is_stored_is_neither_embedded_nor_is_the_model_loaded(
    store: Store, refs: Refs, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = refs(5)
    first = toy_clip().images(store, [*pictures, pictures[0]], batch_size=4)
    toy_clip().texts(store, ["a bee"])
    assert encoded == [4, 1]
    assert np.array_equal(first[0], first[5])
    with no_model(monkeypatch):
        again = toy_clip()
        assert np.array_equal(again.images(store, pictures[::-1], batch_size=3), first[4::-1])
        again.texts(store, ["a bee"])
        again.scale(store)
        rows = again.rows(store, pictures, batch_size=4)
        assert rows.shape == (5, 64)
        assert np.array_equal(rows[1:3], first[1:3])


def test_one_image_that_changes_is_one_image_that_is_embedded(
    store: Store, refs: Refs, encoded: list[int]
) -> None:
    pictures = refs(6)
    before = toy_clip().images(store, pictures, batch_size=3)
    pictures[4] = reference(pictures[4].path, seed=77)
    after = toy_clip().images(store, pictures, batch_size=3)
    assert encoded == [3, 3, 1]
    assert [n for n in range(6) if not np.array_equal(before[n], after[n])] == [4]


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    store: Store, refs: Refs, encoded: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pictures, append = refs(11), VectorFile.append
    whole = toy_clip().images(store, pictures, batch_size=3)
    killed = Store(tmp_path / "killed" / "fgvr.db")

    def dying(self: VectorFile, store: Store, subjects: Any, vectors: Any) -> Any:
        if store.count("vectors") == 6:
            raise KeyboardInterrupt
        return append(self, store, subjects, vectors)

    with monkeypatch.context() as patched:
        patched.setattr(VectorFile, "append", dying)
        with pytest.raises(KeyboardInterrupt):
            toy_clip().images(killed, pictures, batch_size=3)
    assert killed.count("vectors") == 6
    del encoded[:]
    assert np.array_equal(toy_clip().images(killed, pictures, batch_size=3), whole)
    assert encoded == [3, 2]


def test_batches_are_those_of_the_whole_list_whatever_is_stored_of_it(
    store: Store, refs: Refs, encoded: list[int]
) -> None:
    pictures = refs(8)
    toy_clip().images(store, pictures[1:2], batch_size=3)
    toy_clip().images(store, pictures, batch_size=3)
    assert encoded == [1, 2, 3, 2]


def test_a_file_cut_short_is_mended(store: Store, refs: Refs, encoded: list[int]) -> None:
    whole = toy_clip().images(store, refs(6), batch_size=3)
    file = folders(store)[0] / "vectors.f32"
    with file.open("r+b") as content:
        content.truncate(3 * 4 * 64)
    del encoded[:]
    assert np.array_equal(toy_clip().images(store, refs(6), batch_size=3), whole)
    assert encoded == [3]


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_a_lost_description_costs_no_vector(
    store: Store, refs: Refs, encoded: list[int], text: str | None
) -> None:
    toy_clip().images(store, refs(2), batch_size=2)
    about = folders(store)[0] / "model.json"
    before = about.read_text()
    about.unlink() if text is None else about.write_text(text)
    toy_clip().images(store, refs(2), batch_size=2)
    assert encoded == [2]
    assert about.read_text() == before


def test_another_version_of_open_clip_that_prepares_alike_embeds_nothing_again(
    store: Store, refs: Refs, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_clip().images(store, refs(2), batch_size=2)
    monkeypatch.setattr(clip_module, "preprocessing_versions", lambda: "open_clip 99")
    toy_clip().images(store, refs(2), batch_size=2)
    assert encoded == [2]
    assert len((read_about(folders(store)[0]) or {})["seen_with"]) == 2
    with no_model(monkeypatch):
        toy_clip().images(store, refs(2), batch_size=2)


def test_another_preprocessing_is_another_file(
    store: Store, refs: Refs, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_clip().images(store, refs(2), batch_size=2)
    load = Clip._load

    def changed(self: Clip) -> Model:
        model = load(self)
        model.preparation.name = "Resize(size=64, interpolation=nearest)"
        return model

    monkeypatch.setattr(Clip, "_load", changed)
    monkeypatch.setattr(clip_module, "preprocessing_versions", lambda: "open_clip 99")
    toy_clip().images(store, refs(2), batch_size=2)
    assert encoded == [2, 2]
    assert len(folders(store)) == 2
    with no_model(monkeypatch):
        toy_clip().images(store, refs(2), batch_size=2)
    monkeypatch.undo()
    with no_model(monkeypatch):  # and the file of before still stands
        toy_clip().images(store, refs(2), batch_size=2)


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_opened_is_named_and_those_before_it_stay(store: Store, refs: Refs) -> None:
    pictures = refs(7)
    pictures[5].path.write_bytes(b"no picture")
    pictures[6] = ImageRef(pictures[6].path, "0" * 64)
    with pytest.raises(ImageError) as caught:
        toy_clip().images(store, pictures, batch_size=2)
    assert (caught.value.code, caught.value.where) == ("image-unreadable", str(pictures[5].path))
    assert store.count("vectors") == 4
    with pytest.raises(ImageError) as caught:
        toy_clip().images(store, [*pictures[:5], pictures[6]], batch_size=2)
    assert (caught.value.code, caught.value.where) == ("image-changed", str(pictures[6].path))


def test_on_a_gpu_what_is_computed_when_a_picture_cannot_be_opened_is_stored_too(
    store: Store, refs: Refs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the vectors are fetched one batch behind. The device is only called a GPU here."""
    clip, pictures = toy_clip(), refs(7)
    whole = clip.images(store, pictures, batch_size=2)
    with Store(store.path.parent / "other" / "fgvr.db") as other:
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
        monkeypatch.setattr(torch.Tensor, "to", _ignoring_cuda(torch.Tensor.to))
        clip._load().device = "cuda"
        content = pictures[5].path.read_bytes()
        pictures[5].path.write_bytes(b"no picture")
        with pytest.raises(ImageError):
            clip.images(other, pictures, batch_size=2)
        assert other.count("vectors") == 4
        pictures[5].path.write_bytes(content)
        assert np.array_equal(clip.images(other, pictures, batch_size=2), whole)


def _ignoring_cuda(to: Any) -> Any:
    def moved(self: Any, *where: Any, **options: Any) -> Any:
        left = [place for place in where if place != "cuda"]
        return to(self, *left) if left else self

    return moved


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_vector_that_is_not_finite_is_refused_and_its_picture_named(
    store: Store, refs: Refs, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    clip, pictures = toy_clip(), refs(5)
    encode = Clip._encode_images

    def broken(self: Clip, batch: Any) -> Any:
        vectors = encode(self, batch).clone()
        if len(batch) == 2:
            vectors[1] = value
        return vectors

    monkeypatch.setattr(Clip, "_encode_images", broken)
    with pytest.raises(ModelError) as caught:
        clip.images(store, pictures, batch_size=3)
    assert (caught.value.code, caught.value.where) == ("embedding-not-finite", str(pictures[4].path))
    assert store.count("vectors") == 3


def test_memory_that_does_not_suffice_is_told_with_a_smaller_batch(store: Store, refs: Refs) -> None:
    clip = toy_clip()
    net = clip._load()._net

    def full(_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    net.encode_image = full
    with pytest.raises(ModelError) as caught:
        clip.images(store, refs(6), batch_size=6)
    assert caught.value.code == "out-of-memory"
    assert "mine.batch_size=3" in caught.value.hint
    net.encode_image = lambda _: torch.ones(2) @ torch.ones(3)  # a bug is no lack of memory
    with pytest.raises(RuntimeError):
        clip.images(store, refs(6), batch_size=6)


def test_a_gpu_that_is_not_there_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FgvrError) as caught:
        Clip("toy-clip", device="cuda").texts(store, ["a bee"])
    assert caught.value.code == "no-gpu"


def test_progress_tells_what_was_there_and_what_is_done(store: Store, refs: Refs) -> None:
    told: list[Any] = []

    class Told:
        @contextmanager
        def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Any]:
            told.append((what, total, done))
            yield self

        def advance(self, n: int = 1, note: str = "") -> None:
            told.append(n)

    toy_clip().images(store, refs(2), batch_size=2)
    toy_clip().images(store, refs(5), batch_size=2, progress=Told())
    assert told == [("embedding images", 5, 2), 2, 1]


def test_the_key_of_a_model_imports_no_torch(cache_folder: Path) -> None:
    code = (
        "import sys; from fgvr_kit.embedding import Clip, clip_key; clip_key('toy-clip', 'bf16');"
        "clip_key('ViT-B-32:laion2b_s34b_b79k'); Clip('toy-clip').key;"
        "sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    environ = {**os.environ, "FGVR_CACHE": str(cache_folder)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
