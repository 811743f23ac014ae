from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import BackendError, FgvrError, RequestRejected
from fgvr_kit.pipeline import identify as module
from fgvr_kit.pipeline.identify import ballots, identify
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders
from tests.pipeline.coins import Said, Scripted

CLASSES = ("ant", "bee", "fly", "moth", "tick", "wasp")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(class_folders(tmp_path / "pests", dict.fromkeys(CLASSES, 5)), tmp_path)
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, *replies: Said | tuple[str, str]) -> Scripted:
    """Replies one after the other; the last one for ever. A pair is superclass and unit."""
    left = list(replies)

    def say(_: Request) -> Said:
        said = left.pop(0) if len(left) > 1 else left[0]
        return (
            json.dumps(dict(zip(("superclass", "unit"), said, strict=True)))
            if isinstance(said, tuple)
            else said
        )

    backend = Scripted(say)
    monkeypatch.setattr(module, "open_backend", lambda *_, **__: backend)
    return backend


def test_the_majority_decides_and_is_written_where_the_default_stands(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = use(
        monkeypatch,
        ("insect", "species"),
        ("Insects", ""),
        ("wasp", ""),
        ("animal", "kind"),
        ("insect", "family"),
    )
    with Workspace(root) as workspace:
        summary = identify(workspace)
    assert summary.done == {
        "backend": "scripted:model", "pictures": 20, "asked now": 5, "already stored": 0,
        "votes": "insect 3 of 5, animal 1 of 5", "superclass": "insect", "unit": "species", "template": "insects-pests",
        "kept in fgvr.toml": "domain.superclass, domain.unit",
    }  # fmt: skip
    assert summary.dropped == (("votes", 1, "naming a class"),)
    with Workspace(root) as workspace:
        assert (workspace.settings.domain.superclass, workspace.settings.domain.unit) == ("insect", "species")
        again = identify(workspace)
    assert (again.done["asked now"], again.notices) == (0, ())
    assert len(backend.asked) == 5


def test_a_value_of_ones_own_gives_way_only_on_request(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ("insect", "species"))
    file = root / "fgvr.toml"
    file.write_text(file.read_text().replace('superclass = "object"', 'superclass = "beetle"  # mine'))
    with Workspace(root) as workspace:
        summary = identify(workspace)
    assert [notice.code for notice in summary.notices] == ["domain-differs"]
    assert summary.done["kept in fgvr.toml"] == "domain.unit"
    assert 'superclass = "beetle"  # mine' in file.read_text()
    with Workspace(root) as workspace:
        assert identify(workspace, keep=True).notices == ()
    with Workspace(root) as workspace:
        assert workspace.settings.domain.superclass == "insect"


@pytest.mark.parametrize(
    "replies", [[("insect", ""), ("animal", "")], [("", "")], [("bee", "species")], [("insect", ""), ("", "")]]
)  # fmt: skip
def test_without_a_majority_nothing_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, replies: list[tuple[str, str]]
) -> None:
    use(monkeypatch, *replies)
    before = (root / "fgvr.toml").read_text()
    with Workspace(root) as workspace:
        summary = identify(workspace, n_pictures=8)
    assert [notice.code for notice in summary.notices] == ["identify-undecided"]
    assert "superclass" not in summary.done
    assert (root / "fgvr.toml").read_text() == before


def test_the_pictures_are_of_all_classes_in_turn_and_no_name_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = use(monkeypatch, ("insect", "species"))
    with Workspace(root) as workspace:
        identify(workspace, n_pictures=12)
        class_of = {image.sha256: image.class_name for image in workspace.store.images("train")}
    shown = [[class_of[ref.sha256] for ref in request.images] for request in backend.asked]
    assert [len(set(names)) for names in shown] == [4, 4, 4]
    assert Counter(name for names in shown for name in names) == dict.fromkeys(CLASSES, 2)
    assert not any(name in request.prompt.text.split() for name in CLASSES for request in backend.asked)


def test_the_draw_hangs_on_the_seed_alone_and_takes_no_picture_twice(root: Path) -> None:
    with Workspace(root) as workspace:
        images = workspace.store.images("train")
    first, again, other = (ballots(images, 16, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    everything = ballots(images, 1000, seed=0)
    assert len({i.id for group in everything for i in group}) == sum(map(len, everything)) <= len(images)
    of_two = [image for image in images if image.class_name in ("ant", "bee")]
    assert {len(group) for group in ballots(of_two, 1, seed=0)} == {2}


def test_replies_of_no_use_and_lost_requests_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = RequestRejected("too large", code="request-rejected", hint="shrink it")
    use(monkeypatch, lost, "I'm sorry, I can't help with that.", ("insect", "species"))
    with Workspace(root) as workspace:
        summary = identify(workspace, n_pictures=16)
    assert summary.done["votes"] == "insect 2 of 4"
    assert sorted(summary.dropped) == [("votes", 1, "request rejected"), ("votes", 1, "the model refused")]
    assert [notice.code for notice in summary.notices] == ["requests-unanswered", "replies-unusable"]


def test_nobody_to_ask_and_nobody_who_answers_are_errors(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace(root) as workspace, pytest.raises(FgvrError) as nobody:
        identify(workspace)
    use(monkeypatch, RequestRejected("too large", code="request-rejected", hint="shrink it"))
    with Workspace(root) as workspace, pytest.raises(BackendError) as silent:
        identify(workspace)
    assert (nobody.value.code, silent.value.code) == ("no-backend", "nothing-answered")
