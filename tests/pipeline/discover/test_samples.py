from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline import discover as module
from fgvr_kit.pipeline.discover import discover
from tests.pipeline.coins import Scripted, opened, set_attributes, use
from tests.pipeline.discover.listing import ONCE, RIM, notes


def replying(*lists: object) -> Scripted:
    """Each sample has a list of its own."""
    return Scripted(lambda request: json.dumps({"attributes": lists[request.sample]}))


def test_replies_are_pooled_and_what_more_of_them_name_stands_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = replying(["wear", "rim", "star count"], ["Number of the stars", "rims"], ["rim", "motif"])
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = discover(workspace)
        assert [a.name for a in workspace.attributes()] == ["rim", "star_count", "wear", "motif"]
    assert summary.done == {
        "backend": "scripted:model", "asked now": 3, "already stored": 0, "attributes": 4,
        "named in 3 of 3 replies": 1, "named in 2 of 3 replies": 1, "named in 1 of 3 replies": 2,
    }  # fmt: skip
    assert summary.dropped == (("attributes", 2, "another name for one that is listed"),)
    assert notes(root)["star_count"] == (
        "named by scripted:model in 2 of 3 replies; also called number_of_the_stars"
    )
    assert [(r.sample, r.temperature) for r in backend.asked] == [(0, 0.0), (1, 0.7), (2, 0.7)]


def test_a_longer_pool_than_was_asked_for_loses_what_fewest_replies_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(replying(["rim", "wear"], ["motif", "rim"], ["motif"]), monkeypatch)
    with opened(root, "discover.n_attributes=2") as workspace:
        assert discover(workspace).dropped == (("attributes", 1, "more than were asked for"),)
        assert [a.name for a in workspace.attributes()] == ["motif", "rim"]  # by their mean place


def test_a_recording_is_asked_once(root: Path) -> None:
    (root / "said.jsonl").write_text(json.dumps({"purpose": "discover", "text": '["rim"]'}) + "\n")
    with opened(root, 'discover.backend="replay:said.jsonl"') as workspace:
        assert discover(workspace).done["asked now"] == 1
    assert notes(root) == {"rim": "named by replay:said.jsonl"}


def test_a_reply_without_a_list_is_told_where_others_hold_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Scripted(lambda request: "none" if request.sample == 1 else '["rim"]')
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = discover(workspace)
        assert [notice.code for notice in summary.notices] == ["lists-missing"]
        backend.say = lambda _: '["wear"]'
        again = discover(workspace, replace=True)  # only the one that held none
        assert (again.done["asked now"], [n.code for n in again.notices]) == (1, ["attributes-replaced"])
        assert [a.name for a in workspace.attributes()] == ["rim", "wear"]


def test_what_the_model_finds_to_mean_the_same_is_merged_on_request(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"discover": '["rim", "edge", "wear", "signs of use"]',
            "merge": '{"groups": [["edge", "rim"], ["wear", "signs_of_use", "unheard of"]]}'}  # fmt: skip
    backend = Scripted(lambda request: said[request.purpose])
    use(backend, monkeypatch)
    with opened(root, ONCE, "discover.merge=model") as workspace:
        summary = discover(workspace)
        assert [a.name for a in workspace.attributes()] == ["rim", "wear"]
        asked_with = module.fingerprint_of(workspace)
    assert summary.done["asked now"] == 2
    assert "- signs_of_use: What is the signs of use of the euro coin?" in backend.asked[-1].prompt.text
    assert notes(root) == {
        "rim": "named by scripted:model; also called edge", "wear": "named by scripted:model; also called signs_of_use",
    }  # fmt: skip
    with opened(root, ONCE) as workspace:
        assert module.fingerprint_of(workspace) != asked_with


@pytest.mark.parametrize("said", ["no idea", '{"groups": []}', '{"groups": "rim"}', '{"groups": [7, [3]]}'])
def test_a_merge_reply_of_no_use_leaves_the_list_as_it_is(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    use(Scripted(lambda r: '["rim", "edge"]' if r.purpose == "discover" else said), monkeypatch)
    with opened(root, ONCE, "discover.merge=model") as workspace:
        discover(workspace)
        assert [a.name for a in workspace.attributes()] == ["rim", "edge"]


def test_values_are_a_closed_list_where_half_of_the_replies_say_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rim = {**RIM, "options": ["plain", "Ribbed.", "plain", "not visible"]}
    use(replying([rim, {"name": "motif", "question": "Which?", "options": []}],
                 [RIM, {"name": "motif", "options": ["map", "tree"]}], [{"name": "motif"}]), monkeypatch)  # fmt: skip
    with opened(root) as workspace:
        summary = discover(workspace)
        assert [(a.name, a.options) for a in workspace.attributes()] == [
            ("motif", ()), ("rim", ("plain", "Ribbed")),
        ]  # fmt: skip
    assert summary.done["with options"] == 1


def test_what_is_new_leaves_the_fingerprint_as_it_was_where_it_is_not_used(root: Path) -> None:
    set_attributes(root, "rim")
    with opened(root) as workspace:
        before = module.fingerprint_of(workspace)
        assert before == fingerprint(
            "discover", "euro coin", 12, [], workspace.prompts.hashes(["discover/attributes"])
        )
    for override in ("discover.samples=5", "discover.temperature=1.0", "discover.merge=model"):
        with opened(root, override) as workspace:
            assert module.fingerprint_of(workspace) != before
