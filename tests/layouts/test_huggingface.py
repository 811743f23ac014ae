"""Everything here is read by the real `datasets` library from local folders; nothing is downloaded."""

from __future__ import annotations

import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError, MissingExtra, SettingsError
from fgvr_kit.layouts import download, hub
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.layouts.download import Wanted, wanted
from fgvr_kit.settings import DatasetSettings
from tests.photographs import class_folders, picture

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and a cache of its own."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def jpeg(seed: str) -> bytes:
    content = io.BytesIO()
    picture(seed).save(content, "JPEG")
    return content.getvalue()


def parquet(folder: Path, **splits: dict[str, list[Any]]) -> Path:
    """folder/data/<split>-0.parquet, with ClassLabel and Image columns where the names say so."""
    (folder / "data").mkdir(parents=True)
    for split, columns in splits.items():
        features = datasets.Dataset.from_dict(columns).features.copy()
        for name in columns:
            if name in ("image", "mask"):
                features[name] = datasets.Image()
            if name in ("label", "coarse_label"):
                features[name] = datasets.ClassLabel(names=["bee", "wasp"])
        made = datasets.Dataset.from_dict(columns, features=features)
        made.to_parquet(folder / "data" / f"{split}-0.parquet")
    return folder


def listed(folder: Path | str, place: Path, **chosen: str) -> Listing:
    source = Source(f"hf:{folder}", place, DatasetSettings(**chosen))  # type: ignore[arg-type]
    found = find_layout(source)
    assert found.name == "huggingface"
    listing: Listing = found.module.read(source)
    return listing


@pytest.fixture
def pests(tmp_path: Path) -> Path:
    def images(split: str, n: int) -> list[Any]:
        return [{"bytes": jpeg(f"{split}{i}"), "path": f"{split} {i}.jpg"} for i in range(n)]

    return parquet(
        tmp_path / "pests",
        train={"image": images("train", 3), "label": [0, 1, 0], "observer": ["Ida", "Bo", None], "at": [[1], [], [2]]},
        validation={"image": images("val", 1), "label": [1], "observer": ["Bo"], "at": [[3]]},
        test={"image": images("test", 2), "label": [1, -1], "observer": ["Bo", ""], "at": [[], []]},
    )  # fmt: skip


def test_rows_are_kept_with_their_own_bytes_names_and_columns(pests: Path, tmp_path: Path) -> None:
    listing = listed(pests, tmp_path / "place")
    assert [(e.file, e.class_name, e.split, dict(e.details)) for e in listing.entries] == [
        ("train/000000.jpg", "bee", "train", {"observer": "Ida", "at": "[1]"}),
        ("train/000001.jpg", "wasp", "train", {"observer": "Bo", "at": "[]"}),
        ("train/000002.jpg", "bee", "train", {"at": "[2]"}),
        ("validation/000000.jpg", "wasp", "val", {"observer": "Bo", "at": "[3]"}),
        ("test/000000.jpg", "wasp", "test", {"observer": "Bo", "at": "[]"}),
    ]
    assert [(s.path, s.reason) for s in listing.skipped] == [("test/000001.jpg", "it has no label")]
    assert (tmp_path / "place/train/000001.jpg").read_bytes() == jpeg("train1")
    images, skipped = scan(listing.root, listing.entries)
    assert (len(images), skipped) == (5, [])
    told = json.loads((tmp_path / "place/source.json").read_text())
    assert (told["name"], told["rows"], told["finished"]) == (
        str(pests), {"train": 3, "validation": 1, "test": 2}, True
    )  # fmt: skip
    assert told["features"]["label"]["names"] == ["bee", "wasp"]


def test_a_finished_copy_is_read_without_asking_again(
    pests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = listed(pests, tmp_path / "place")
    monkeypatch.setattr(hub, "loaded", lambda *_: pytest.fail("it was loaded again"))
    assert listed(pests, tmp_path / "place").entries == first.entries
    pests.rename(tmp_path / "elsewhere")  # the workspace has all it needs
    assert listed(pests, tmp_path / "place").entries == first.entries


def test_a_copy_of_a_hub_dataset_needs_no_network(
    pests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = download.loaded(Wanted(str(pests)), "")
    monkeypatch.setattr(hub, "loaded", lambda *_: found)
    monkeypatch.setattr(hub, "commit_of", lambda *_: "c0ffee")
    first = listed("org/pests@main", tmp_path / "place")
    assert json.loads((tmp_path / "place/source.json").read_text())["resolved"] == "c0ffee"
    monkeypatch.setattr(hub, "loaded", lambda *_: pytest.fail("the network was asked"))
    assert listed("org/pests@main", tmp_path / "place").entries == first.entries
    assert listed("org/pests@c0ffee", tmp_path / "place").entries == first.entries
    with pytest.raises(pytest.fail.Exception):
        listed("org/pests@v2", tmp_path / "place")


def test_a_killed_fetch_goes_on_where_it_stopped(
    pests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    real = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if path.name == "000001.jpg.part":
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            listed(pests, place)
    assert sorted(p.name for p in place.rglob("*") if p.is_file()) == [
        "000000.jpg", "000001.jpg.part", "rows.jsonl.part", "source.json"
    ]  # fmt: skip
    before = (place / "train/000000.jpg").stat().st_mtime_ns
    assert len(listed(pests, place).entries) == 5
    assert (place / "train/000000.jpg").stat().st_mtime_ns == before
    assert not list(place.rglob("*.part"))


def test_a_folder_that_changed_is_copied_anew(pests: Path, tmp_path: Path) -> None:
    listed(pests, tmp_path / "place")
    for path in pests.rglob("*.parquet"):
        path.unlink()
    (pests / "data").rmdir()
    parquet(pests, train={"image": [{"bytes": jpeg("new"), "path": None}], "label": [1]})
    (entry,) = listed(pests, tmp_path / "place").entries
    assert (entry.class_name, (tmp_path / "place" / entry.file).read_bytes()) == ("wasp", jpeg("new"))


def test_a_local_imagefolder_is_read_by_the_library(tmp_path: Path) -> None:
    class_folders(tmp_path / "in", {"train/bee": 2, "train/wasp": 1, "test/bee": 1})
    listing = listed(tmp_path / "in", tmp_path / "place")
    assert sorted((e.class_name, e.split) for e in listing.entries) == [
        ("bee", "test"), ("bee", "train"), ("bee", "train"), ("wasp", "train")
    ]  # fmt: skip
    assert {Path(e.file).suffix for e in listing.entries} == {".png"}


def test_what_was_saved_to_disk_is_read(pests: Path, tmp_path: Path) -> None:
    datasets.load_dataset(str(pests)).save_to_disk(tmp_path / "saved")
    assert len(listed(tmp_path / "saved", tmp_path / "place").entries) == 5


def test_rows_without_a_picture_and_files_of_any_kind_are_kept(tmp_path: Path) -> None:
    folder = parquet(
        tmp_path / "odd",
        test={
            "image": [None, {"bytes": b"nonsense", "path": "x.exe"}, {"bytes": jpeg("a"), "path": "../../a"}],
            "label": [0, 0, 1],
        },
    )  # fmt: skip
    listing = listed(folder, tmp_path / "place")
    assert [(e.file, e.split) for e in listing.entries] == [  # a test split alone is no split
        ("test/000001.img", None),
        ("test/000002.jpg", None),
    ]
    assert [(s.path, s.reason) for s in listing.skipped] == [("rows.jsonl line 1", "no file is named")]
    images, (broken,) = scan(listing.root, listing.entries)
    assert ([i.class_name for i in images], broken.reason) == (["wasp"], "not an image")


def test_labels_of_text_are_found_by_their_name(tmp_path: Path) -> None:
    columns = {"image": [{"bytes": jpeg("a"), "path": None}], "species": ["Apis"], "genus": ["a"]}
    folder = parquet(tmp_path / "text", train=columns)
    assert [e.class_name for e in listed(folder, tmp_path / "place").entries] == ["Apis"]
    assert [e.class_name for e in listed(folder, tmp_path / "place", label_col="genus").entries] == ["a"]
    with pytest.raises(SettingsError) as caught:
        listed(folder, tmp_path / "place", label_col="genius")
    assert caught.value.code == "table-column"


def test_several_label_columns_are_named(tmp_path: Path) -> None:
    columns = {"image": [{"bytes": jpeg("a"), "path": None}], "coarse_label": [0], "label": [1]}
    folder = parquet(tmp_path / "two", train=columns)
    with pytest.raises(DatasetError) as caught:
        listed(folder, tmp_path / "place")
    assert caught.value.code == "hub-several-labels"
    (entry,) = listed(folder, tmp_path / "place", label_col="label").entries
    assert (entry.class_name, entry.details) == ("wasp", {"coarse_label": "bee"})


def test_of_several_image_columns_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    one = [{"bytes": jpeg("a"), "path": None}]
    folder = parquet(
        tmp_path / "masks", train={"mask": [{"bytes": jpeg("m"), "path": None}], "image": one, "label": [0]}
    )
    listed(folder, tmp_path / "place")
    assert (tmp_path / "place/train/000000.jpg").read_bytes() == jpeg("a")
    listed(folder, tmp_path / "place", path_col="mask")
    assert (tmp_path / "place/train/000000.jpg").read_bytes() == jpeg("m")
    for wrong, code in (("masc", "table-column"), ("label", "hub-no-images")):
        with pytest.raises((DatasetError, SettingsError)) as caught:
            listed(folder, tmp_path / "place", path_col=wrong)
        assert caught.value.code == code


def test_a_dataset_without_pictures_is_refused(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "texts", train={"text": ["a"], "label": [0]})
    with pytest.raises(DatasetError) as caught:
        listed(folder, tmp_path / "place")
    assert caught.value.code == "hub-no-images"
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(
    ("name", "code"), [("org/pests", "hub-unreachable"), ("/no/such/folder", "hub-name"), ("a b", "hub-name")]
)
def test_what_cannot_be_had_is_told_with_the_next_move(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(DatasetError) as caught:
        listed(name, tmp_path / "place")
    assert caught.value.code == code
    assert caught.value.hint


def _hub_errors() -> list[tuple[Exception, str]]:
    from datasets.exceptions import DatasetNotFoundError

    return [
        (
            DatasetNotFoundError("Dataset 'org/x' doesn't exist on the Hub or cannot be accessed."),
            "hub-not-found",
        ),
        (DatasetNotFoundError("Dataset 'org/x' is a gated dataset on the Hub."), "hub-gated"),
        (ConnectionError("Couldn't reach 'org/x' on the Hub"), "hub-unreachable"),
        (
            ValueError("Config name is missing. Please pick one among the available configs: ['a', 'b']"),
            "hub-config",
        ),
        (RuntimeError("Dataset scripts are no longer supported, but found x.py"), "hub-script"),
        (OSError("disk full"), "hub-unreadable"),
    ]


@pytest.mark.parametrize(("error", "code"), _hub_errors(), ids=lambda value: str(value)[:20])
def test_errors_of_the_library_are_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(DatasetError) as caught:
        listed("org/x", tmp_path / "place")
    assert (caught.value.code, caught.value.where) == (code, "hf:org/x")
    assert not (tmp_path / "place").exists()


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path / "empty", tmp_path / "place")
    assert caught.value.code == "hub-unreadable"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:org/pests", Wanted("org/pests")),
        ("hf:pests@v1.0", Wanted("pests", "", "v1.0")),
        ("hf:org/pests:small@refs/convert/parquet", Wanted("org/pests", "small", "refs/convert/parquet")),
        ("hf:/a/folder:x", Wanted("/a/folder:x")),
    ],
)
def test_names_tell_configuration_and_revision(text: str, expected: Wanted) -> None:
    assert wanted(text) == expected


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.split(".")[0] == "datasets":
            raise ModuleNotFoundError("No module named 'datasets'", name="datasets")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", lambda name: without(name) and sys.modules[name])
    with pytest.raises(MissingExtra) as caught:
        listed("org/pests", tmp_path / "place")
    assert caught.value.hint == "pip install 'fgvr-kit[hub]'"
