from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import RequestRejected
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.pipeline.failed import failed, groups
from tests.ejected import ejected
from tests.pipeline.coins import Said, Scripted, cut, make_workspace, opened, set_attributes, use

BACKEND = 'extract.backend="scripted:model"'
SORRY = "I'm sorry, I can't help with that."


def say(request: Request) -> Said:
    told: dict[str | None, Said] = {
        "colour": SORRY,
        "rim": cut("smooth and then"),
        "motif": RequestRejected(
            "too large", code="request-rejected", hint="a smaller max_pixels", why="413"
        ),
    }
    return told.get(request.attribute, "seen")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six coins; of each, one request is refused, one is cut off and one rejected."""
    root = make_workspace(tmp_path)
    set_attributes(root, "colour", "rim", "motif")
    use(Scripted(say), monkeypatch)
    with opened(root, BACKEND) as workspace:
        extract(workspace)
    return root


def test_every_one_is_listed_with_its_reason(root: Path) -> None:
    with opened(root, BACKEND) as workspace:
        rows = failed(workspace)
        paths = {image.path for image in workspace.store.images()}
    assert len(rows) == 18
    assert {row.image for row in rows} == paths
    assert all(row.is_current for row in rows)
    kinds = {(row.kind, row.reason, row.attribute, row.text) for row in rows}
    assert kinds == {
        ("reply", "refused", "colour", SORRY),
        ("reply", "cut_off", "rim", "smooth and then"),
        ("request", "request-rejected", "motif", None),
    }


def test_groups_tell_how_many_and_what_asks_only_them_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(root, BACKEND) as workspace:
        found = {group.reason: group for group in groups(workspace, failed(workspace))}
        assert {reason: group.n for reason, group in found.items()} == {
            "refused": 6, "cut_off": 6, "request-rejected": 6,
        }  # fmt: skip
        assert found["refused"].command == "fgvr-kit attributes extract --retry-failed"
        assert found["cut_off"].command == "fgvr-kit attributes extract --set extract.max_tokens=128"
        assert found["request-rejected"].command == "fgvr-kit attributes extract"
        assert len(found["refused"].examples) == 3

    # ... and the commands do just that.
    again = Scripted(lambda request: "seen at last")
    use(again, monkeypatch)
    with opened(root, BACKEND) as workspace:
        extract(workspace)
        assert {request.attribute for request in again.asked} == {"motif"}
        assert {row.reason for row in failed(workspace)} == {"refused", "cut_off"}
        again.asked.clear()
        extract(workspace, retry_failed=True)
        assert {request.attribute for request in again.asked} == {"colour", "rim"}
        assert failed(workspace) == []


def test_a_larger_max_tokens_asks_what_was_cut_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Scripted(lambda request: "seen at last")
    use(again, monkeypatch)
    (root / "attributes.csv").write_text(
        "attribute,question\ncolour,What of the colour?\nrim,What of the rim?\n"
    )
    with opened(root, BACKEND, "extract.max_tokens=128") as workspace:
        extract(workspace)
        assert {request.attribute for request in again.asked} == {"rim"}


def test_one_step_or_one_attribute(root: Path) -> None:
    with opened(root, BACKEND) as workspace:
        assert {row.attribute for row in failed(workspace, attribute="rim")} == {"rim"}
        assert len(failed(workspace, purpose="extract", attribute="motif")) == 6
        assert failed(workspace, purpose="describe") == []


def test_what_would_not_be_asked_now_is_not_current(root: Path) -> None:
    with opened(root) as workspace:  # another backend
        rows = failed(workspace)
        assert not any(row.is_current for row in rows)
        commands = {group.command for group in groups(workspace, rows)}
        assert "fgvr-kit attributes extract --backend scripted:model --retry-failed" in commands
    prompt = ejected(root, "extract/question")
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\nIn one word.\n", encoding="utf-8")
    with opened(root, BACKEND) as workspace:  # another wording
        current = {row.reason: row.is_current for row in failed(workspace)}
        assert (current["refused"], current["cut_off"]) == (False, False)
    with opened(root, BACKEND) as workspace:  # a picture that is gone
        gone = workspace.store.images()[0]
        workspace.store.put_images([i for i in workspace.store.scanned() if i.path != gone.path], [])
        assert [row.is_current for row in failed(workspace) if row.image is None] == [False] * 3


def test_what_is_dropped_or_struck_out_or_of_another_superclass_is_not_asked_any_more(root: Path) -> None:
    (root / "attributes.csv").write_text(
        "attribute,question,status,superclass\ncolour,What of the colour?,dropped,\n"
        "rim,What of the rim?,,medal\n"
    )
    with opened(root, BACKEND) as workspace:
        rows = failed(workspace)
        assert len(rows) == 18
        assert not any(row.is_current for row in rows)
        assert {group.command for group in groups(workspace, rows)} == {""}


@pytest.mark.parametrize("purpose", ["discover", "merge"])
def test_a_list_that_is_there_must_be_replaced_to_be_asked_for_again(root: Path, purpose: str) -> None:
    failure = {"key": "1", "purpose": purpose, "subject": None, "attribute": None, "backend": "openai:m",
               "code": "rate", "message": "too many", "why": None, "hint": "wait"}  # fmt: skip
    for has_list, command in ((True, " --replace"), (False, "")):
        if not has_list:
            (root / "attributes.csv").unlink()
        with opened(root, 'discover.backend="openai:m"') as workspace:
            workspace.store.put_failures([failure])
            (group,) = groups(workspace, failed(workspace, purpose))
        assert group.command == f"fgvr-kit attributes discover{command}"
