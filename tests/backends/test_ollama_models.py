from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.ollama import Ollama
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.errors import BackendError, BackendRefused
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import opened, question, say
from tests.backends.servers import FakeServer, Model
from tests.backends.test_ollama import at


class Told:
    """Remembers what was told of each task."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, int] = {}

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Any]:
        told = self
        self.totals[what], self.done[what] = total, done

        class Task:
            def advance(self, n: int = 1, note: str = "") -> None:
                told.done[what] += n

        yield Task()


def picture(folder: Path) -> ImageRef:
    path = folder / "a.png"
    Image.new("RGB", (30, 20), "brown").save(path)
    return ImageRef(path, pixel_sha256(open_image(path)))


class TestWhatStandsBehindTheName:
    def test_it_is_in_every_row_and_in_no_key(self, store: Store, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            server.models = {"qwen2.5vl:7b": Model("sha256:" + "ab" * 32)}
            first = ask(at(server, tmp_path), [question(1)], store).row(question(1))
            server.models = {"qwen2.5vl:7b": Model("cd" * 32)}  # pulled again
            asked = ask(at(server, tmp_path), [question(1), question(2)], store)
            second = asked.row(question(2))
        assert (asked.n_stored, asked.n_new) == (1, 1)
        assert first is not None
        assert second is not None
        assert first["model"] == "qwen2.5vl:7b@" + "ab" * 6
        assert second["model"] == "qwen2.5vl:7b@" + "cd" * 6

    def test_what_is_stored_needs_no_server(self, store: Store, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            server.models = {"qwen2.5vl:7b": Model()}
            ask(at(server, tmp_path), [question(1)], store)
            backend = at(server, tmp_path)
        assert ask(backend, [question(1)], store).n_stored == 1

    def test_a_name_without_a_tag_is_the_latest(self, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            server.models = {"llava:latest": Model("ef" * 32), "llava:7b": Model("00" * 32)}
            backend = opened("ollama:llava:latest", tmp_path, ollama={"host": server.url})
            assert say(backend, question(1))[0].model == "llava:latest@" + "ef" * 6

    def test_the_server_is_asked_once_a_run(self, store: Store, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            image = picture(tmp_path)
            ask(at(server, tmp_path), [question(n, images=(image,)) for n in range(5)], store)
        assert server.looks == ["/api/tags", "/api/show"]


class TestBeforeTheFirstImage:
    def test_a_model_that_cannot_see_is_told_with_those_that_can(self, store: Store, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            blind = Model(capabilities=("completion",))
            server.models = {
                "qwen2.5vl:7b": blind,
                "llava:7b": Model(),
                "gemma3:4b": Model(),
                "llama3": blind,
            }
            requests = [question(n, images=(picture(tmp_path),)) for n in range(3)]
            with pytest.raises(BackendRefused) as caught:
                ask(at(server, tmp_path), requests, store)
            assert caught.value.code == "backend-cannot-see"
            assert caught.value.hint == "models there that can: gemma3:4b, llava:7b"
            assert server.calls == []
            assert ask(at(server, tmp_path), [question(1)], store).n_new == 1  # words alone it can

    @pytest.mark.parametrize("model", [Model(capabilities=None), Model()])
    def test_one_that_can_or_does_not_tell_is_asked(self, model: Model, store: Store, tmp_path: Path) -> None:
        with FakeServer("ollama") as server:
            server.models = {"qwen2.5vl:7b": model}
            request = question(1, images=(picture(tmp_path),))
            assert ask(at(server, tmp_path), [request], store).n_new == 1
            assert len(server.calls[0].images) == 1


class TestPulling:
    LINES: ClassVar = [
        {"status": "pulling manifest"},
        {"status": "pulling abc", "digest": "sha256:abc", "total": 100},
        {"status": "pulling abc", "digest": "sha256:abc", "total": 100, "completed": 60},
        {"status": "pulling def", "digest": "sha256:def", "total": 10, "completed": 10},
        {"status": "pulling abc", "digest": "sha256:abc", "total": 100, "completed": 100},
        {"status": "verifying sha256 digest"},
    ]  # fmt: skip

    def test_each_file_tells_how_far_it_is(self, tmp_path: Path) -> None:
        progress = Told()
        with FakeServer("ollama") as server:
            server.pull = [*self.LINES, {"status": "success"}]
            backend = at(server, tmp_path)
            assert isinstance(backend, Ollama)
            backend.pull(progress)
        assert progress.totals == {"pulling abc": 100, "pulling def": 10}
        assert progress.done == {"pulling abc": 100, "pulling def": 10}

    @pytest.mark.parametrize(
        ("last", "code"),
        [([], "backend-failed"), ([{"error": "pull model manifest: file does not exist"}], "backend-model")],
    )
    def test_one_that_does_not_end_well_is_an_error(
        self, last: list[dict[str, Any]], code: str, tmp_path: Path
    ) -> None:
        with FakeServer("ollama") as server:
            server.pull = [*self.LINES, *last]
            backend = at(server, tmp_path)
            assert isinstance(backend, Ollama)
            with pytest.raises(BackendError) as caught:
                backend.pull()
        assert caught.value.code == code
