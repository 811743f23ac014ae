"""A workspace of six real coins with their recorded replies, and a backend whose replies a test writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fgvr_kit import shipped
from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.errors import BackendError
from fgvr_kit.pipeline import init
from fgvr_kit.workspace import Workspace

EXAMPLE = shipped.folder("examples") / "euro-coins"
REPLAY = f"replay:{EXAMPLE / 'replies.jsonl'}"
RECORDED = "recorded replies of a multimodal LLM, labels hidden"
CLASSES = ("1_euro", "20_cent")
N_COINS = 6


def coins(root: Path) -> Path:
    """root/coins/<class>/*.jpg: the first three of two classes."""
    for name in CLASSES:
        (root / "coins" / name).mkdir(parents=True)
        for photograph in sorted((EXAMPLE / "train" / name).glob("*.jpg"))[:3]:
            shutil.copy(photograph, root / "coins" / name)
    return root / "coins"


def make_workspace(root: Path) -> Path:
    """The coins, initialised, with the thirteen attributes; returns root."""
    init.init(coins(root), root, ['domain.superclass="euro coin"', 'domain.unit="denomination"'])
    shutil.copy(EXAMPLE / "attributes.csv", root)
    return root


def opened(root: Path, *overrides: str) -> Workspace:
    """The workspace, answered from the recording unless overrides say otherwise."""
    backends = [f'{step}.backend="{REPLAY}"' for step in ("discover", "extract", "describe")]
    return Workspace(root, [*backends, *overrides])


def set_attributes(root: Path, *names: str) -> None:
    lines = [f"{name},What of the {name}?," for name in names]
    (root / "attributes.csv").write_text("\n".join(["attribute,question,note", *lines]) + "\n")


Said = str | Response | BackendError


class Scripted(Backend):
    """Answers with what `say` gives for a request, and remembers what it was asked."""

    def __init__(self, say: Callable[[Request], Said], note: str | None = None) -> None:
        super().__init__("scripted:model", "model", note=note)
        self.say = say
        self.asked: list[Request] = []

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        self.asked += requests
        said = [self.say(request) for request in requests]
        return [Response(s, "model", "stop", None, None) if isinstance(s, str) else s for s in said]


def use(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step opens this backend, whatever the settings name."""
    for step in ("discover", "extract", "describe"):
        monkeypatch.setattr(f"fgvr_kit.pipeline.{step}.open_backend", lambda *_, **__: backend)


def cut(text: str) -> Response:
    return Response(text, "model", "length", None, None)
