from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import BackendError, FgvrError
from fgvr_kit.pipeline import discover as module
from fgvr_kit.pipeline.discover import discover
from fgvr_kit.types import Attribute
from tests.ejected import ejected
from tests.pipeline.coins import EXAMPLE, Scripted, cut, opened, use
from tests.pipeline.discover.listing import ONCE, RIM

COMPOSED = "What is the rim of the euro coin?"
SEEDS = 'discover.seeds=["rim width", " shape of the  stars "]'


def test_a_model_lists_attributes_and_is_told_no_class(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [RIM, {"name": "Metal Colour", "question": ""}]
    backend = Scripted(lambda _: json.dumps({"attributes": listed}), note="untrained toy model")
    use(backend, monkeypatch)
    with opened(root, ONCE) as workspace:
        summary = discover(workspace)
        assert workspace.attributes() == [
            Attribute("rim", "How is the rim?"),
            Attribute("metal_colour", "What is the metal colour of the euro coin?"),
        ]
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
    assert summary.done == {
        "backend": "scripted:model", "asked now": 1, "already stored": 0, "attributes": 2,
    }  # fmt: skip
    assert summary.notes == ("untrained toy model",)
    (request,) = backend.asked
    assert "euro coin" in request.prompt.text
    assert "denomination" in request.prompt.text
    assert "12 attributes" in request.prompt.text
    assert "1 euro" not in request.prompt.text
    assert "20" not in request.prompt.text


def test_what_cannot_be_asked_for_is_dropped_and_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        RIM, "Rim", "general", "x" * 41, "???", "looks like a 20-cent", {"name": "size", "question": "Is it 1 euro?"},
        "one too many",
    ]  # fmt: skip
    use(Scripted(lambda _: json.dumps(listed)), monkeypatch)
    with opened(root, ONCE, "discover.n_attributes=2") as workspace:
        summary = discover(workspace)
        assert workspace.attributes() == [
            Attribute("rim", "How is the rim?"),
            Attribute("size", "What is the size of the euro coin?"),  # its own question named a class
        ]
    assert summary.dropped == (
        ("attributes", 1, "named twice"),
        ("attributes", 1, "called 'general', which is the free description"),
        ("attributes", 1, "named in more than 40 characters"),
        ("attributes", 1, "without a name"),
        ("attributes", 1, "naming a class"),
        ("attributes", 1, "more than were asked for"),
    )


@pytest.mark.parametrize(
    "said", ["I know of none.", '["1 euro", "20 cent"]', "I'm sorry, I can't do that.", "[]"]
)
def test_a_reply_without_a_usable_attribute_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    (root / "attributes.csv").write_text("attribute,question,note\nrim,How is the rim?,mine\n")
    use(Scripted(lambda _: said), monkeypatch)
    with opened(root) as workspace:
        with pytest.raises(BackendError) as caught:
            discover(workspace, replace=True)
        assert caught.value.code == "no-attributes-found"
        assert "discover" not in workspace.store.walk()
    assert (root / "attributes.csv").read_text().endswith("rim,How is the rim?,mine\n")


def test_a_useless_reply_is_mended_or_asked_for_again_and_a_good_one_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter(["none", "still none", cut('["rim", "st'), "none", '["rim"]'])
    backend = Scripted(lambda _: next(replies))
    use(backend, monkeypatch)
    with opened(root, ONCE) as workspace:
        for _ in range(2):
            with pytest.raises(BackendError, match="no usable attribute"):
                discover(workspace)
        assert discover(workspace).done["repaired"] == 1
        assert discover(workspace, replace=True).done["asked now"] == 0
        assert workspace.attributes() == [Attribute("rim", COMPOSED)]
    assert len(backend.asked) == 5


def test_a_list_that_is_there_is_kept_and_no_model_is_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "attributes.csv").write_text("attribute,question,note\nrim,How is the rim?,mine\n")
    backend = Scripted(lambda _: '["stars"]')
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = discover(workspace)
        assert backend.asked == []
        assert summary.done == {"attributes.csv": "kept", "attributes": 1}
        (notice,) = summary.notices
        assert notice.code == "attributes-kept"
        assert "--replace" in notice.hint
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
        discover(workspace, replace=True)
        assert [a.name for a in workspace.attributes()] == ["stars"]


BOTH = [
    Attribute("rim", "How is the rim?"),
    Attribute("metal_colour", "What is the metal colour of the euro coin?"),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "# mine\n\nrim: How is the rim?\nMetal colour\n"),
        ("a.csv", "attribute,question,note\nrim,How is the rim?,\nmetal colour,,\n"),
        ("a.csv", "\ufeffName;Question\r\nrim;How is the rim?\r\nmetal colour\r\n"),
        ("a.csv", "note,name\nx,metal_colour\n"),
        ("a.json", '[{"name": "rim", "question": "How is the rim?"}, "metal colour"]'),
        ("a.JSON", '{"rim": "How is the rim?", "metal-colour": ""}'),
    ],
)
def test_a_file_brings_the_list_and_no_backend_is_needed(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")
    with opened(root, 'discover.backend=""') as workspace:
        summary = discover(workspace, from_file=root / name)
        assert workspace.attributes() == (BOTH if "rim" in text else BOTH[1:])
        assert summary.done["from"] == str(root / name)


def test_the_list_of_the_example_is_taken_over_whole(root: Path) -> None:
    with opened(root) as workspace:
        summary = discover(workspace, from_file=EXAMPLE / "attributes.csv")
        assert summary.dropped == ()
        ours = [
            tuple(line.split(",")[:1]) for line in (EXAMPLE / "attributes.csv").read_text().splitlines()[1:]
        ]
        assert [(a.name,) for a in workspace.attributes()] == ours


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.txt", None, "attributes-file"),
        ("a.xlsx", b"PK", "attributes-file"),
        ("a.txt", "fl\u00fcgel".encode("latin-1"), "attributes-file"),
        ("a.json", b"[1,", "attributes-file"),
        ("a.csv", b"colour,of\nred,rim\n", "csv-columns"),
        ("a.csv", b"", "csv-columns"),
        ("a.txt", b"# nothing yet\n", "no-attributes-found"),
        ("a.txt", b"general\n1 euro: Is it?\n", "no-attributes-found"),
        ("a.json", b"{}", "no-attributes-found"),
    ],
)
def test_a_file_that_brings_nothing_says_why(root: Path, name: str, content: bytes | None, code: str) -> None:
    if content is not None:
        (root / name).write_bytes(content)
    with opened(root) as workspace, pytest.raises(FgvrError) as caught:
        discover(workspace, from_file=root / name)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)
    assert not (root / "attributes.csv").exists()


def test_without_a_backend_or_a_recorded_reply_nothing_is_written(root: Path) -> None:
    with opened(root, 'discover.backend=""') as workspace, pytest.raises(FgvrError) as nobody:
        discover(workspace)
    with opened(root) as workspace, pytest.raises(FgvrError) as unrecorded:
        discover(workspace)
    assert nobody.value.code == "no-backend"
    assert unrecorded.value.code == "no-recorded-reply"
    assert not (root / "attributes.csv").exists()


def test_the_step_stands_on_the_words_of_its_prompt_and_on_the_list(root: Path) -> None:
    (root / "a.txt").write_text("rim\n")
    with opened(root) as workspace:
        discover(workspace, from_file=root / "a.txt")
        before = module.fingerprint_of(workspace)
    with opened(root, "discover.backend=other:model") as workspace:
        assert module.fingerprint_of(workspace) == before
    for override in ("discover.n_attributes=3", "domain.unit=coin", "domain.notes=blurred", SEEDS):
        with opened(root, override) as workspace:
            assert module.fingerprint_of(workspace) != before
    prompt = ejected(root, "discover/attributes")
    prompt.write_text(prompt.read_text() + "\nBe brief.")
    with opened(root) as workspace:
        assert module.fingerprint_of(workspace) != before
    (root / "attributes.csv").unlink()
    with opened(root) as workspace, pytest.raises(FgvrError, match="no attributes"):
        module.fingerprint_of(workspace)


def test_a_prompt_edited_while_the_model_answers_makes_the_step_stale(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = ejected(root, "discover/attributes")

    def edit_and_answer(_: Request) -> str:
        prompt.write_text(prompt.read_text() + "\nBe brief.")
        return json.dumps({"attributes": [RIM]})

    use(Scripted(edit_and_answer), monkeypatch)
    with opened(root) as workspace:
        discover(workspace)
        assert workspace.store.walk()["discover"]["fingerprint"] != module.fingerprint_of(workspace)


def prompt_with(root: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> str:
    backend = Scripted(lambda _: '["rim"]')
    use(backend, monkeypatch)
    with opened(root, *overrides) as workspace:
        discover(workspace, replace=True)
    return backend.asked[0].prompt.text


def test_seeds_are_shown_to_the_model_and_leave_no_trace_without_any(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = prompt_with(root, monkeypatch)
    told = prompt_with(root, monkeypatch, SEEDS)
    assert "People who know the field" not in without
    assert "\n\n\n" not in without + told
    sentence = "People who know the field often look at: rim width; shape of the stars. "
    assert sentence in told
    paragraph = next(part for part in told.split("\n\n") if part.startswith(sentence))
    assert told.replace(f"{paragraph}\n\n", "") == without


def test_a_seed_that_names_a_class_is_not_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Scripted(lambda _: '["rim"]')
    use(backend, monkeypatch)
    with opened(root, 'discover.seeds=["rim width", "looks like 1 euro", " "]') as workspace:
        summary = discover(workspace)
    assert summary.dropped == (("seeds", 1, "naming a class"),)
    assert "look at: rim width. " in backend.asked[0].prompt.text


def test_seeds_that_the_own_prompt_has_no_place_for_are_pointed_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Scripted(lambda _: '["rim"]'), monkeypatch)
    ejected(root, "discover/attributes").write_text(
        '+++\nneeds = ["superclass"]\n+++\nHow does one {{ superclass }} differ from another?'
    )
    with opened(root, SEEDS) as workspace:
        assert [notice.code for notice in discover(workspace).notices] == ["seeds-not-shown"]
    with opened(root) as workspace:
        assert discover(workspace, replace=True).notices == ()
