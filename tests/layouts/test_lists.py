from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.layouts import papers
from tests.layouts.unpacked import WITH_LABELS, refused, unpacked

LISTS = [
    ("cub_200_2011", "CUB_200_2011/images.txt"),
    ("cub_200_2011", "CUB_200_2011/image_class_labels.txt"),
    ("cub_200_2011", "CUB_200_2011/train_test_split.txt"),
    ("cub_200_2011", "CUB_200_2011/classes.txt"),
    ("stanford_dogs", "train_list.mat"),
    ("stanford_dogs", "test_list.mat"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/variants.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_train.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_val.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
    ("flowers_102", "imagelabels.mat"),
    ("flowers_102", "setid.mat"),
    ("oxford_iiit_pet", "annotations/trainval.txt"),
    ("oxford_iiit_pet", "annotations/test.txt"),
    ("stanford_cars", "devkit/cars_meta.mat"),
    ("stanford_cars", "devkit/cars_train_annos.mat"),
    ("stanford_cars", WITH_LABELS),
]


@pytest.mark.parametrize(("name", "file"), LISTS)
def test_a_list_that_is_missing_is_asked_for(tmp_path: Path, name: str, file: str) -> None:
    place = unpacked(name, tmp_path)
    (place / file).unlink()
    error = refused(place)
    assert (error.code, Path(file).name in error.message) == ("list-missing", True)
    assert error.where
    assert error.why
    assert "download" in error.hint or "unpack" in error.hint


@pytest.mark.parametrize(("name", "file"), LISTS)
def test_a_list_that_is_damaged_is_no_crash(tmp_path: Path, name: str, file: str) -> None:
    place = unpacked(name, tmp_path)
    raw = (place / file).read_bytes()
    (place / file).write_bytes(raw[:-4] if file.endswith(".mat") else raw + b"caf\xe9 1 1 1\n")
    error = refused(place, name)
    assert error.code == ("list-unreadable" if file.endswith(".mat") else "csv-encoding")
    assert str(place / file) in (error.where or "")


@pytest.mark.parametrize("label", [0, 3, 197])
@pytest.mark.parametrize("name", ["cub_200_2011", "stanford_cars"])
def test_a_label_out_of_range_is_refused(tmp_path: Path, name: str, label: int) -> None:
    place = unpacked(name, tmp_path)
    path = place / "CUB_200_2011" / "image_class_labels.txt"
    if name == "cub_200_2011":
        path.write_text(path.read_text().replace("6 2", f"6 {label}"))
    else:
        fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
        rows = [(1, 1, 9, 9, 1, "00001.jpg"), (1, 1, 9, 9, label, "00002.jpg")]
        papers.mat(place / WITH_LABELS, {"annotations": papers.structs(fields, rows)})
    error = refused(place)
    assert (error.code, f"label {label} " in error.message) == ("label-range", True)


def test_a_file_of_matlab_7_3_or_without_its_variable_is_refused(tmp_path: Path) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "setid.mat", {"trnid": np.array([[1]], np.uint16)})
    assert refused(place).code == "list-variable"
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (place / "setid.mat").write_bytes(head + b"\x89HDF\r\n\x1a\n")
    error = refused(place)
    assert (error.code, "7.3" in (error.why or "")) == ("list-unreadable", True)
