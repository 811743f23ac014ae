"""init on folders that nobody would think of: it ends, or says why not; every file is accounted for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import picture

NAMES = st.one_of(
    st.sampled_from(
        ["train", "test", "Valid", "images", "bee", "Bee", "b_ee", "labels", "0", "x.jpg", "annotations"]
    ),
    st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=12
    ).filter(lambda name: name not in (".", "..")),
)
ENDINGS = st.sampled_from([".png", ".jpg", ".JPEG", "", ".txt", ".csv", ".json", ".part", ".db", ".gif"])
CONTENTS = st.one_of(
    st.integers(0, 30),  # a picture of this seed; few seeds, so that copies occur
    st.binary(max_size=40),
    st.sampled_from(["path,label\na,b\n", '{"images": []}', "file_name,label\n../x.png,bee\n"]),
)
FILES = st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES, ENDINGS, CONTENTS), max_size=25)


def put(folder: Path, files: list[tuple[list[str], str, str, int | bytes | str]]) -> set[str]:
    """Write the files; returns the paths of those that could be written."""
    written: set[str] = set()
    for parents, stem, ending, content in files:
        path = folder.joinpath(*parents, stem + ending)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, int):
                picture(content).save(path, "GIF" if ending == ".gif" else "PNG")
            elif isinstance(content, str):
                path.write_text(content)
            else:
                path.write_bytes(content)
        except OSError:  # a file where a folder should be, a name that is too long
            continue
        written.add(path.relative_to(folder).as_posix())
    return written


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=FILES)
def test_any_folder_ends_in_a_workspace_or_in_words(
    files: list[tuple[list[str], str, str, int | bytes | str]],
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, root = Path(place, "data"), Path(place, "work")
        folder.mkdir()
        written = put(folder, files)
        before = tree(folder)
        try:
            summary = init(folder, root)
        except FgvrError as error:
            summary, words = None, error
        if summary is None:
            assert words.hint
            assert not (root / "fgvr.toml").exists()
        else:
            with Workspace(root) as workspace:
                images = {image.path for image in workspace.store.scanned()}
                skipped = {file.path for file in workspace.store.skipped()}
                rows = {name for name in (*images, *skipped) if (folder / name).is_file()}
                assert rows == written or summary.done["layout"] not in (
                    "<class>/*",
                    "train|val|test/<class>/*",
                )
                assert len(workspace.class_rows()) == summary.done["classes"]
                assert {image.split for image in workspace.store.images()} <= {"train", "val", "test"}
        assert tree(folder) == before
        assert {path.name for path in Path(place).iterdir()} <= {"data", "work"}


def test_pictures_of_the_fuzz_are_pictures(tmp_path: Path) -> None:
    put(tmp_path, [(["bee"], "a", ".jpg", 3)])
    with Image.open(tmp_path / "bee" / "a.jpg") as image:
        assert image.size == (32, 24)
