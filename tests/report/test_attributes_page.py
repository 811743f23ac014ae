from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fgvr_kit.pipeline.quality import AttributeReport, Measured, Quality, Separation
from fgvr_kit.report.attributes_page import AttributesPage, render_attributes_page, write_attributes_page
from tests.report.test_check_page import Document

EVIL = '<script>alert("x")</script> & {{ 7 * 7 }}'


def attribute(name: str, suggestion: str = "keep", why: str = "separates them") -> AttributeReport:
    apart = (Separation("bee", "wasp", 0.91, 0.8, 60, True), Separation("ant", "bee", 0.5, 0.3, 60, False))
    measured = Measured(name, 90, 0.5, 0.25, 7, 0.4, "brown", None, None, 0.423, 0.005, apart)
    return AttributeReport(measured, why, suggestion)  # type: ignore[arg-type]


def page(*attributes: AttributeReport, folder: Path = Path("/data/pests")) -> AttributesPage:
    quality = Quality(
        attributes, 90, 3, 30, (("bee", "wasp"), ("ant", "bee"), ("ant", "wasp")), "mined look-alikes", ("toy model",)
    )  # fmt: skip
    questions = {each.measured.name: "Which?" for each in attributes}
    return AttributesPage("pest", folder, quality, questions, datetime(2026, 1, 1, tzinfo=UTC))


def test_the_page_is_whole_and_tells_the_figures() -> None:
    shown = Document(render_attributes_page(page(attribute("hue"), attribute("legs", "drop", "constant"))))
    for said in (
        "42.3 %",
        "0.005",
        "separates them",
        "1 of 2 attributes is better dropped",
        "toy model",
        "Which?",
    ):
        assert said in shown.text
    assert shown.tags["table"] == 2
    assert shown.tags["script"] == 0


def test_a_pair_that_was_not_measured_has_no_figure() -> None:
    text = render_attributes_page(page(attribute("hue")))
    assert (
        '<b>91</b></td><td class="cell" style="background: rgb(var(--bar) / 0.00)">50</td><td class="cell">-'
        in text
    )


def test_what_is_not_known_is_a_dash() -> None:
    one = attribute("hue")
    unknown = replace(one, measured=replace(one.measured, information=None, p=None))
    assert "42.3" not in render_attributes_page(page(unknown))
    agreed = replace(one, measured=replace(one.measured, agreement=0.8, agreement_beyond_chance=0.6))
    assert "80 % (0.60)" in render_attributes_page(page(agreed))


def test_names_and_answers_can_do_no_harm() -> None:
    one = attribute(EVIL, "drop", EVIL)
    text = render_attributes_page(page(replace(one, measured=replace(one.measured, most_frequent=EVIL))))
    assert "<script" not in text
    assert "{{ 7 * 7 }}" in Document(text).text


def test_the_page_is_written_and_does_not_tell_where(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "attributes.html"
    why = f"see {tmp_path}/pests/1.jpg"
    assert write_attributes_page(file, page(attribute("hue", why=why), folder=tmp_path / "pests")) > 1000
    assert str(tmp_path / "pests") not in file.read_text()
