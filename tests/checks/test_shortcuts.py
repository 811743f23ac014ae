from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.checks import shortcuts
from fgvr_kit.checks.base import Subject, Verdict
from fgvr_kit.checks.shortcuts.guess import MOST_IMAGES, Guess, Sample, exact_interval, folds, guessed
from fgvr_kit.checks.shortcuts.names import classes_in, forms_of, name_leak
from fgvr_kit.checks.shortcuts.traces import FAMILIES
from fgvr_kit.dataset.facts import LUMA
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.types import Attribute, FileFacts, PixelFacts, ScannedImage
from tests.checks.conftest import Datasets, of_kind, photographs
from tests.photographs import class_folders

CLASSES = ("bee", "wasp", "ant", "moth")
Judge = Callable[[Sequence[ScannedImage]], Verdict]
Change = Callable[[ScannedImage, int], ScannedImage]


def images(n: int, classes: Sequence[str] = CLASSES) -> list[ScannedImage]:
    """n images of each class as a scan stores them, with facts that say nothing about the class."""
    noise = random.Random(7)
    numbers = iter(noise.sample(range(10**6), n * len(classes)))
    return [
        ScannedImage(
            f"{class_name}/{next(numbers):06}.jpg", class_name, "train", f"{class_name}{number}",
            noise.randrange(200, 300), noise.randrange(200, 300), noise.randrange(20_000, 40_000), 0,
            label=class_name,
            file_facts=FileFacts("JPEG", "RGB", camera=noise.choice(["Canon", "Nikon"])),
            pixel_facts=PixelFacts(noise.getrandbits(64), noise.randbytes(768)),
        )
        for class_name in classes
        for number in range(n)
    ]  # fmt: skip


@pytest.fixture
def judge(datasets: Datasets) -> Judge:
    """The check on images that need not be there; their classes stand in classes.csv."""
    folder = photographs(datasets.root / "tiny", [f"{c}/{n}.png" for c in CLASSES for n in "12"])
    workspace = datasets.subject(folder).workspace
    return lambda found: shortcuts.run(Subject(workspace, found))


def told(verdict: Verdict) -> set[str]:
    return {finding.message.partition(" alone")[0] for finding in of_kind(verdict, "shortcut")}


def pixels(change: Callable[[np.ndarray, int], object]) -> Change:
    """change: works on a (16, 16, 3) thumb in place, which is grey noise between 100 and 163."""

    def changed(image: ScannedImage, k: int) -> ScannedImage:
        assert image.pixel_facts
        thumb = np.frombuffer(image.pixel_facts.thumb, dtype=np.uint8).reshape(16, 16, 3) // 4 + 100.0
        change(thumb, k)
        return replace(image, pixel_facts=replace(image.pixel_facts, thumb=thumb.astype(np.uint8).tobytes()))

    return changed


def lighter(thumb: np.ndarray, k: int) -> None:
    thumb += 20 * k


def redder(thumb: np.ndarray, k: int) -> None:
    thumb += np.array([8, 0, -8 * LUMA[0] / LUMA[2]]) * k  # as bright as before


def framed(thumb: np.ndarray, k: int) -> None:
    thumb[[0, -1]] += 25 * k
    thumb[1:-1, [0, -1]] += 25 * k


def file(**facts: object) -> Change:
    return lambda image, k: replace(
        image, file_facts=FileFacts(**{name: str(value).format(k, k + 3) for name, value in facts.items()})
    )


@pytest.mark.parametrize(
    ("family", "also", "change"),
    [
        ("size", "", lambda i, k: replace(i, width=i.width + 120 * k)),
        ("size", "", lambda i, k: replace(i, n_bytes=i.n_bytes + 25_000 * k)),
        ("brightness", "border", pixels(lighter)),
        ("colour", "border", pixels(redder)),
        ("border", "brightness", pixels(framed)),
        ("camera", "", file(camera="Canon EOS {}")),
        ("camera", "", file(mode="I;{}")),
        ("file name", "", lambda i, k: replace(i, path=f"{i.class_name}/IMG_{k}{i.path[-8:]}")),
        ("file name", "", lambda i, k: replace(i, path=i.path.replace(".jpg", "_copy" * k + ".jpg"))),
        ("time", "", file(taken="2026-0{1}-01T1{0}:00:00")),
    ],
)  # fmt: skip
def test_a_trace_that_gives_the_class_away_is_told_and_no_other(
    judge: Judge, family: str, also: str, change: Change
) -> None:
    verdict = judge([change(image, CLASSES.index(image.class_name)) for image in images(40)])

    assert {family} <= told(verdict) <= {family, also}
    finding = of_kind(verdict, "shortcut")[0]
    assert finding.severity == "warning"
    assert "chance is 25 %" in finding.message
    assert finding.value is not None
    assert 0.5 < finding.value <= 1
    assert verdict.figures["families"][family]["low"] > 0.35


def test_nothing_is_told_where_only_the_picture_differs(judge: Judge) -> None:
    verdict = judge(images(40))

    assert verdict.findings == []
    assert verdict.figures["images"] == verdict.figures["of"] == 160
    assert set(verdict.figures["families"]) == {
        "size",
        "brightness",
        "colour",
        "border",
        "camera",
        "file name",
    }


def test_of_shuffled_labels_hardly_any_interval_lies_above_chance() -> None:
    """Few images, in clumps of one light and one camera, whose labels say nothing: of 40 intervals of 95 % one
    should have its low end above chance. Without the correction for shared folds more have."""
    clumped = [
        file(camera="Canon {}")(pixels(lighter)(image, k), k)
        for k in range(4)
        for image in images(6, [f"clump {k}"])
    ]
    above = warned = 0
    for seed in range(20):
        names = [image.path[0] + str(n % 4) for n, image in enumerate(clumped)]
        random.Random(seed).shuffle(names)
        sample = Sample.of([replace(i, class_name=n) for i, n in zip(clumped, names, strict=True)], {})
        pieces = folds(sample.labels, sample.groups)
        for family in FAMILIES:
            if family.name in ("brightness", "camera"):
                guess = Guess.of(guessed(family.traces(sample), sample, pieces), sample, len(pieces))
                above += guess.low > 1 / 4
                warned += guess.low > 1 / 4 + 0.1
    assert above <= 1
    assert warned == 0


def test_a_class_of_its_own_making_is_told_where_the_others_are_alike(judge: Judge) -> None:
    names = [f"class {letter}" for letter in "abcdefghijkl"]
    found = [replace(i, width=640, height=480) if i.class_name == "class c" else i for i in images(20, names)]

    (finding,) = of_kind(judge(found), "shortcut")

    assert finding.message.startswith("size alone")
    assert "1 of 12 classes" in finding.message
    assert "'class c' (100 %)" in finding.message
    assert "'class a'" not in finding.message


def guess_of(recall: list[float], *, low: float, accuracy: float = 0.5) -> Guess:
    return Guess(accuracy, low, 0.9, np.array(recall), np.array([False] * len(recall)))


def test_only_classes_that_are_known_better_than_by_chance_are_listed() -> None:
    sample = Sample([], np.array([]), np.array([]), list(CLASSES), {}, 0)
    finding = shortcuts._finding(FAMILIES[0], guess_of([0.9, 0.25, 0.2, 0.1], low=0.4), sample, 0.1)
    assert finding
    assert finding.message.endswith("it knows best: 'bee' (90 %)")


def test_only_families_that_guess_better_than_chance_are_told() -> None:
    guesses = {
        "size": guess_of([0.3] * 4, low=0.1, accuracy=0.3),
        "time": guess_of([0.2] * 4, low=0.1, accuracy=0.2),
    }
    figures = {"chance": 0.25, "images": 9, "of": 9, "classes_left_out": 0}
    told = shortcuts._told(guesses, 0, figures, 0.1)
    assert "(size 30 %; chance 25 %)" in told
    del guesses["size"]
    assert "(none above chance; chance 25 %)" in shortcuts._told(guesses, 0, figures, 0.1)


def test_images_of_one_group_are_one_piece_of_evidence(judge: Judge) -> None:
    """Two films a class, each in a light of its own: what is learned from one says nothing about the other."""
    films = []
    for k, image in enumerate(images(40)):
        film = k // 20  # 0..7, two of each class
        light = pixels(lambda thumb, k: np.add(thumb, k, out=thumb))(
            image, 40 * (film % 2) - 20 * (film // 2)
        )
        films.append(replace(light, group=f"film {film}"))
    by_image = judge([replace(image, group=None) for image in films])
    by_film = judge(films)

    assert "brightness" in told(by_image)
    assert told(by_film) == set()
    assert by_film.figures["families"]["brightness"]["high"] > 0.5  # so few films leave it open


def test_classes_that_cannot_be_tested_are_left_out_and_counted(judge: Judge) -> None:
    lone = [replace(image, class_name="lone", group="one walk") for image in images(5, ["lone"])]

    verdict = judge([*images(10), *lone])

    assert (verdict.figures["classes"], verdict.figures["classes_left_out"]) == (4, 1)
    assert "without 1 class that lacks two independent images" in verdict.told


def test_no_two_classes_that_can_be_tested_is_told(judge: Judge) -> None:
    assert "not looked for" in judge([*images(10, ["bee"]), *images(1, ["wasp"])]).told


def test_a_large_dataset_is_sampled_every_group_first() -> None:
    many = [
        replace(image, group=f"{image.class_name}{n % 3}" if n % 3 < 2 else f"{image.class_name}{n}")
        for n, image in enumerate(images(MOST_IMAGES // 2))
    ]
    sample = Sample.of(many, {})

    assert len(sample.images) == MOST_IMAGES
    assert sample.images == Sample.of(list(reversed(many)), {}).images
    for k, name in enumerate(CLASSES):
        of_class = {image.group for image in many if image.class_name == name}
        assert {image.group for image in sample.images if image.class_name == name} == of_class
        assert np.count_nonzero(sample.labels == k) == MOST_IMAGES // 4


def test_no_group_is_on_both_sides_of_a_fold() -> None:
    labels = np.repeat(np.arange(3), 30)
    groups = np.arange(90) // 4
    pieces = folds(labels, groups)
    assert sorted(np.concatenate([test for _, test in pieces]).tolist()) == list(range(90))
    assert all(not set(groups[train]) & set(groups[test]) for train, test in pieces)


def test_the_interval_is_exact() -> None:
    """Of 8 right guesses out of 8 the low end is the share p with p^8 = 0.025; of none right the mirror."""
    low, high = exact_interval(np.array([1.0, 0.0, 0.5]), 8)
    assert low == pytest.approx([0.025 ** (1 / 8), 0, 0.157], abs=1e-3)
    assert high == pytest.approx([1, 1 - 0.025 ** (1 / 8), 0.843], abs=1e-3)


def test_accuracy_counts_classes_and_groups_alike() -> None:
    """Class 0: group 0 half right, group 1 right: 0.75.  Class 1: groups 2 and 3, one right: 0.5."""
    sample = Sample([], np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 2, 3]), ["a", "b"], {}, 0)
    guess = Guess.of(np.array([0, 1, 0, 1, 1, 0]), sample, 5)
    assert guess.recall.tolist() == [0.75, 0.5]
    assert guess.accuracy == 0.625
    assert guess.low < 0.25 < 0.9 < guess.high


def test_the_same_images_give_the_same_guesses() -> None:
    sample = Sample.of(images(20), {})
    traces = np.random.default_rng(0).normal(size=(80, 3))
    pieces = folds(sample.labels, sample.groups)
    assert guessed(traces, sample, pieces).tolist() == guessed(traces, sample, pieces).tolist()


# --- class names in file names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "found", "rest"),
    [
        ("ground_beetle_0042", ["ground_beetle"], "_0042"),
        ("GroundBeetle-7", ["ground_beetle"], "-7"),
        ("IMG ground beetle (3)", ["ground_beetle"], "IMG  (3)"),
        ("beetle12", [], "beetle12"),
        ("backgroundbeetle", [], "backgroundbeetle"),
        ("10_cent_1", ["10_cent"], "_1"),
        ("110_cent", [], "110_cent"),
        ("Fa\u030aborg", ["Fåborg"], ""),
        ("wasp on ground beetle", ["wasp", "ground_beetle"], " on "),
        ("", [], ""),
    ],
)  # fmt: skip
def test_class_names_are_found_as_whole_words(stem: str, found: list[str], rest: str) -> None:
    forms = {"groundbeetle": {"ground_beetle"}, "10cent": {"10_cent"}, "wasp": {"wasp"}, "fåborg": {"Fåborg"}}
    assert classes_in(stem, forms) == ([{name} for name in found], rest)


def named(root: Path, name: Callable[[str, int], str]) -> Path:
    return photographs(root / "pests", [f"{c}/{name(c, n)}" for c in CLASSES for n in range(4)])


def test_file_names_that_hold_their_class_are_one_note(datasets: Datasets) -> None:
    folder = named(datasets.root, lambda c, n: f"{c}_{n}.png" if c != "moth" else f"{n}.png")

    verdict = shortcuts.run(datasets.subject(folder))

    (finding,) = of_kind(verdict, "name-leak")
    assert (finding.severity, finding.value, finding.path) == ("note", 0.75, None)
    assert "'ant_0.png'" in finding.message
    assert "'moth'" not in finding.message
    assert "75 % of the file names hold their class" in verdict.told


def test_synonyms_count_as_names(datasets: Datasets) -> None:
    subject = datasets.subject(named(datasets.root, lambda c, n: f"{'Apis' if c == 'bee' else 'x'}{n}.png"))
    table = subject.workspace.root / "classes.csv"
    assert name_leak(subject.images, forms_of(subject)) == ([], 0)
    table.write_text(table.read_text().replace("bee,bee,", "bee,bee,honeybee; Apis"))
    assert name_leak(subject.images, forms_of(subject))[1] == 0.25


@pytest.mark.parametrize(
    "name",
    [
        lambda c, n: f"{n}.png",
        lambda c, n: f"{CLASSES[n]}_{c[::-1]}.png",  # every name of the four in each class
        lambda c, n: f"{c}_and_{CLASSES[CLASSES.index(c) - 1]}_{n}.png",
    ],
)
def test_names_that_do_not_tell_are_not_told(datasets: Datasets, name: Callable[[str, int], str]) -> None:
    subject = datasets.subject(named(datasets.root, name))
    assert name_leak(subject.images, forms_of(subject))[0] == []


def test_no_prompt_holds_a_file_name(datasets: Datasets) -> None:
    subject = datasets.subject(class_folders(datasets.root / "pests", {"wasp": 3, "stag_beetle": 3}))
    workspace = subject.workspace
    questions = Questions(workspace, [Attribute("wing_colour", "What colour?")])
    asked = list(questions.about(workspace.store.images()))
    assert len(asked) >= 6
    for request in asked:
        sent = f"{request.prompt.text} {request.prompt.system} {request.schema}"
        assert not any(word in sent for word in ("wasp", "stag", ".png"))
