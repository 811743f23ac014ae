"""Files that people edit: a spreadsheet's way of writing a table survives that it is written back."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.edited import Sheet, read_csv

LINES = [
    ["class", "display_name", "synonyms", "note"],
    ["bee", 'a "big" bee', "Apis; bees", "x, y"],
    ["wasp", "wasp", "", "", "mine", ""],
    ["ant", "ant"],
]


@pytest.mark.parametrize("head", ["", "\ufeff", "sep={}\r\n", "\ufeffsep={}\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_written_back_as_it_was(tmp_path: Path, head: str, delimiter: str, end: str) -> None:
    file = tmp_path / "classes.csv"
    Sheet(LINES[0], LINES[1:], delimiter, end, head.format(delimiter)).write(file)
    before = file.read_bytes()
    sheet = Sheet.read(file, ["class"])
    sheet.write(file)
    assert file.read_bytes() == before
    assert [sheet.columns, *sheet.rows] == LINES


def test_a_new_column_stands_behind_every_cell_there_is(tmp_path: Path) -> None:
    file = tmp_path / "classes.csv"
    file.write_text("class,display_name\nbee,bee,mine\nwasp\n")
    sheet = Sheet.read(file, ["class"])
    sheet.put(sheet.rows[1], "merged_into", "bee")
    sheet.write(file)
    assert file.read_text() == "class,display_name,,merged_into\nbee,bee,mine\nwasp,,,bee\n"
    assert sheet.cell(sheet.rows[1], "merged_into") == "bee"
    assert sheet.cell(sheet.rows[0], "merged_into") == ""


def test_of_two_columns_of_one_name_the_first_counts(tmp_path: Path) -> None:
    file = tmp_path / "classes.csv"
    file.write_text("class,display_name,class\nbee,Bee,7\n")
    assert read_csv(file, ["class"])[1] == [{"class": "bee", "display_name": "Bee"}]
