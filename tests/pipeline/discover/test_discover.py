from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import BackendError, FgvrError
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline import discover as module
from fgvr_kit.pipeline.discover import discover
from fgvr_kit.pipeline.discover.proposing import requests_for
from fgvr_kit.types import Attribute
from tests.ejected import ejected
from tests.pipeline.coins import CLASSES, EXAMPLE, Scripted, cut, make_workspace, opened, set_attributes, use


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace without a list of attributes."""
    make_workspace(tmp_path)
    (tmp_path / "attributes.csv").unlink()
    return tmp_path


RIM = {"name": "rim", "question": "How is the rim?"}
COMPOSED = "What is the rim of the euro coin?"
ONCE = "discover.samples=1"
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


# --- several replies ----------------------------------------------------------------------------------------------


def replying(*lists: object) -> Scripted:
    """Each sample has a list of its own."""
    return Scripted(lambda request: json.dumps({"attributes": lists[request.sample]}))


def notes(root: Path) -> dict[str, str]:
    with (root / "attributes.csv").open(encoding="utf-8", newline="") as file:
        return {row["attribute"]: row["note"] for row in csv.DictReader(file)}


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


# --- several superclasses -----------------------------------------------------------------------------------------


def with_parents(root: Path, *parents: str) -> None:
    lines = [
        f"{name},{name.replace('_', ' ')},,,,{parent},,"
        for name, parent in zip(CLASSES, parents, strict=True)
    ]
    head = "class,display_name,synonyms,scientific,common,parent,merged_into,note"
    (root / "classes.csv").write_text("\n".join([head, *lines]) + "\n")


CAT_DOG = {
    "cat": [{"name": "fur colour", "question": "What colour is the cat's fur?", "options": ["red", "grey"]},
            {"name": "ear tufts", "question": ""}],
    "dog": [{"name": "colour of the fur", "question": "What colour?", "options": ["grey", "black"]}, "snout length"],
}  # fmt: skip


def of_pets(request: Request) -> str:
    return json.dumps(CAT_DOG["cat" if "one cat each" in request.prompt.text else "dog"])


def test_cats_and_dogs_get_a_list_each_and_share_what_both_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parents(root, "cat", "dog")
    backend = Scripted(of_pets)
    use(backend, monkeypatch)
    with opened(root, ONCE, "domain.superclass=pet") as workspace:
        summary = discover(workspace)
        assert workspace.attributes() == [
            Attribute("fur_colour", "What is the fur colour of the pet?", ("red", "grey", "black")),
            Attribute("ear_tufts", "What is the ear tufts of the cat?", (), "cat"),
            Attribute("snout_length", "What is the snout length of the dog?", (), "dog"),
        ]
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
    assert len(backend.asked) == 2
    assert {k: v for k, v in summary.done.items() if k.startswith(("attr", "of"))} == {
        "attributes": 3, "of all superclasses": 1, "of cat": 1, "of dog": 1,
    }  # fmt: skip
    assert notes(root)["fur_colour"] == "named by scripted:model in 1 of 1 for cat, 1 of 1 for dog replies"


@pytest.mark.parametrize(
    ("parents", "chosen", "n_lists"),
    [
        (("cat", "dog"), "auto", 2), (("cat", "dog"), "no", 1), (("cat", "cat"), "yes", 1), (("cat", ""), "auto", 1),
        (("", ""), "yes", 1), (("big 1 euro", "dog"), "yes", 1),  # a parent that tells a class
    ],
)  # fmt: skip
def test_when_there_is_a_list_for_each_parent(
    root: Path, parents: tuple[str, str], chosen: str, n_lists: int
) -> None:
    with_parents(root, *parents)
    with opened(root, ONCE, f"discover.per_parent={chosen}") as workspace:
        assert len(list(requests_for(workspace))) == n_lists


# --- lists that people bring --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "attribute,question,options,superclass,status\nrim,How?,plain|ribbed,,\near,,,cat,\nx,,,,dropped\n"),
        ("a.csv", 'attribute;question;options;superclass\nrim;How?;"plain; ribbed";\near;;;cat\n'),
        ("a.json", '[{"name": "rim", "question": "How?", "values": "plain|ribbed"}, {"name": "ear", "parent": "cat"}]'),
        ("a.txt", "rim: How? [plain; ribbed]\near\n"),
    ],
)  # fmt: skip
def test_an_expert_brings_values_and_superclasses_too(root: Path, name: str, text: str) -> None:
    with_parents(root, "cat", "dog")
    (root / name).write_text(text)
    with opened(root) as workspace:
        discover(workspace, from_file=root / name)
        rim, ear = workspace.attributes()
    assert (rim.question, rim.options) == ("How?", ("plain", "ribbed"))
    assert ear.superclass == ("" if name == "a.txt" else "cat")
    assert notes(root)["rim"] == f"from {name}"


def test_an_attribute_of_a_superclass_that_no_class_has_is_left_out(root: Path) -> None:
    (root / "a.csv").write_text("attribute,question,superclass\nrim,,\near,,cat\n")
    with opened(root) as workspace:
        summary = discover(workspace, from_file=root / "a.csv")
        assert [a.name for a in workspace.attributes()] == ["rim"]
    assert [(what, n) for what, n, _ in summary.dropped] == [("attributes", 1)]


def test_a_file_is_added_to_the_list_and_its_rows_stay_as_they_are(root: Path) -> None:
    before = "attribute;question;mine;status\nrim;How is it?;x;\nwear;How worn?;y;dropped\n"
    (root / "attributes.csv").write_text(before)
    (root / "more.txt").write_text("rims\nWear\nmotif: Which motif? [map; tree]\n")
    with opened(root) as workspace:
        summary = discover(workspace, add=root / "more.txt")
        assert workspace.attributes() == [
            Attribute("rim", "How is it?"), Attribute("motif", "Which motif?", ("map", "tree")),
        ]  # fmt: skip
        assert workspace.store.walk()["discover"]["fingerprint"] == module.fingerprint_of(workspace)
        assert discover(workspace, add=root / "more.txt").done["added"] == 0
    assert (summary.done["added"], summary.done["attributes"]) == (1, 2)
    assert summary.dropped == (("attributes", 2, "in the list already"),)
    assert (root / "attributes.csv").read_text().splitlines()[1:3] == before.splitlines()[1:]


def test_an_attribute_of_one_superclass_is_added_beside_that_of_another(root: Path) -> None:
    with_parents(root, "cat", "dog")
    (root / "attributes.csv").write_text("attribute,question,superclass\near,How?,cat\nrim,Which?,\n")
    (root / "more.csv").write_text("attribute,question,superclass\near,,cat\near,Long?,dog\nrim,,dog\n")
    with opened(root) as workspace:
        assert discover(workspace, add=root / "more.csv").done["added"] == 1
        assert [(a.name, a.superclass) for a in workspace.attributes()] == [
            ("ear", "cat"), ("rim", ""), ("dog_ear", "dog"),
        ]  # fmt: skip
        assert discover(workspace, add=root / "more.csv").done["added"] == 0


def test_a_file_that_is_added_to_nothing_is_the_list(root: Path) -> None:
    (root / "more.txt").write_text("motif\n")
    with opened(root) as workspace:
        discover(workspace, add=root / "more.txt")
        assert [a.name for a in workspace.attributes()] == ["motif"]


def test_a_list_that_is_replaced_is_kept_beside_the_new_one(root: Path, tmp_path: Path) -> None:
    mine = "attribute,question,note\nrim,How is the rim?,mine\n"
    (root / "attributes.csv").write_text(mine)
    (tmp_path / "new.txt").write_text("metal: Which metal?\n")
    with opened(root) as workspace:
        summary = discover(workspace, from_file=tmp_path / "new.txt", replace=True)
        assert [a.name for a in workspace.attributes()] == ["metal"]
    assert (root / "attributes.old.csv").read_text() == mine
    assert "attributes-replaced" in [n.code for n in summary.notices]
