"""classes.csv as a spreadsheet saves it: `init` adds what is missing, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.errors import DatasetError
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.init.classes import write_classes
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [b";", b"\t", b","])
def test_a_class_is_added_in_the_way_in_which_the_table_is_written(
    tmp_path: Path, mark: bytes, delimiter: bytes
) -> None:
    file = tmp_path / "classes.csv"
    lines = [["class", "display_name", "mine"], ["bee", "Große Biene", "1", "and more"], ["wasp", "Wespe"]]
    text = b"\r\n".join(delimiter.join(cell.encode() for cell in line) for line in lines) + b"\r\n"
    file.write_bytes(mark + text)
    assert write_classes(file, ["bee", "wasp", "ant"], {}, {}) == 1
    assert file.read_bytes() == mark + text + delimiter.join([b"ant", b"ant", b""]) + b"\r\n"
    assert write_classes(file, ["bee", "wasp", "ant"], {}, {}) == 0


def test_blanks_around_a_class_do_not_make_it_another(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "drone": 4, "wasp": 4})
    init(folder, tmp_path)
    text = "class,display_name,merged_into\n bee ,Honey bee,\ndrone\t,drone, bee\n wasp,wasp,\n"
    (tmp_path / "classes.csv").write_text(text)
    init(folder, tmp_path)
    assert (tmp_path / "classes.csv").read_text() == text
    with Workspace(tmp_path) as workspace:
        assert workspace.merges() == {"drone": "bee"}
        assert {n: c.display_name for n, c in workspace.classes().items()} == {
            "bee": "Honey bee",
            "wasp": "wasp",
        }


@pytest.mark.parametrize(
    ("names", "hint"),
    [(("Common wheat", "common_wheat"), "--merge-spellings"), (("bee", "drone"), "'bee' into merged_into of 'drone'")],
)  # fmt: skip
def test_two_classes_of_one_name_are_told_how_to_become_one(
    tmp_path: Path, names: tuple[str, str], hint: str
) -> None:
    init(class_folders(tmp_path / "pests", {**dict.fromkeys(names, 3), "wasp": 3}), tmp_path)
    (tmp_path / "classes.csv").write_text(
        "class,display_name\n" + "".join(f"{name},one\n" for name in names) + "wasp,wasp\n"
    )
    with Workspace(tmp_path) as workspace, pytest.raises(DatasetError) as caught:
        workspace.classes()
    assert caught.value.code == "classes-same-name"
    assert hint in caught.value.hint
