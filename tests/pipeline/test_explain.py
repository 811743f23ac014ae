from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import FgvrError, RequestRejected, UsageError
from fgvr_kit.pipeline.describe import describe
from fgvr_kit.pipeline.explain import Spent, explain
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.types import GENERAL
from tests.pipeline.coins import (
    RECORDED,
    REPLAY,
    Said,
    Scripted,
    cut,
    make_workspace,
    opened,
    set_attributes,
    use,
)

BACKEND = 'extract.backend="scripted:model"'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def test_the_chain_goes_from_the_description_to_every_reply(root: Path) -> None:
    with opened(root, "describe.by=template") as workspace:
        extract(workspace)
        describe(workspace)
        image = workspace.store.images()[0]
        found = explain(workspace, image.path)
        assert found.image == image
        assert found.description is not None
        assert (found.description.text, found.description.source, found.description.is_stale) == (
            workspace.store.descriptions()[image.id], "template", False,
        )  # fmt: skip
        assert {one.attribute: one.value for one in found.answers} == workspace.store.answers()[image.id]
        assert [one.attribute for one in found.answers] == [
            GENERAL,
            *(a.name for a in workspace.attributes()),
        ]
        replies = {reply.id: reply for reply in found.replies}
        for one in found.answers:
            assert one.reply is not None
            reply = replies[one.reply]
            assert (reply.attribute, reply.text, reply.is_used) == (one.attribute, one.value, True)
            assert (reply.backend, reply.note, reply.outcome) == (REPLAY, RECORDED, "ok")
            assert reply.images == (image.sha256,)
            assert reply.sampling["max_tokens"] in (64, 256)
        assert "Look at the euro coin" in replies[found.answers[1].reply or 0].prompt
        assert found.missing == ()


def test_one_attribute_is_one_chain(root: Path) -> None:
    with opened(root) as workspace:
        extract(workspace)
        found = explain(workspace, workspace.store.images()[0].path, "rim edge")
        assert [one.attribute for one in found.answers] == ["rim_edge"]
        assert [reply.attribute for reply in found.replies] == ["rim_edge"]
        assert found.description is None
        assert found.missing == ()
        with pytest.raises(UsageError) as caught:
            explain(workspace, workspace.store.images()[0].path, "rim edges")
        assert "'rim_edge'" in caught.value.hint


def test_a_joint_reply_stands_behind_all_its_answers_and_counts_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(request: Request) -> Said:
        text = "a coin" if request.attribute == GENERAL else '{"colour": "gold", "rim": "smooth"}'
        return Response(text, "model-1", "stop", 100, 10)

    set_attributes(root, "colour", "rim")
    use(Scripted(say), monkeypatch)
    with opened(root, BACKEND, "extract.ask=joint") as workspace:
        extract(workspace)
        found = explain(workspace, workspace.store.images()[0].path)
        assert len({one.reply for one in found.answers if one.attribute != GENERAL}) == 1
        assert len(found.replies) == 2
        assert found.spent == Spent(2, 2, 200, 20, found.spent.seconds, 0.0, 2)
        rim = explain(workspace, workspace.store.images()[0].path, "rim")
        assert len(rim.replies) == 1
        assert rim.replies[0].model == "model-1"


def test_human_edits_tell_who_when_and_what_the_machine_said(root: Path) -> None:
    with opened(root, "describe.by=template") as workspace:
        extract(workspace)
        describe(workspace)
        image = workspace.store.images()[0]
        machine = workspace.store.answers()[image.id]["rim_edge"]
        workspace.store.put_correction(image.sha256, "rim_edge", "smooth", "anna")
        found = explain(workspace, image.path)
        rim = next(one for one in found.answers if one.attribute == "rim_edge")
        assert (rim.value, rim.source, rim.machine, rim.author) == ("smooth", "human", machine, "anna")
        assert rim.written_at is not None
        assert rim.reply is not None  # the machine's value is still explained
        assert found.description is not None
        assert found.description.is_stale


def test_what_is_missing_is_told_with_its_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: Request) -> Said:
        told: dict[str | None, Said] = {
            "colour": "I'm sorry, I can't help with that.",
            "rim": cut("smooth and then"),
            "motif": RequestRejected(
                "too large", code="request-rejected", hint="a smaller max_pixels", why="413"
            ),
        }
        return told.get(request.attribute, "seen")

    set_attributes(root, "colour", "rim", "motif")
    use(Scripted(say), monkeypatch)
    with opened(root, BACKEND) as workspace:
        extract(workspace)
        image = workspace.store.images()[0]
        set_attributes(root, "colour", "rim", "motif", "stars")
        missing = {one.what: one for one in explain(workspace, image.path).missing}
        assert set(missing) == {"colour", "rim", "motif", "stars", "description"}
        assert missing["colour"].why == "the model refused"
        assert "--retry-failed" in missing["colour"].hint
        assert missing["rim"].why == "cut off at max_tokens"
        assert "413" in missing["motif"].why
        assert "max_pixels" in missing["motif"].hint
        assert missing["stars"].why == missing["description"].why == "not asked yet"
        alone = explain(workspace, image.path, "colour")
        assert [one.what for one in alone.missing] == ["colour"]
        assert [reply.outcome for reply in alone.replies] == ["refused"]
        assert not alone.replies[0].is_used


def test_the_reply_before_a_repair_is_kept_and_paid(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: Request) -> Said:
        if request.attribute == GENERAL:
            return Response("a coin", "m", "stop", 10, 1)
        return Response('{"colour": "gold"}' if request.turns else "no JSON", "m", "stop", 50, 5)

    set_attributes(root, "colour")
    use(Scripted(say), monkeypatch)
    with opened(root, BACKEND, "extract.ask=joint") as workspace:
        extract(workspace)
        found = explain(workspace, workspace.store.images()[0].path, "colour")
        (reply,) = found.replies
        assert (reply.outcome, reply.rejected, reply.calls) == ("repaired", "no JSON", 2)
        assert (found.spent.calls, found.spent.input_tokens, found.spent.output_tokens) == (2, 100, 10)


def test_replies_of_another_model_are_shown_as_not_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(root) as workspace:
        extract(workspace)
    use(Scripted(lambda request: "else"), monkeypatch)
    with opened(root, BACKEND) as workspace:
        extract(workspace)
        found = explain(workspace, workspace.store.images()[0].path, "motif")
        assert {(reply.backend, reply.is_used) for reply in found.replies} == {
            (REPLAY, False), ("scripted:model", True),
        }  # fmt: skip


def test_a_workspace_without_answers_can_be_asked(root: Path) -> None:
    with opened(root) as workspace:
        found = explain(workspace, workspace.store.images()[0].path)
        assert (found.answers, found.replies, found.description) == ((), (), None)
        assert len(found.missing) == 15
        assert found.spent == Spent(0, 0, 0, 0, 0.0, 0.0, 0)
    (root / "attributes.csv").unlink()
    with opened(root) as workspace, pytest.raises(FgvrError) as caught:
        explain(workspace, workspace.store.images()[0].path)
    assert caught.value.code == "no-attributes"
