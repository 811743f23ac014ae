from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fgvr_kit.pipeline.mine.mined import Drop, LookAlikes, Mined, Refused, Spread, Stray
from fgvr_kit.report.look_alikes_page import (
    MOST_ANCHORS,
    LookAlikesPage,
    render_look_alikes_page,
    write_look_alikes_page,
)
from fgvr_kit.types import Image, Negative, Option, Summary
from tests.photographs import photograph
from tests.report.test_check_page import Document

EVIL = '<script>alert("x")</script> & {{ 7 * 7 }}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pests")
    for n in range(4):
        photograph(n).save(place / f"{n}.jpg")
    return place


def mined(**changes: object) -> Mined:
    found = Mined(
        negatives=[Negative(1, 0, 2, "wasp", 0.25, 0.75), Negative(2, 0, 1, "bee", 0.25, 0.75)],
        options=[Option(3, 0, "bee", 0.5, 1), Option(3, 1, "wasp", 0.4, 0)],
        drops=(
            Drop("near copy", 7, (Refused(1, "wasp", 4, 0.99),)),
            Drop("synonym", 5, (Refused(1, "hornet", None, 0.3),)),
        ),
        look_alikes=(LookAlikes("bee", "wasp", 1, 1, 1, 1),),
        strays=(Stray(2, "bee", 0.125),),
        n_strays=1,
        own_class=Spread(2, 0.5, 0.0, 0.5, 0.5),
        wrong_class=Spread(2, 0.25, 0.0, 0.25, 0.25),
        wrong_image=None,
        labels_checked=False,
        summary=Summary("mine", {}, notes=("toy-clip: untrained toy model",)),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def page(folder: Path, found: Mined) -> LookAlikesPage:
    classes = {1: "bee", 2: "wasp", 3: "bee", 4: "wasp"}
    images = {
        i: Image(i, f"{i - 1}.jpg", name, "test" if i == 3 else "train", f"{i}")
        for i, name in classes.items()
    }
    return LookAlikesPage(
        "pest", folder, found, images, {"seed": "0"}, {"bee": "honey bee"}, datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_the_page_shows_pairs_negatives_questions_and_what_was_kept_out(folder: Path) -> None:
    shown = Document(render_look_alikes_page(page(folder, mined())))
    for said in (
        "Two classes are each other’s look-alike: honey bee and wasp .",
        "2 training images have negatives, 1 test images have options",
        "untrained toy model",
        "Near copy 7 times",
        "Synonym 5 times",
        "hornet for honey bee",
        "nearer to honey bee by 0.125",
        "has not looked for them",
    ):
        assert said in shown.text, said
    assert shown.tags["script"] == 0
    assert shown.tags["img"] == 4 + 4 + 1 + 2 + 1  # pair, negatives, question, near copy, stray
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in shown.values("img", "src"))


def test_options_stand_as_they_are_shown_and_the_truth_is_marked(folder: Path) -> None:
    text = render_look_alikes_page(page(folder, mined()))
    assert '<li><bdi>wasp</bdi></li><li class="truth"><bdi>honey bee</bdi></li>' in text


def test_nothing_found_is_said(folder: Path) -> None:
    nothing = mined(look_alikes=(), drops=(), strays=(), n_strays=0, labels_checked=True)
    shown = Document(render_look_alikes_page(page(folder, nothing)))
    assert "No two classes are each other’s look-alike" in shown.text
    assert "Nothing had to be kept out" in shown.text
    assert "has not looked for them" not in shown.text


def test_a_picture_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    shown = Document(render_look_alikes_page(page(tmp_path, mined())))
    assert "0.jpg cannot be opened any more" in shown.text
    assert str(tmp_path) not in shown.text


def test_names_can_do_no_harm(folder: Path) -> None:
    evil = replace(page(folder, mined()), title=EVIL, display_names={"bee": EVIL, "wasp": EVIL})
    shown = Document(render_look_alikes_page(evil))
    assert shown.tags["script"] == 0
    assert EVIL in shown.text


def test_a_large_dataset_makes_no_large_page(folder: Path, tmp_path: Path) -> None:
    n = 4 * MOST_ANCHORS
    images = {i: Image(i, "0.jpg", f"class {i % 9}", "train", f"{i}") for i in range(n)}
    negatives = [Negative(i, 0, (i + 1) % n, f"class {(i + 1) % 9}", 0.2, 0.5) for i in range(n)]
    many = replace(
        page(folder, mined(negatives=negatives, options=[], drops=(), look_alikes=(), strays=())),
        images=images,
    )
    size = write_look_alikes_page(tmp_path / "reports" / "look-alikes.html", many)
    shown = Document((tmp_path / "reports" / "look-alikes.html").read_text("utf-8"))
    assert shown.tags["img"] == 2 * MOST_ANCHORS
    assert f"{MOST_ANCHORS} of {n} images" in shown.text
    assert size < 2_000_000
