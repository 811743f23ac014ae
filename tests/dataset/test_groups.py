from __future__ import annotations

import pytest

from fgvr_kit.dataset.groups import Groups, group_images, group_names
from fgvr_kit.errors import SettingsError
from fgvr_kit.types import FileFacts, ScannedImage


def image(
    path: str, *, taken: str = "", camera: str = "Canon", group: str | None = None, **details: str
) -> ScannedImage:
    facts = FileFacts("JPEG", "RGB", camera=camera, taken=taken)
    return ScannedImage(
        path, path.split("/")[0], None, path, 1, 1, 1, 1, group=group, details=details, file_facts=facts
    )


def members(groups: Groups) -> list[list[int]]:
    return [numbers for numbers in groups.members().values() if len(numbers) > 1]


def test_groups_grow_together() -> None:
    groups = Groups(6)
    for first, second in ((0, 1), (4, 5), (1, 4), (3, 3)):
        groups.join(first, second)
    assert groups.members() == {0: [0, 1, 4, 5], 2: [2], 3: [3]}


def test_a_column_groups_its_equal_cells_and_an_empty_cell_groups_nothing() -> None:
    images = [
        image("bee/0", observer="anna"),
        image("wasp/1", observer="anna"),
        image("bee/2", observer=""),
        image("bee/3", observer=""),
    ]
    assert members(group_images(images, ["observer"])) == [[0, 1]]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SettingsError) as caught:
        group_images([image("bee/0", observer="anna", plot="7")], ["observr"])
    assert caught.value.code == "group-by-column"
    assert "observer, plot" in (caught.value.why or "")


def test_a_burst_is_one_camera_one_class_and_seconds() -> None:
    images = [
        image("bee/0", taken="2026-05-01T14:00:00"),
        image("bee/1", taken="2026-05-01T14:00:03"),
        image("bee/2", taken="2026-05-01T14:00:01"),
        image("bee/3", taken="2026-05-01T14:00:02", camera="Nikon"),
        image("wasp/4", taken="2026-05-01T14:00:02"),
        image("bee/5", taken="2026-05-01T15:00:00"),
        image("bee/6", taken="", camera=""),
        image(
            "bee/7", taken="2026-05-01T14:00:01", camera=""
        ),  # without a camera, times are often scan dates
    ]
    assert members(group_images(images, ["burst"], burst_seconds=2)) == [[0, 1, 2]]
    assert members(group_images(images, ["burst"], burst_seconds=1)) == [[0, 2]]


def test_a_pattern_groups_by_its_first_bracket() -> None:
    images = [image(f"bee/plant{n}_{leaf}.jpg") for n in (1, 2, 12) for leaf in "ab"]
    assert members(group_images(images, ["name:^(plant[0-9]+)_"])) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("pattern", ["name:plant", "name:(", "name:"])
def test_a_pattern_without_a_bracket_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError) as caught:
        group_images([image("bee/0")], [pattern])
    assert caught.value.code == "group-by-pattern"


def test_groups_are_called_as_the_dataset_calls_them_then_by_what_made_them() -> None:
    images = [image("bee/plant1_a.jpg", group="nest 1", observer="anna"), image("bee/b.jpg", observer="")]
    ways = ["duplicate", "burst", "observer", "name:^(plant[0-9]+)_"]
    assert group_names(images, ways) == [
        ["nest 1", "observer=anna", "name:^(plant[0-9]+)_=plant1"], [],
    ]  # fmt: skip


def test_equal_cells_of_two_columns_are_two_groups() -> None:
    images = [image("bee/0", observer="7", plot=""), image("bee/1", observer="", plot="7")]
    assert members(group_images(images, ["observer", "plot"])) == []


def test_what_the_dataset_calls_a_group_always_is_one() -> None:
    images = [
        image("a#1", group="picture:a"),
        image("a#2", group="picture:a"),
        image("b#1", group="picture:b"),
    ]
    assert members(group_images(images, [])) == [[0, 1]]
    assert members(group_images(images, ["duplicate"], duplicates=[(1, 2)])) == [[0, 1, 2]]
