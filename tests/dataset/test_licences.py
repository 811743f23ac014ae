from __future__ import annotations

import pytest

from fgvr_kit.dataset.licences import (
    Attribution,
    attributions,
    author_of,
    counted,
    licence_named,
    licence_of,
    permit,
    refuse_unknown,
)
from fgvr_kit.errors import SettingsError
from fgvr_kit.types import ScannedImage

SPELLINGS = {
    "cc0": (
        "CC0", "cc0-1.0", "CC0 1.0", "CC-0", "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication",
        "Creative Commons Zero v1.0 Universal", "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "Public Domain Dedication", "(c) Ida, no rights reserved (CC0)",
    ),
    "cc-by": (
        "CC BY 4.0", "cc-by", "CC-BY-4.0", "CC-BY 2.5 DK", "Attribution License",
        "https://creativecommons.org/licenses/by/3.0/us/", "Creative Commons Attribution 4.0 International",
    ),
    "cc-by-nc": (
        "CC BY-NC 4.0", "cc-by-nc", "cc_by_nc_4.0", "CCBYNC", "Attribution-NonCommercial License",
        "https://creativecommons.org/licenses/by-nc/4.0/", "CC BY-NC\n4.0",
        "© Ida, some rights reserved (CC BY-NC)",
    ),
    "cc-by-nc-sa": ("CC BY-NC-SA 3.0 US", "by-nc-sa", "CC BY-SA-NC", "Attribution-NonCommercial-ShareAlike License"),
    "cc-by-nc-nd": (
        "CC BY NC ND", "https://creativecommons.org/licenses/by-nd-nc/1.0/",
        "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International License",
    ),
    "cc-by-nd": ("Attribution-NoDerivs License",),
    "cc-by-sa": ("CC-BY-SA-4.0",),
    "public-domain": (
        "public domain", "Public Domain Mark 1.0", "PD", "https://creativecommons.org/publicdomain/mark/1.0/",
    ),
    "all-rights-reserved": ("All Rights Reserved", "C", "© Ida, all rights reserved"),
}  # fmt: skip


@pytest.mark.parametrize(("licence", "text"), [(n, text) for n, texts in SPELLINGS.items() for text in texts])
def test_the_spellings_of_a_licence_are_one(licence: str, text: str) -> None:
    assert licence_named(text) == licence


@pytest.mark.parametrize(
    "text",
    [
        "MIT", "my own", "No known copyright restrictions", "United States Government Work", "CC BY-NonsenSe", "",
        "CC BY-NC except for plants", "All rights (CC0)", "https://creativecommons.org/licenses/sampling+/1.0/",
        "see https://x.org/licenses/by",
    ],
)  # fmt: skip
def test_a_spelling_that_is_not_known_stays_as_it_is(text: str) -> None:
    assert licence_named(text) == text


@pytest.mark.parametrize(
    "column", ["licence", "License", "license_code", "licenseURL", "rights", "Photo License"]
)
def test_the_column_of_the_licence_is_found_by_its_name(column: str) -> None:
    assert licence_of({"observer": "Ida", column: "CC BY 4.0"}) == "cc-by"


def test_a_column_that_is_empty_gives_way_to_the_next() -> None:
    assert licence_of({"licence": " ", "rights": "cc0"}) == "cc0"
    assert licence_of({"observer": "Ida"}) == ""


@pytest.mark.parametrize(
    "column", ["observer", "author", "rights_holder", "user_login", "recordedBy", "Photographer"]
)
def test_the_column_of_the_author_is_found_by_its_name(column: str) -> None:
    assert author_of({"species": "bee", column: " Ida  Frank "}) == "Ida Frank"


def image(number: int, licence: str = "", observer: str = "") -> ScannedImage:
    details = {"licence": licence, "observer": observer}
    return ScannedImage(f"{number}.jpg", "bee", "train", f"{number:064}", 9, 9, 1, 1, details=details)


IMAGES = [
    image(1, "CC BY 4.0", "Ida"), image(2, "cc-by", "Ida"), image(3, "cc-by", "Bo"), image(4, "cc0"),
    image(5), image(6, "House rules", "Bo"),
]  # fmt: skip


def test_who_gave_how_many_under_which_licence() -> None:
    assert attributions(IMAGES) == [
        Attribution("cc-by", "Ida", 2), Attribution("cc-by", "Bo", 1), Attribution("", "", 1),
        Attribution("House rules", "Bo", 1), Attribution("cc0", "", 1),
    ]  # fmt: skip


def test_licences_are_counted_where_one_is_stated() -> None:
    assert counted(IMAGES) == "cc-by 3, House rules 1, cc0 1, not stated 1"
    assert counted([image(1), image(2)]) == ""


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["CC BY 3.0"], [1, 2, 3]),
        (["cc0", "cc-by"], [1, 2, 3, 4]),
        (["none"], [5]),
        (["house rules"], [6]),
        (["public domain"], []),
    ],
)
def test_only_images_of_the_licences_wanted_are_permitted(only: list[str], expected: list[int]) -> None:
    is_permitted = permit(only)
    assert [number for number, one in enumerate(IMAGES, 1) if is_permitted(one)] == expected


@pytest.mark.parametrize("only", [[], ["cc-by-nd"], ["CC0 1.0", "none", "house rules"]])
def test_a_usual_licence_may_be_wanted_also_where_no_image_has_it(only: list[str]) -> None:
    refuse_unknown(only, IMAGES)


def test_a_licence_that_is_none_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_unknown(["cc-by", "cc-bye"], IMAGES)
    assert caught.value.code == "licence-unknown"
    assert "House rules, cc-by, cc0" in (caught.value.why or "")
    assert "'cc-by'" in caught.value.hint
