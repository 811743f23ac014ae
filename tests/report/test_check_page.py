from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit import shipped
from fgvr_kit.checks.base import Verdict
from fgvr_kit.pipeline.check import check
from fgvr_kit.pipeline.init import init
from fgvr_kit.report import thumbnails as room
from fgvr_kit.report.check_page import (
    LEAST_OF_A_CLASS,
    MOST_FILES,
    MOST_OF_CLASSES,
    MOST_OF_FINDINGS,
    MOST_SHOWN,
    CheckPage,
    fair_shares,
    render_check_page,
    write_check_page,
)
from fgvr_kit.report.render import visible
from fgvr_kit.report.thumbnails import MOST_BYTES, SIZE, thumbnails
from fgvr_kit.types import Finding, ImageRef, ScannedImage, Skipped
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, photograph, picture

KINDS = {
    "leak": "on both sides",
    "conflict": "under two labels",
    "odd": "unusual",
    "corrupt": "cannot be read",
}
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Document(HTMLParser):
    """A page read strictly: every tag is closed where it should be, no attribute stands twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags[tag] += 1
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, tag: str, name: str) -> list[str]:
        return [
            attributes[name] for found, attributes in self.attributes if found == tag and name in attributes
        ]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.attributes if "id" in attributes]


def scanned(folder: Path, names: Sequence[str], split: Any = "train") -> list[ScannedImage]:
    """Pictures at these paths, and what a scan would say about them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(repr(name)).save(folder / name, "PNG")
    return [ScannedImage(name, name.split("/")[0], split, name, 32, 24, 1, 0) for name in names]


def page_of(folder: Path, images: Sequence[ScannedImage], *findings: Finding, **changes: Any) -> CheckPage:
    made = CheckPage(
        title="pests",
        folder=folder,
        images=images,
        verdicts={"files": Verdict("all is told", findings)},
        abouts={"files": "files that are odd"},
        kinds=KINDS,
        fail_on=["leak", "conflict"],
        generated=datetime(2026, 5, 1, 14, 3, tzinfo=UTC),
        versions={"fgvr-kit": "1.2.3"},
    )
    return replace(made, **changes)


def read(page: CheckPage) -> Document:
    return Document(render_check_page(page))


LEAK = Finding(
    "leak", "problem", "one picture on both sides", "bee/0.png", "wasp/1.png", hint="fgvr-kit check --regroup"
)


def test_the_page_is_one_document_that_loads_nothing(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png", "bee/1.png", "wasp/0.png", "wasp/1.png"])
    skipped = [Skipped("bee/broken.jpg", "the file is empty"), Skipped("notes.txt", "not an image")]
    odd = Finding("odd", "note", "unusual")
    document = read(
        page_of(
            tmp_path, images, LEAK, odd, skipped=skipped, set_aside=[replace(images[0], set_aside="shots")]
        )
    )

    assert not document.tags.keys() & {"script", "link", "iframe", "object", "embed", "form", "base"}
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in document.values("img", "src"))
    assert len(set(document.ids)) == len(document.ids)
    assert {href[:1] for href in document.values("a", "href")} == {"#"}
    assert {href[1:] for href in document.values("a", "href")} <= set(document.ids)
    assert not [name for _, attributes in document.attributes for name in attributes if name.startswith("on")]
    (policy,) = [v for v in document.values("meta", "content") if "default-src" in v]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "url(" not in render_check_page(page_of(tmp_path, images)).split("</style>")[0]


def test_people_who_do_not_see_it_can_read_it(tmp_path: Path) -> None:
    document = read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png", "wasp/1.png"]), LEAK))

    assert document.values("html", "lang") == ["en"]
    assert document.tags["h1"] == document.tags["main"] == 1
    assert len(document.values("img", "alt")) == document.tags["img"] == 4
    assert all(document.values("img", "alt"))
    assert all(
        name in document.ids for _, found in document.attributes if (name := found.get("aria-labelledby"))
    )
    assert (
        len(document.values("th", "scope"))
        == document.tags["th"] - len(document.values("th", "aria-hidden")) + 1
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: str) -> None:
    """WCAG 2.2: a contrast of 4.5 at least."""
    css = (shipped.folder("templates") / "documents" / "check.html").read_text(encoding="utf-8")
    palettes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = dict(re.findall(r"--(\w+): #(\w{6});", palettes[scheme == "dark"]))

    def light(name: str) -> float:
        channels = [int(found[name][i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("paper", "card"):
        for ink in ("ink", "soft", "link", "problem", "warning", "note"):
            high, low = sorted((light(ink), light(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; & </title></style>",
    "a\nb\tc",
    "🐝 Bienen­stock, gröẞe",
    "photo\u202egnp.exe",
    "café".encode("latin-1").decode("utf-8", "surrogateescape"),
)  # fmt: skip


def test_names_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    files = [f"bee/{name.replace('/', '_')}.png" for name in NASTY]
    images = [
        replace(image, class_name=name) for image, name in zip(scanned(tmp_path, files), NASTY, strict=True)
    ]
    findings = [
        Finding("leak", "problem", name, path, why=name, hint=name)
        for name, path in zip(NASTY, files, strict=True)
    ]
    skipped = [Skipped(name, name) for name in NASTY]
    plain = read(page_of(tmp_path, [replace(image, class_name="bee") for image in images]))
    document = read(
        page_of(
            tmp_path, images, *findings, Finding('"><b>', "note", "x"), title=NASTY[0], skipped=skipped,
            set_aside=[replace(images[1], path="gone", set_aside=NASTY[1])], display_names={n: n for n in NASTY},
            abouts={"files": NASTY[1]}, kinds={'"><i>': NASTY[0]}, versions={NASTY[0]: NASTY[1]},
        )
    )  # fmt: skip

    assert "script" not in document.tags
    assert document.tags["style"] == document.tags["title"] == 1
    assert not [name for _, found in document.attributes for name in found if name.startswith("on")]
    assert all(uri.startswith("data:image/jpeg") for uri in document.values("img", "src"))
    assert set(document.tags) <= {*plain.tags, "strong", "section", "ol", "figure", "figcaption", "br",
                                              "b", "em", "wbr", "details", "li", "div", "p"}  # fmt: skip
    for name in NASTY[:5]:
        assert document.text.count(" ".join(name.split())) >= 3, name
    assert "a⏎b⇥c" in document.text
    assert "photo\\u202egnp.exe" in document.text
    assert "caf\\udce9" in document.text


def test_what_cannot_be_seen_is_written_out_and_emoji_are_left_whole() -> None:
    family = "👩\u200d👩\u200d👧"
    assert visible(f"ä é 日本 {family} \u00ad") == f"ä é 日本 {family} \u00ad"
    assert visible("\x00\x1b[31m\r\u2028\u2067") == "\\u0000\\u001b[31m\\u000d\\u2028\\u2067"


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ([], "Nothing was found that speaks against numbers measured on this dataset."),
        ([Finding("odd", "note", "x")], "Nothing was found that speaks against numbers measured on this dataset."),
        ([Finding("odd", "warning", "x")], "Nothing was found that forbids believing numbers measured on this dataset; "
                                           "one kind of finding should be looked at first."),
        ([LEAK, LEAK, Finding("conflict", "problem", "x"), Finding("odd", "warning", "x")],
         "Numbers measured on this dataset cannot be believed yet : leak (2) , conflict (1) ."),
    ],
)  # fmt: skip
def test_the_verdict_is_one_sentence_on_top(tmp_path: Path, findings: list[Finding], sentence: str) -> None:
    document = read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png", "wasp/1.png"]), *findings))
    after = document.text.partition("Dataset check pests ")[2]
    assert (
        after.replace(" ,", ",").replace(" .", ".").startswith(sentence.replace(" ,", ",").replace(" .", "."))
    )


def test_a_problem_speaks_against_the_dataset_also_where_it_does_not_fail_the_check(tmp_path: Path) -> None:
    """As on the terminal: --fail-on decides the exit code, not what is true."""
    images = scanned(tmp_path, ["bee/0.png", "wasp/1.png"])
    text = read(page_of(tmp_path, images, LEAK, fail_on=["corrupt"])).text
    assert "cannot be believed yet" in text
    assert "fails the check" not in text
    assert "leak 1 problem" in text


def test_what_to_do_comes_before_the_evidence_and_what_forbids_belief_first(tmp_path: Path) -> None:
    warning = Finding("odd", "warning", "x", hint="have a look")
    text = read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png", "wasp/1.png"]), warning, LEAK)).text
    body = text.partition("odd (1) Classes")[2]  # behind the contents
    order = ["What to do", "leak 1 finding", "fgvr-kit check --regroup", "odd 1 finding", "have a look",
             "What was looked at", "files that are odd", "all is told", "fails the check",
             "one picture on both sides", "Images of each class"]  # fmt: skip
    places = [body.index(words) for words in order]
    assert places == sorted(places)


def test_every_kind_has_its_anchor_found_or_not(tmp_path: Path) -> None:
    assert set(KINDS) <= set(
        read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png", "wasp/1.png"]), LEAK)).ids
    )


def test_a_pair_stands_side_by_side_and_a_lost_file_by_name(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png", "wasp/1.png"])
    corrupt = Finding("corrupt", "warning", "bee/x.jpg cannot be used: the file is empty", "bee/x.jpg")
    skipped = [Skipped("bee/x.jpg", "the file is empty"), Skipped("bee/y.jpg", "not an image")]
    html = render_check_page(page_of(tmp_path, images, LEAK, corrupt, skipped=skipped, thumbnails=0))

    assert re.findall(r'alt="([^"]*)"', html.partition('<div class="shown">')[2].partition("</div>")[0]) == [
        "bee/0.png", "wasp/1.png",
    ]  # fmt: skip
    text = Document(html).text
    assert text.count("bee/x.jpg") == 1  # told by its finding, not once more among the files left out
    assert "bee/y.jpg not an image" in text


def test_each_picture_tells_its_class_and_side_and_its_name_once(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png"]) + scanned(tmp_path, ["wasp/1.png"], "test")
    told = replace(LEAK, message="bee/0.png is like another")
    text = read(page_of(tmp_path, images, told, thumbnails=0)).text
    assert "bee · train wasp/ 1.png wasp · test bee/0.png is like another" in text


def test_notes_stand_where_the_findings_stand(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png", "wasp/1.png"])
    verdicts = {"files": Verdict("told", [LEAK], notes=("untrained toy model",)), "power": Verdict("fine")}
    text = read(page_of(tmp_path, images, verdicts=verdicts)).text
    assert text.count("untrained toy model") == 2
    assert "Rests on: untrained toy model" in text


# --- how much is shown ----------------------------------------------------------------------------------------


def boxes(folder: Path, names: Sequence[str], n: int) -> list[ScannedImage]:
    """n images of each class that cost nothing to make: parts of one noisy picture."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "all.png")
    return [
        ScannedImage(
            f"all.png#{name}-{i}", name, "train" if i % 4 else "test", f"{name}{i}", 200, 150, 1, 0,
            box=(k % 600, i % 400, k % 600 + 200, i % 400 + 150),
        )
        for k, name in enumerate(names)
        for i in range(n)
    ]  # fmt: skip


def test_a_hundred_classes_with_many_findings_stay_below_ten_megabytes(tmp_path: Path) -> None:
    """Of noise, which no JPEG can shrink; a thumbnail of it is as large as one may be."""
    images = boxes(tmp_path, [f"class {n}" for n in range(100)], 13)
    findings = [
        Finding(kind, "warning", "they are alike", a.path, b.path)
        for kind in KINDS
        for a, b in zip(images, images[300:], strict=False)
    ]
    size = write_check_page(tmp_path / "check.html", page_of(tmp_path, images, *findings))

    document = Document((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert document.tags["img"] == MOST_OF_CLASSES + MOST_OF_FINDINGS
    assert size == (tmp_path / "check.html").stat().st_size
    assert size < 10_000_000
    assert document.text.count(f"{len(findings) // 4 - MOST_SHOWN} more are counted and not shown here") == 4
    assert document.text.count("of these are shown without pictures") == 4


def test_ten_thousand_classes_are_all_counted_and_some_are_shown(tmp_path: Path) -> None:
    images = boxes(tmp_path, [f"class {n}" for n in range(10_000)], 1)
    size = write_check_page(tmp_path / "check.html", page_of(tmp_path, images))

    document = Document((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert size < 10_000_000
    assert document.tags["img"] == MOST_OF_CLASSES // LEAST_OF_A_CLASS
    assert "The first 300 of 10,000 classes are shown" in document.text
    assert document.text.count("class 9999 ") == 1


def test_the_pictures_of_a_class_are_the_same_in_every_run_and_order(tmp_path: Path) -> None:
    images = scanned(tmp_path, [f"bee/{n}.png" for n in range(20)])
    first = render_check_page(page_of(tmp_path, images))
    assert first == render_check_page(page_of(tmp_path, list(reversed(images))))
    shown = Document(first).values("img", "title")
    assert len(shown) == 12
    assert shown != [f"bee/{n}.png" for n in range(12)]
    fewer = Document(render_check_page(page_of(tmp_path, images, thumbnails=5))).values("img", "title")
    assert set(fewer) < set(shown)


def test_no_thumbnails_are_made_where_none_are_wanted(tmp_path: Path) -> None:
    assert (
        read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png", "wasp/1.png"]), thumbnails=0)).tags["img"] == 0
    )


def test_many_files_left_out_are_counted(tmp_path: Path) -> None:
    skipped = [Skipped(f"{n}.txt", "not an image") for n in range(MOST_FILES + 7)]
    text = read(page_of(tmp_path, scanned(tmp_path, ["bee/0.png"]), skipped=skipped)).text
    assert "7 more are counted and not named here" in text


@pytest.mark.parametrize(
    ("wanted", "most", "shares"),
    [
        ([5, 5], 20, [5, 5]),
        ([100, 100], 20, [10, 10]),
        ([2, 100, 100], 22, [2, 10, 10]),
        ([], 5, []),
        ([0, 9], 5, [0, 5]),
    ],
)
def test_room_is_shared_fairly(wanted: list[int], most: int, shares: list[int]) -> None:
    assert fair_shares(wanted, most) == shares


def test_classes_are_sorted_as_people_sort(tmp_path: Path) -> None:
    images = scanned(tmp_path, [f"{name}/0.png" for name in ("10 cent", "2 cent", "wasp", "Bee")])
    assert read(page_of(tmp_path, images)).values("img", "title") == [
        "2 cent/0.png",
        "10 cent/0.png",
        "Bee/0.png",
        "wasp/0.png",
    ]


# --- pictures -------------------------------------------------------------------------------------------------


def test_a_file_is_opened_once_however_often_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = boxes(tmp_path, ["bee", "wasp"], 6)
    opened: list[Path] = []
    really = room.open_image
    monkeypatch.setattr(room, "open_image", lambda path: opened.append(path) or really(path))
    findings = [Finding("leak", "problem", "x", a.path, b.path) for a, b in pairwise(images)]

    assert read(page_of(tmp_path, images, *findings)).tags["img"] == 12 + 22
    assert opened == [tmp_path / "all.png"]


def test_a_picture_that_vanished_or_shrank_is_named(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png", "bee/1.png", "wasp/1.png"])
    outside = replace(images[2], path="wasp/1.png#5", box=(0, 0, 900, 900))
    (tmp_path / "bee/0.png").unlink()
    text = read(page_of(tmp_path, [*images[:2], outside], LEAK)).text
    assert text.count("cannot be opened any more: the file is gone") == 2  # in its class, and in the finding
    assert "wasp/1.png#5 cannot be opened any more: the box" in text


def test_thumbnails_are_small_keep_their_shape_and_tell_nothing_else(tmp_path: Path) -> None:
    photograph(1, 400).resize((400, 200)).save(tmp_path / "wide.jpg", comment=b"secret", exif=_turned())
    Image.new("RGB", (3, 2)).save(tmp_path / "tiny.png")
    refs = {name: ImageRef(tmp_path / name, "") for name in ("wide.jpg", "tiny.png")}
    made = thumbnails(refs)

    wide = made["wide.jpg"]
    assert (wide.width, wide.height) == (64, SIZE[1])  # 400 x 200, turned upright as EXIF says
    assert (made["tiny.png"].width, made["tiny.png"].height) == (3, 2)
    assert all(len(one.uri) < MOST_BYTES * 4 / 3 + 40 for one in made.values())
    import base64

    assert b"secret" not in base64.b64decode(wide.uri.partition(",")[2])


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_no_machine_path_stands_on_the_page(tmp_path: Path) -> None:
    images = scanned(tmp_path, ["bee/0.png", "wasp/1.png"])
    told = Finding(
        "odd", "note", f"{tmp_path}/bee/0.png is odd", why=f"see {tmp_path}", hint=f"ls {tmp_path}/bee"
    )
    html = render_check_page(
        page_of(tmp_path, images, told, skipped=[Skipped("x.jpg", f"cannot be decoded ({tmp_path}/x.jpg)")])
    )
    assert str(tmp_path) not in html
    assert "bee/0.png is odd" in html
    assert "cannot be decoded (x.jpg)" in html


# --- from a workspace -----------------------------------------------------------------------------------------


def test_the_page_of_a_check_shows_its_leak(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "garden" / "images", {f"{s}/{c}": 3 for s in ("train", "test") for c in ("bee", "wasp")}
    )
    photograph(1).save(folder / "train/bee/twice.png")
    photograph(1).save(folder / "test/bee/again.png")
    (folder / "train/wasp/empty.jpg").touch()
    init(folder, tmp_path / "work")
    with Workspace(tmp_path / "work") as workspace:
        checked = check(workspace)
        page = CheckPage.of(checked)
        size = write_check_page(tmp_path / "work/reports/check.html", page)

    html = (tmp_path / "work/reports/check.html").read_text(encoding="utf-8")
    document = Document(html)
    assert size == len(html.encode())
    assert [p.name for p in (tmp_path / "work/reports").iterdir()] == ["check.html"]
    assert page.title == "garden"
    assert set(page.kinds) <= set(document.ids)
    assert "cannot be believed yet" in document.text
    shown = html.partition('<section id="leak"')[2].partition("</section>")[0]
    assert set(re.findall(r'alt="([^"]*)"', shown)) == {"train/bee/twice.png", "test/bee/again.png"}
    assert "train/wasp/empty.jpg" in document.text
    for name, verdict in checked.verdicts.items():
        assert f"{name} " in document.text
        assert " ".join(verdict.told.split()) in document.text
    assert str(tmp_path) not in html
