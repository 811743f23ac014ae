from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.layouts import table as table_layout
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry, Skipped
from tests.photographs import class_folders, picture


def photos(root: Path, *names: str) -> Path:
    """A picture of its own under each name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(name).save(root / name, "PNG")
    return root


def listed(place: Path, layout: str = "table", **chosen: object) -> Listing:
    source = Source(str(place), place, DatasetSettings(**chosen))  # type: ignore[arg-type]
    found = find_layout(source)
    assert found.name == layout
    listing: Listing = found.module.read(source)
    return listing


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def classes(listing: Listing) -> dict[str, str]:
    return {entry.file: entry.class_name for entry in listing.entries}


def test_rows_become_images_that_can_be_scanned(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png", "c.png")
    listing = listed(table(tmp_path, "path,label\na.png,bee\nb.png,wasp\nc.png,\n"))
    images, skipped = scan(listing.root, listing.entries)
    assert [(i.path, i.class_name, i.split) for i in images] == [
        ("a.png", "bee", None),
        ("b.png", "wasp", None),
    ]
    assert skipped == []
    assert listing.skipped == [Skipped("c.png", "it has no label")]
    assert listing.notices == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "path,label,split,group,licence\na.png,bee,train,nest 1,cc0\n"),
        ("l.csv", "file;species;set;group;licence\r\na.png;bee;Training;nest 1;cc0\r\n"),
        ("l.tsv", "Image Path\tClass\tsubset\tgroup\tlicence\na.png\tbee\ttrain\tnest 1\tcc0\n"),
        ("l.csv", 'sep=;\nfile_name;category;partition;group;licence\n"a.png";"bee";trn;nest 1;cc0\n'),
        (
            "l.csv",
            "\ufeff\"path\",label,split,group,licence\n\n'a.png',x,train,,\na.png,bee,train,nest 1,cc0\n",
        ),
        (
            "l.jsonl",
            '{"img": "a.png", "target": "bee", "split": "train", "group": "nest 1", "licence": "cc0"}\n',
        ),
        ("l.ndjson", '\n{"licence": "cc0", "id": "a", "label": "bee", "split": "train", "group": "nest 1"}'),
    ],
)
def test_tables_are_read_as_they_are_saved(tmp_path: Path, name: str, text: str) -> None:
    photos(tmp_path, "a.png")
    listing = listed(table(tmp_path, text, name))
    assert listing.entries == [
        Entry("a.png", "bee", "train", "nest 1", {"licence": "cc0", "group": "nest 1"})
    ]


def test_columns_are_taken_as_named_and_the_others_kept(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    path = table(
        tmp_path, "file,label,art,teil,wer,split,\na.png,3,Biene,Test,Ida,?,first\n"
    )  # a column without a name is called by its number
    listing = listed(path, label_col="art", split_col="teil", group_col="wer")
    details = {"label": "3", "wer": "Ida", "split": "?", "column 7": "first"}
    assert listing.entries == [Entry("a.png", "Biene", "test", "Ida", details)]


def test_none_leaves_a_column_to_the_details(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    path = table(tmp_path, "file,label,split,group\na.png,bee,test,1\n")
    assert listed(path, split_col="none", group_col="none").entries == [
        Entry("a.png", "bee", details={"split": "test", "group": "1"})
    ]


@pytest.mark.parametrize("option", ["path_col", "label_col", "split_col", "group_col"])
def test_a_wrong_column_names_those_there_are(tmp_path: Path, option: str) -> None:
    path = table(tmp_path, "file,label,observer\na.png,bee,Ida\n")
    with pytest.raises(SettingsError) as caught:
        listed(path, **{option: "observr"})
    assert caught.value.code == "table-column"
    assert "file, label, observer" in (caught.value.why or "")
    assert "'observer'" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"path,label\nK\xe4fer.png,bee\n", "csv-encoding"),
        ("path,label\na.png,bee\n".encode("utf-16"), "csv-encoding"),
        (b"", "table-columns"),
        (b"a.png,bee\nb.png,wasp\n", "table-columns"),
        (b"path,remark\na.png,bee\n", "table-columns"),
        (b'path,label\n"a.png,bee\nb.png,wasp\n', "csv-quotes"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(tmp_path: Path, raw: bytes, code: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(raw)
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert caught.value.code == code
    if code == "csv-encoding":
        assert (caught.value.where or "").endswith("labels.csv:2" if b"\xe4" in raw else "labels.csv:1")


@pytest.mark.parametrize(
    ("line", "at"), [('{"path": "b.png", "label": }', ":3:28"), ("[1]", ":3"), ("[" * 100_000, ":3")]
)
def test_a_broken_json_line_is_named(tmp_path: Path, line: str, at: str) -> None:
    path = table(tmp_path, '{"path": "a.png", "label": "bee"}\n\n' + line + "\n", "labels.jsonl")
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert caught.value.code == "jsonl-line"
    assert (caught.value.where or "").endswith(f"labels.jsonl{at}")


def test_values_of_json_are_kept_as_text(tmp_path: Path) -> None:
    photos(tmp_path, "7.png")
    row = {
        "id": 7, "label": 3, "place": {"lat": 1.5, "names": ["Å"]}, "wild": True, "none": None, "nan": float("nan"),
        "half": "\ud83d",
    }  # fmt: skip
    path = table(tmp_path, json.dumps(row) + '\n{"id": 8, "late": 1}\n', "labels.jsonl")
    details = {"place": '{"lat": 1.5, "names": ["Å"]}', "wild": "true", "half": "�"}
    listing = listed(path)
    assert listing.entries == [Entry("7.png", "3", details=details)]
    assert [s.path for s in listing.skipped] == ["8"]


def test_paths_find_their_files(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "gåsefod")
    photos(
        tmp_path,
        "in/a.png",
        "in/B.PNG",
        f"in/{nfd}.png",
        "in/  blank.png",
        "c.png",
        "d.jpg.jpg",
        "deep/er/e.png",
    )
    cells = [
        ("in\\a.png", "in/a.png"),
        ("./in/b.png", "in/B.PNG"),
        ("in/gåsefod.png", f"in/{nfd}.png"),
        ("in/  blank.png", "in/  blank.png"),
        (f"{tmp_path}/in/../c.png", "c.png"),
        ("d.jpg", "d.jpg.jpg"),
        ("e", "deep/er/e.png"),
    ]
    rows = "".join(f'"{cell}",class {n}\n' for n, (cell, _) in enumerate(cells))
    listing = listed(table(tmp_path, "path,label\n" + rows))
    assert classes(listing) == {file: f"class {n}" for n, (_, file) in enumerate(cells)}
    assert (listing.skipped, listing.notices) == ([], [])


def test_paths_that_name_no_file_say_why(tmp_path: Path) -> None:
    photos(tmp_path, "set/a.png", "set/b.png", "set/b.jpg")
    photos(tmp_path.parent, "outside.png")
    (tmp_path / "set" / "note.txt").write_text("x")
    (tmp_path / "set" / "folder.png").mkdir()
    rows = {
        "../outside.png": "outside the folder of the dataset",
        "set/../../outside.png": "outside the folder of the dataset",
        f"{tmp_path.parent}/outside.png": "outside the folder of the dataset",
        "C:\\photos\\a.png": "outside the folder of the dataset",
        "https://example.org/a.png": "a URL: fetch the picture, and name its file",
        "set/note.txt": "a text file, not an image",
        "set/folder.png": "there is no such file",
        "set/a.tif": "there is no such file (did you mean 'set/a.png')",
        "b": "several files could be meant ('set/b.jpg', 'set/b.png')",
        "x" * 5000: "there is no such file",
        "a\0b": "there is no such file",
    }
    lines = "".join(json.dumps({"path": cell, "label": "bee"}) + "\n" for cell in (*rows, "", "set/a.png"))
    listing = listed(table(tmp_path, lines, "labels.jsonl"))
    assert classes(listing) == {"set/a.png": "bee"}
    assert [skipped.reason for skipped in listing.skipped] == [*rows.values(), "no file is named"]
    assert listing.skipped[-1].path == "labels.jsonl line 12"


def test_only_the_first_missing_files_are_looked_for(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    path = table(tmp_path, "path,label\na.png,bee\n" + "".join(f"{n}/a.tif,bee\n" for n in range(200)))
    assert len({skipped.reason for skipped in listed(path).skipped}) == 2


def test_a_file_that_is_listed_again_counts_once_if_the_labels_agree(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png", "c.png")
    rows = "a.png,bee,train\n./a.png,bee,\nb.png,bee,\nB.png,wasp,\nc.png,bee,test\nc.png,bee,test\n"
    listing = listed(table(tmp_path, "path,label,split\n" + rows))
    assert [(e.file, e.split) for e in listing.entries] == [("a.png", "train"), ("c.png", "test")]
    assert [(s.path, s.reason) for s in listing.skipped] == [
        ("a.png (labels.csv line 3)", "listed twice, for train and for any split"),
        ("b.png", "listed under different labels: 'bee', 'wasp'"),
        ("b.png (labels.csv line 5)", "listed under different labels: 'bee', 'wasp'"),
        ("c.png (labels.csv line 7)", "listed twice"),
    ]


def test_odd_splits_leave_a_row_out_but_a_column_of_something_else_does_not(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    some = listed(table(tmp_path, "path,label,set\na.png,bee,Dev\nb.png,bee,2\n"))
    assert [(e.file, e.split) for e in some.entries] == [("a.png", "val")]
    assert some.skipped == [Skipped("b.png", "'2' is no split (train, val, test)")]
    none = listed(table(tmp_path, "path,label,set\na.png,bee,1\nb.png,bee,2\n"))
    assert [(e.split, e.details) for e in none.entries] == [(None, {"set": "1"}), (None, {"set": "2"})]


def test_a_row_with_too_many_cells_is_not_believed(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    listing = listed(table(tmp_path, "label,path\nbee,a.png,,\nbeet, red,b.png\n"))
    assert classes(listing) == {"a.png": "bee"}
    assert len(listing.skipped) == 1


def test_labels_are_kept_whatever_they_hold(tmp_path: Path) -> None:
    labels = [
        "../../etc",
        "a, b\nc",
        "🌼",
        "<script>alert(1)</script>",
        "x" * 500,
        unicodedata.normalize("NFD", "å"),
    ]
    photos(tmp_path, *(f"{n}.png" for n in range(len(labels))))
    lines = "".join(json.dumps({"path": f"{n}.png", "label": label}) + "\n" for n, label in enumerate(labels))
    before = sorted(tmp_path.rglob("*"))
    listing = listed(table(tmp_path, lines, "labels.jsonl"))
    assert list(classes(listing).values()) == ["../../etc", "a, b c", "🌼", *labels[3:5], "å"]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "labels.jsonl"])


def test_files_that_no_row_names_are_counted(tmp_path: Path) -> None:
    photos(tmp_path, *(f"{n}.png" for n in range(6)))
    (notice,) = listed(table(tmp_path, "path,label\n0.png,bee\n1.png,\n")).notices
    assert (notice.code, notice.why) == ("files-unnamed", "'2.png', '3.png', '4.png', ...")
    assert notice.message.startswith("4 files")


def test_numbers_for_classes_are_pointed_out(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    rows = "path,label,class_id,species\na.png,0,7,bee\nb.png,1,8,wasp\n"
    (notice,) = listed(table(tmp_path, rows)).notices
    assert notice.code == "labels-are-numbers"
    assert "'species'" in notice.hint
    assert listed(tmp_path / "labels.csv", label_col="species").notices == []


def test_the_root_may_lie_elsewhere(tmp_path: Path) -> None:
    photos(tmp_path / "photos", "a.png")
    (tmp_path / "tables").mkdir()
    path = table(tmp_path / "tables", "path,label\na.png,bee\n")
    listing = listed(path, root=str(tmp_path / "photos"))
    assert (listing.root, classes(listing)) == (tmp_path / "photos", {"a.png": "bee"})
    with pytest.raises(DatasetError) as caught:
        listed(path, root=str(tmp_path / "gone"))
    assert caught.value.code == "dataset-root"


PLACES = {
    "beside it": ("meta/labels.csv", "photos", "{}.png"),
    "above it": ("meta/labels.csv", ".", "photos/{}.png"),
    "beside what is above it": ("meta/old/labels.csv", "photos", "{}.png"),
    "up and down again": ("meta/labels.csv", "photos", "../photos/{}.png"),
    "elsewhere": ("meta/labels.csv", "photos", "{photos}/{}.png"),
}


@pytest.mark.parametrize("where", PLACES)
def test_paths_that_lead_nowhere_are_told_where_they_lead_to(tmp_path: Path, where: str) -> None:
    place, root, form = PLACES[where]
    photos(tmp_path / "photos", *(f"{n}.png" for n in range(4)))
    (tmp_path / place).parent.mkdir(parents=True)
    rows = "".join(form.format(n, photos=tmp_path / "photos") + ",bee\n" for n in range(4))
    path = table(tmp_path, "path,label\n" + rows, place)
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert (caught.value.code, caught.value.where) == ("table-paths", str(path))
    assert f"--root {tmp_path / root}" in caught.value.hint
    assert len(listed(path, root=str(tmp_path / root)).entries) == 4


def test_paths_that_lead_nowhere_are_told_of_a_column_that_leads_somewhere(tmp_path: Path) -> None:
    photos(tmp_path, *(f"{n}.png" for n in range(4)))
    path = table(tmp_path, "path,label,photo file\n" + "".join(f"old/{n},bee,{n}.png\n" for n in range(4)))
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert caught.value.code == "table-paths"
    assert "--path-col 'photo file'" in caught.value.hint
    assert len(listed(path, path_col="photo file").entries) == 4


def test_paths_that_lead_nowhere_and_nobody_knows_where(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    with pytest.raises(DatasetError) as caught:
        listed(table(tmp_path, "path,label\nx.png,bee\n"))
    assert "--root" in caught.value.hint
    assert "--path-col" in caught.value.hint


def test_many_paths_that_lead_nowhere_are_a_warning(tmp_path: Path) -> None:
    photos(tmp_path / "a", "0.png", "1.png")
    photos(tmp_path / "b", *(f"{n}.png" for n in range(2, 9)))
    path = table(tmp_path / "a", "path,label\n" + "".join(f"{n}.png,bee\n" for n in range(9)))
    (notice,) = listed(path).notices
    assert notice.code == "table-paths"
    assert "only 2 of the 9" in notice.message
    assert f"--root {tmp_path / 'b'}" in notice.hint


def test_a_folder_with_one_table_and_one_folder_of_images_is_a_table(tmp_path: Path) -> None:
    photos(tmp_path, "images/a.png", "images/b.png")
    table(tmp_path, "image;label\na.png;bee\nb;wasp\n")
    table(tmp_path, "month,rain\n1,20\n", "weather.csv")
    assert classes(listed(tmp_path)) == {"images/a.png": "bee", "images/b.png": "wasp"}


def test_class_folders_win_over_a_table_beside_them(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 2, "wasp": 2})
    table(tmp_path, "file;label\n0.png;bee\n", "labels_old.csv")
    assert {e.class_name for e in listed(tmp_path, "classes").entries} == {"bee", "wasp"}


def test_the_only_table_is_taken_with_the_columns_that_are_named(tmp_path: Path) -> None:
    photos(tmp_path, "images/a.png")
    table(tmp_path, "bild,art\na.png,Biene\n")
    assert classes(listed(tmp_path, path_col="bild", label_col="art")) == {"images/a.png": "Biene"}
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert caught.value.code == "table-columns"


def test_of_several_tables_the_one_that_names_files_is_taken(tmp_path: Path) -> None:
    photos(tmp_path, "images/a.png")
    table(tmp_path, "id,label\na,bee\n", "train.csv")
    table(tmp_path, "id,label\nz,bee\n", "sample_submission.csv")
    assert classes(listed(tmp_path)) == {"images/a.png": "bee"}
    table(tmp_path, "id,label\na,wasp\n", "other.csv")
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert caught.value.code == "dataset-layout"


def test_a_folder_reached_by_a_second_link_is_one_folder(tmp_path: Path) -> None:
    photos(tmp_path, "images/a.png")
    (tmp_path / "link").symlink_to("images", target_is_directory=True)
    listing = listed(table(tmp_path, "path,label\nlink/a.png,bee\n"))
    assert classes(listing) == {"images/a.png": "bee"}


def test_a_table_is_read_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = photos(tmp_path / "Schädlinge 2026 (neu)", "a b.png")
    path = table(folder, "path,label\na b.png,bee\n")
    folder.chmod(0o500)
    try:
        assert classes(listed(path)) == {"a b.png": "bee"}
    finally:
        folder.chmod(0o700)


_CELL = st.one_of(
    st.sampled_from(
        ["a.png", "A.PNG", "./sub/b.png", "sub\\b", "../secret.png", "/etc/passwd", "sub", ".", "..", "~", "",
         "bee", "train", "http://x/y.png", 'a"b', "a,b", "a;b\tc", "x\ny", "å", "a\u030a", "🌼", "\x00", "\u2028"]
    ),
    st.text(max_size=6),
)  # fmt: skip


_HEAD = st.sampled_from([["path", "label", "split"], ["split", "path", "label"]]).flatmap(
    lambda names: st.lists(st.sampled_from(["group", "note", "path", "", "id"]), max_size=3).map(
        names.__add__
    )
)


_ROW = st.one_of(
    st.lists(_CELL, max_size=7),
    st.tuples(_CELL, _CELL, st.sampled_from(["train", "Valid", "", "fold 1"])).map(list),
)


@settings(deadline=None, max_examples=100, database=None, suppress_health_check=list(HealthCheck))
@given(
    head=st.one_of(_HEAD, st.lists(_CELL, max_size=6)),
    rows=st.lists(_ROW, max_size=12),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from(["all", "needed", "never"]),
    end=st.sampled_from(["\n", "\r\n"]),
    doubled=st.booleans(),
)
def test_no_table_breaks_it(
    tmp_path_factory: pytest.TempPathFactory,
    head: list[str],
    rows: list[list[str]],
    delimiter: str,
    quoting: str,
    end: str,
    doubled: bool,
) -> None:
    """Every row is an image inside the root or left out, or the whole table is refused."""
    root = tmp_path_factory.getbasetemp() / "shapes" / "root"
    if not root.exists():
        photos(root, "a.png", "sub/b.png", "å.png")
        photos(root.parent, "secret.png")

    def written(cell: str) -> str:
        if quoting == "all" or (quoting == "needed" and set(cell) & set(',;\t"\n\r')):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    lines = [delimiter.join(map(written, cells)) for cells in [head, *rows, *(rows if doubled else [])]]
    path = table(root, end.join(lines).encode("utf-8", "replace").decode(), "shape.csv")
    try:
        listing = table_layout.read(Source(str(path), path))
    except DatasetError:
        return
    for entry in listing.entries:
        assert os.path.normpath(entry.file) == entry.file
        assert (root / entry.file).resolve().is_relative_to(root)
        assert entry.class_name
        assert len(entry.class_name.splitlines()) == 1
    assert max(Counter(one.path for one in (*listing.entries, *listing.skipped)).values(), default=0) <= 1
    if quoting != "never":
        assert len(listing.entries) + len(listing.skipped) == sum(map(bool, lines[1:]))
