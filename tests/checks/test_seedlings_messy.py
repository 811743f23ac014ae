"""A folder as they are found in the wild: every fault of tests/data/seedlings-messy/manifest.csv, row by row."""

from __future__ import annotations

import csv
import re
import sys
import tarfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from fgvr_kit import plugins
from fgvr_kit.pipeline.check import load_subject
from fgvr_kit.pipeline.init import init
from fgvr_kit.types import Finding
from fgvr_kit.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its names cannot be written there")

DATA = Path(__file__).parents[1] / "data" / "seedlings-messy"
with (DATA / "manifest.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))

OTHER_WORDS = {
    "": set[str](),
    "broken": {"corrupt"},
    "size-tiny": {"corrupt"},  # too small to be used at all
    "bit-rot": {"damaged"},
    "size-aspect": {"aspect", "tiny"},  # 600x16
    "no-class": {"stray"},
    "hidden-folder": {"stray"},
    "class-name-variant": set[str](),  # told of the two classes, see below
    "dup-exact-in-class": set[str](),  # told in pairs, see below
    "dup-exact-cross-class": set[str](),
    "dup-near-in-class": set[str](),
    "dup-near-cross-class": set[str](),
    "mislabelled": set[str](),  # needs CLIP: check "labels"
}
"""Defect -> the words for it here, where they are not the manifest's own."""

TRUE_AS_WELL = {
    "Common Chickweed/cffd34ae2.gif": {"mode-P"},  # a GIF has a palette
    "Common Chickweed/growth.gif": {"mode-P", "rare-format"},
    "Ager-rævehale (Black-grass)/48141d6a7.jpg": {"same-name"},  # its copy in the other class kept the name
    "Loose Silky-bent/48141d6a7.jpg": {"same-name"},
}
"""What is right in the eyes of a sensible person, though the manifest has one defect a row."""

PAIRS = {
    "dup-exact-in-class": "duplicate",
    "dup-near-in-class": "near-duplicate",
    "dup-exact-cross-class": "conflict",
    "dup-near-cross-class": "conflict",
}


@dataclass(frozen=True)
class Messy:
    findings: list[Finding]
    told: dict[str, str]

    def of_kind(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

    def about(self, path: str, kind: str) -> Finding:
        [finding] = [f for f in self.of_kind(kind) if f.path == path]
        return finding


@pytest.fixture(scope="session")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Messy:
    """What the checks that need no model find in it."""
    root = tmp_path_factory.mktemp("messy")
    with tarfile.open(DATA / "seedlings-messy.tar.gz") as archive:
        archive.extractall(root, filter="data")
    init(root / "seedlings-messy" / "data", root / "work")
    with Workspace(root / "work") as workspace:
        subject = load_subject(workspace)
        verdicts = {
            name: plugins.load("checks", name).run(subject)
            for name in ("files", "duplicates", "classes", "power")
        }
    return Messy(
        [finding for verdict in verdicts.values() for finding in verdict.findings],
        {name: verdict.told for name, verdict in verdicts.items()},
    )


def word_of(finding: Finding) -> str:
    """Odd and suspicious files are called by the word their message begins with."""
    return finding.message.partition(":")[0] if finding.kind in ("odd-file", "suspicious") else finding.kind


def test_every_row_is_called_what_the_manifest_calls_it_and_nothing_else(messy: Messy) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for finding in messy.findings:
        if finding.path and finding.kind not in PAIRS.values():
            found[finding.path].add(word_of(finding))
    expected = {
        row["path"]: OTHER_WORDS.get(row["defect"], {row["defect"]}) | TRUE_AS_WELL.get(row["path"], set())
        for row in ROWS
    }
    assert len(expected) == 564
    assert {path: found.pop(path, set()) for path in expected} == expected
    assert not found


def partner_of(row: dict[str, str]) -> set[str]:
    """What the manifest's note says it is a copy of; of natural copies the others of the class."""
    folder, note = row["path"].rpartition("/")[0], row["note"]
    if "natural" in note:
        same = [r["path"] for r in ROWS if r["defect"] == row["defect"] and "natural" in r["note"]]
        return {path for path in same if path.startswith(f"{folder}/") and path != row["path"]}
    named = re.search(r"(?: of |same bytes as )([^;]+)", note)
    assert named, note
    return {named[1] if "/" in named[1] else f"{folder}/{named[1]}"}


@pytest.mark.parametrize("defect", PAIRS)
def test_every_copy_is_told_with_its_partner(messy: Messy, defect: str) -> None:
    pairs = [{f.path, f.other} for f in messy.of_kind(PAIRS[defect])]
    rows = [row for row in ROWS if row["defect"] == defect]
    assert rows
    for row in rows:
        partners = partner_of(row)
        assert any(pair == {row["path"], partner} for pair in pairs for partner in partners), row


def test_nothing_else_is_called_a_copy(messy: Messy) -> None:
    for defects, kind in (
        ({"dup-exact-in-class"}, "duplicate"),
        ({"dup-near-in-class"}, "near-duplicate"),
        ({"dup-exact-cross-class", "dup-near-cross-class"}, "conflict"),
    ):
        copies = {row["path"] for row in ROWS if row["defect"] in defects}
        assert all(copies & {f.path, f.other} for f in messy.of_kind(kind)), kind
    # Three wheat pictures and two beet ones are the same, the other copies have one original each.
    n = {kind: len(messy.of_kind(kind)) for kind in ("duplicate", "near-duplicate", "conflict", "leak")}
    assert n == {"duplicate": 6, "near-duplicate": 4, "conflict": 6, "leak": 0}


def test_the_class_in_two_spellings_is_found(messy: Messy) -> None:
    variants = {row["path"].partition("/")[0] for row in ROWS if row["defect"] == "class-name-variant"}
    [finding] = messy.of_kind("class-spellings")
    assert variants == {"common_wheat"}
    assert "'common_wheat' (9 images)" in finding.message
    assert "'Common wheat'" in finding.message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Ager-rævehale (Black-grass)/0f2a9d3be.png", "Git LFS pointer"),
        ("Charlock/8c9c6b343.jpg", "cut off"),
        ("Fat Hen (Hvidmelet ga\u030asefod)/chenopodium-album-2.jpg", "web page"),
        ("Scentless Mayweed/IMG_3001.jpg", "empty"),
        ("Sugar beet, Sukkerroe/0f17ed2f7.png", "cut off"),
        ("Cleavers/pixel.png", "only 1x1 pixels"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_the_right_reason(messy: Messy, path: str, reason: str) -> None:
    assert reason in messy.about(path, "corrupt").message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("IMG_2041.jpg", "outside any class folder"),
        ("Maize/.ipynb_checkpoints/fbed08a0e-checkpoint.jpg", "hidden or system folder"),
        ("__MACOSX/Charlock/._IMG_0001.JPG", "hidden or system folder"),
        ("Common Chickweed/IMG_0099.jpg.part", "unfinished download"),
    ],
)
def test_what_is_no_image_is_left_out_with_the_right_reason(messy: Messy, path: str, reason: str) -> None:
    assert reason in messy.about(path, "stray").message


def test_rot_is_told_in_plain_words(messy: Messy) -> None:
    assert "58 bytes are left over" in messy.about("Cleavers/8c73a6f46.jpg", "damaged").message


def test_wrong_labels_without_a_copy_are_not_claimed_here(messy: Messy) -> None:
    """Only a model that looks at the pictures can tell: check "labels", where CLIP is installed."""
    mislabelled = {row["path"] for row in ROWS if row["defect"] == "mislabelled"}
    assert len(mislabelled) == 4
    assert not mislabelled & {path for f in messy.findings for path in (f.path, f.other)}


def test_what_is_told_of_the_whole(messy: Messy) -> None:
    assert messy.told["files"] == "546 readable, 6 cannot be used, 12 not images; 1 damaged, 2 suspicious"
    assert messy.told["classes"].startswith("13 classes of 9 to 64 images each")
    whole = [(f.kind, f.severity) for f in messy.findings if f.path is None]
    assert whole == [
        ("small-class", "warning"),  # common_wheat, 9 images
        ("class-spellings", "warning"),
        ("small-test", "warning"),  # 110 images show 12 points
    ]
