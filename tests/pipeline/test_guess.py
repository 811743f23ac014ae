from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.errors import BackendError, DatasetError, FgvrError
from fgvr_kit.pipeline import guess as module
from fgvr_kit.pipeline.guess import Guess, guess_from_names, guess_from_pictures, read
from fgvr_kit.pipeline.init import init
from fgvr_kit.templates import load_all
from fgvr_kit.workspace import Workspace
from tests.backends.servers import FakeServer, Raw, Say
from tests.photographs import class_folders
from tests.pipeline.coins import Scripted, cut

TEMPLATES = load_all()

# Labels as they stand in well-known collections and in folders people bring.
NAMES = {
    ("stag beetle", "ladybird beetle"): ("beetle", "species", "insects-pests"),
    ("beetle", "stag beetles"): ("beetle", "species", "insects-pests"),
    ("GroundBeetle", "StagBeetle"): ("beetle", "species", "insects-pests"),
    ("ant", "bee", "wasp"): ("insect", "species", "insects-pests"),
    ("honey bee", "bumble bee", "common wasp"): ("insect", "species", "insects-pests"),
    ("bean aphid", "wheat midge", "apple sawfly"): ("insect", "species", "insects-pests"),
    ("Apis mellifera", "Bombus terrestris", "Vespa crabro", "Panorpa communis"): ("insect", "species", "insects-pests"),
    ("quercus_robur", "acer_campestre", "betula_pendula"): ("plant", "species", "plants"),
    ("Amanita muscaria", "Boletus edulis", "Russula emetica"): ("fungus", "species", "fungi"),
    ("Talpa europaea", "Sciurus vulgaris", "Meles meles"): ("", "species", None),
    ("001.Black_footed_Albatross", "014.Indigo_Bunting", "022.Chuck_will_Widow", "200.Common_Yellowthroat"):
        ("bird", "species", "birds"),
    ("Ager-rævehale (Black-grass)", "Charlock", "Cleavers", "Fat Hen (Hvidmelet gåsefod)", "Loose Silky-bent",
     "Shepherd’s Purse", "Sugar beet, Sukkerroe"): ("plant", "species", "plants"),
    ("pink primrose", "canterbury bells", "colt's foot", "moon orchid", "love in the mist", "tiger lily"):
        ("plant", "species", "plants"),
    ("Tomato___Early_blight", "Tomato___healthy", "Apple___Apple_scab", "Corn_(maize)___Common_rust_"):
        ("plant", "condition", "plants-disease"),
    ("n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02087046-toy_terrier"): ("pet", "breed", "pets"),
    ("yorkshire_terrier", "fox_terrier"): ("terrier", "breed", "pets"),
    ("Audi TT RS Coupe 2012", "BMW X6 SUV 2012", "AM General Hummer SUV 2000"):
        ("vehicle", "make and model", "vehicles"),
    ("737-800", "A320", "Cessna 172", "Saab 2000", "DC-10"): ("aircraft", "variant", "aircraft"),
    ("apple_pie", "baby_back_ribs", "caesar_salad", "pad_thai"): ("food", "dish", "food"),
    ("pizza margherita", "pizza napoletana", "pizza diavola"): ("food", "dish", "food"),
    ("good", "scratch", "crack", "broken_large"): ("part", "condition", "manufactured-parts"),
    ("pneumonia", "normal", "covid-19"): ("medical image", "finding", "medical-images"),
    ("10_cent", "1_euro", "20_cent", "2_euro"): ("coin", "denomination", "coins-and-banknotes"),
    ("10 euro coin", "20 euro coin"): ("euro coin", "denomination", "coins-and-banknotes"),
    ("1_cent", "2_cent"): ("coin", "denomination", "coins-and-banknotes"),
    ("left shoe", "running shoe"): ("shoe", "", None),
}  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), NAMES.items(), ids=lambda value: str(value[0]))
def test_names_tell_what_the_classes_are(
    names: tuple[str, ...], expected: tuple[str, str, str | None]
) -> None:
    guess = guess_from_names(names, TEMPLATES)
    assert guess is not None
    assert (guess.superclass, guess.unit, guess.template) == expected
    assert guess.why


@pytest.mark.parametrize(
    "names",
    [
        (), ("beetle",), ("0", "1", "2"), ("red", "blue"), ("class a", "class b"), ("dog rose", "unrelated", "words"),
        ("car wash", "bird bath", "coin slot", "bee line"), ("type 1", "type 2"), ("x", "y"), ("🐞", "🐝"), ("", "  "),
        ("large blue", "small blue", "holly blue"), ("casa bianca", "casa rosa"), ("left side", "right side"),
        ("mela", "pera", "uva"), ("../a", "<b>"), ("stone fly fishing", "kitchen table"),
    ],
)  # fmt: skip
def test_names_that_tell_nothing_for_sure_give_no_guess(names: tuple[str, ...]) -> None:
    assert guess_from_names(names, TEMPLATES) is None


def test_without_templates_the_common_last_word_is_enough() -> None:
    guess = guess_from_names(["stag beetle", "ladybird beetle"], [])
    assert guess == Guess("beetle", "", None, "every class name ends in 'beetle'")


def test_ten_thousand_names_are_read_at_once() -> None:
    guess = guess_from_names([f"no. {n} beetle" for n in range(10_000)], TEMPLATES)
    assert guess is not None
    assert guess.superclass == "beetle"


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ('{"superclass": "beetle", "unit": "species"}', ("beetle", "species")),
        ('```json\n{"superclass": "A Beetle.", "unit": ""}\n```', ("beetle", "")),
        ('Sure! {"superclass": "SUV", "unit": "model"}', ("SUV", "model")),
        ('{"superclass": "", "unit": ""}', ("", "")),
        ('{"superclass": "object", "unit": "class"}', ("", "")),
        ('{"superclass": "beetle", "unit": 3}', ("beetle", "")),
        ('{"superclass": 3, "unit": "species"}', None),
        ('{"superclass": "...", "unit": "..."}', None),
        ('{"superclass": "They all seem to show some kind of insect", "unit": "species"}', None),
        ('{"superclass": "[link](http://x)", "unit": ""}', None),
        ('{"unit": "species"}', None),
        ("Beetles, I suppose.", None),
        ("", None),
    ],
)
def test_only_a_noun_in_json_is_understood(said: str, understood: tuple[str, str] | None) -> None:
    assert read(said) == understood


# --- pictures -----------------------------------------------------------------------------------------------

CLASSES = ("ant", "bee", "fly", "moth", "tick", "wasp")
BIRD = json.dumps({"superclass": "bird", "unit": "species"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(class_folders(tmp_path / "pests", dict.fromkeys(CLASSES, 4)), tmp_path)
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, *replies: object) -> Scripted:
    said = iter(replies)
    backend = Scripted(lambda _: next(said))  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(module, "open_backend", lambda *_, **__: backend)
    return backend


def test_a_model_is_shown_one_training_picture_of_a_few_classes_and_no_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = use(monkeypatch, BIRD)
    with Workspace(root) as workspace:
        guess = guess_from_pictures(workspace, "scripted:model", n=3)
        training = {image.sha256: image.class_name for image in workspace.store.images("train")}
    assert guess == Guess("bird", "species", "birds", "scripted:model looked at 3 training pictures")
    (request,) = backend.asked
    assert [training[ref.sha256] for ref in request.images] == ["ant", "fly", "tick"]
    assert "These 3 photographs" in request.prompt.text
    assert not any(name in request.prompt.text.split() for name in CLASSES)


def test_a_guess_is_paid_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = use(monkeypatch, BIRD)
    with Workspace(root) as workspace:
        first = guess_from_pictures(workspace, "scripted:model")
        assert guess_from_pictures(workspace, "scripted:model") == first
        (row,) = workspace.store.all_replies()
    assert len(backend.asked) == 1
    assert (row["purpose"], row["outcome"], row["prompt_name"]) == ("guess", "ok", "guess/superclass")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("I see several things.", "invalid"),
        ('{"superclass": "a very long story about everything that could be seen here"}', "invalid"),
        ("I'm sorry, I can't help with that.", "refused"),
        (cut('{"superclass": "bi'), "cut_off"),
    ],
)
def test_garbage_is_refused_and_asked_for_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: object, outcome: str
) -> None:
    use(monkeypatch, said, BIRD)
    with Workspace(root) as workspace:
        assert guess_from_pictures(workspace, "scripted:model") is None
        assert [row["outcome"] for row in workspace.store.all_replies()] == [outcome]
        again = guess_from_pictures(workspace, "scripted:model")
    assert again is not None
    assert again.superclass == "bird"


@pytest.mark.parametrize("superclass", ["", "thing", "bee", "Moths", "wasp nest"])
def test_a_model_that_is_not_sure_or_names_a_class_gives_no_guess(
    root: Path, monkeypatch: pytest.MonkeyPatch, superclass: str
) -> None:
    backend = use(monkeypatch, json.dumps({"superclass": superclass, "unit": "species"}))
    with Workspace(root) as workspace:
        assert guess_from_pictures(workspace, "scripted:model") is None
        assert guess_from_pictures(workspace, "scripted:model") is None
    assert len(backend.asked) == 1  # an honest answer, not asked for again


@pytest.mark.parametrize(
    ("superclass", "template"),
    [("bird", "birds"), ("beetle", "insects-pests"), ("euro coin", "coins-and-banknotes"), ("teapot", None)],
)
def test_the_template_follows_from_what_was_seen(
    root: Path, monkeypatch: pytest.MonkeyPatch, superclass: str, template: str | None
) -> None:
    use(monkeypatch, json.dumps({"superclass": superclass, "unit": ""}))
    with Workspace(root) as workspace:
        guess = guess_from_pictures(workspace, "scripted:model")
    assert guess is not None
    assert (guess.superclass, guess.template) == (superclass, template)


def test_pictures_travel_over_the_wire_and_a_failing_server_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    plans = [Raw(401, '{"error": "who are you"}'), Say(BIRD)]
    with FakeServer("ollama", lambda n, _: plans[n]) as server:
        settings = [f'ollama.host="{server.url}"']
        with Workspace(root, settings) as workspace, pytest.raises(BackendError) as caught:
            guess_from_pictures(workspace, "ollama:eyes")
        with Workspace(root, settings) as workspace:
            guess = guess_from_pictures(workspace, "ollama:eyes")
    assert caught.value.code == "backend-key"
    assert guess is not None
    assert guess.superclass == "bird"
    assert [len(call.images) for call in server.calls] == [4, 4]
    assert server.calls[1].body["format"]["required"] == ["superclass", "unit"]


def test_a_recording_answers_too(root: Path) -> None:
    (root / "said.jsonl").write_text(json.dumps({"purpose": "guess", "text": BIRD}) + "\n")
    with Workspace(root) as workspace:
        guess = guess_from_pictures(workspace, "replay:said.jsonl")
    assert guess is not None
    assert guess.unit == "species"


def test_a_workspace_without_images_or_backend_says_so(root: Path) -> None:
    with Workspace(root) as workspace, pytest.raises(FgvrError) as nobody:
        guess_from_pictures(workspace, "")
    (root / ".fgvr" / "fgvr.db").unlink()
    with Workspace(root) as workspace, pytest.raises(DatasetError) as nothing:
        guess_from_pictures(workspace, "replay:said.jsonl")
    assert (nobody.value.code, nothing.value.code) == ("no-backend", "no-images")
