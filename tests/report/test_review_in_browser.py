"""The review page as people use it: in a headless Chromium, where playwright and a Chromium are there.

Needs `pip install playwright` and a browser: Debian's (`apt install chromium`), or the one $CHROMIUM names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.pipeline.extract import extract
from fgvr_kit.report import review as module
from fgvr_kit.report.review import Review
from fgvr_kit.report.review_filters import Filters
from fgvr_kit.report.review_server import ReviewServer
from fgvr_kit.types import GENERAL, NOT_VISIBLE
from fgvr_kit.workspace import busy as lock
from tests.pipeline.coins import opened
from tests.report.reviewing import answered, review_of, scripted

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
]

RIM = "#field-rim_edge"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser window; whatever its pages complain about fails the test."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(15_000)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    context.complaints = complaints
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return review_of(answered(tmp_path))


@pytest.fixture
def server(review: Review) -> Iterator[ReviewServer]:
    with ReviewServer(review) as server:
        yield server


@pytest.fixture
def page(context: Any, server: ReviewServer) -> Any:
    return opened_page(context, server.url)


def opened_page(context: Any, url: str) -> Any:
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#answers li")
    return page


def status(page: Any, text: str) -> None:
    sync_api.expect(page.locator("#status")).to_contain_text(text)


def written(review: Review) -> dict[str, str]:
    return {name: value for (_, name), value in review.workspace.store.corrections().items()}


def test_a_field_is_saved_when_it_is_left_and_the_machines_value_is_beside_it(
    page: Any, review: Review
) -> None:
    machine = page.input_value(RIM)
    page.fill(RIM, "smooth")
    page.keyboard.press("Enter")
    status(page, "Saved")
    assert written(review) == {"rim_edge": "smooth"}
    row = page.locator("#row-rim_edge")
    sync_api.expect(row).to_contain_text("corrected by anna")
    sync_api.expect(row).to_contain_text(f"machine: {machine}")
    row.get_by_role("button", name="take my value back").click()
    sync_api.expect(page.locator(RIM)).to_have_value(machine)
    status(page, "Saved")
    assert written(review) == {}


def test_an_empty_field_takes_back_and_escape_changes_nothing(page: Any, review: Review) -> None:
    page.fill(RIM, "smooth")
    page.keyboard.press("Tab")
    status(page, "Saved")
    page.fill(RIM, "nonsense")
    page.keyboard.press("Escape")
    sync_api.expect(page.locator(RIM)).to_have_value("smooth")
    assert written(review) == {"rim_edge": "smooth"}
    page.fill(RIM, "")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#row-rim_edge .mine")).to_have_count(0)
    assert written(review) == {}


def test_not_visible_takes_one_click(page: Any, review: Review) -> None:
    page.get_by_role("button", name="rim edge: not visible").click()
    sync_api.expect(page.locator(RIM)).to_have_value(NOT_VISIBLE)
    status(page, "Saved")
    assert written(review) == {"rim_edge": NOT_VISIBLE}


def test_a_whole_review_by_keyboard(page: Any, review: Review) -> None:
    """Confirm all but one, which is corrected; undo what was done last; go on where nobody has looked."""
    ids = list(review.images)
    page.keyboard.press("e")
    page.keyboard.type("copper")
    page.keyboard.press("Control+Enter")
    sync_api.expect(page.locator("#place")).to_have_text("2 of 6")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    sync_api.expect(page.locator("#done")).to_have_text("2 reviewed")
    sync_api.expect(page.locator("#place")).to_have_text("3 of 6")
    status(page, "Saved")
    assert review.listed(Filters())["reviewed"] == ids[:2]
    first = review.images[ids[0]].sha256
    assert review.workspace.store.corrections()[first, "metal_colour"] == "copper"
    page.keyboard.press("z")
    sync_api.expect(page.locator("#done")).to_have_text("1 reviewed")
    sync_api.expect(page.locator("#place")).to_have_text("2 of 6")
    page.keyboard.press("k")
    sync_api.expect(page.locator("#place")).to_have_text("1 of 6, reviewed")
    page.keyboard.press("u")
    sync_api.expect(page.locator("#place")).to_have_text("2 of 6")
    page.keyboard.press("ArrowRight")
    sync_api.expect(page.locator("#place")).to_have_text("3 of 6")
    done = review.sitting()
    assert (done.reviewed, done.corrected, done.confirmed) == (1, 1, 12)


def test_letters_are_letters_inside_of_fields(page: Any) -> None:
    page.fill(RIM, "")
    page.locator(RIM).press_sequentially("jkucz")
    sync_api.expect(page.locator(RIM)).to_have_value("jkucz")
    sync_api.expect(page.locator("#place")).to_have_text("1 of 6")
    page.keyboard.press("Escape")
    page.get_by_text("Keys", exact=True).click()
    page.uncheck("#single-keys")
    page.keyboard.press("j")
    sync_api.expect(page.locator("#place")).to_have_text("1 of 6")


def test_the_class_is_hidden_until_it_is_wanted(page: Any) -> None:
    assert "1_euro" not in page.inner_text("main")
    assert "1_euro" not in page.locator("#picture").get_attribute("alt")
    page.check("#with-class")
    sync_api.expect(page.locator("#caption")).to_contain_text("1_euro")


def test_the_raw_reply_comes_on_a_click(page: Any, review: Review) -> None:
    page.locator("#row-rim_edge summary").click()
    sync_api.expect(page.locator("#row-rim_edge pre").first).to_have_text(page.input_value(RIM))
    sync_api.expect(page.locator("#row-rim_edge details")).to_contain_text("Look at the euro coin")


def test_filters_choose_and_a_reload_keeps_them(page: Any) -> None:
    page.click("#fold")
    page.select_option("#class", label="20_cent")
    sync_api.expect(page.locator("#place")).to_contain_text("of 3")
    page.select_option("#attribute", "rim_edge")
    sync_api.expect(page.locator("#answers li")).to_have_count(2)  # and the free description
    page.keyboard.press("PageDown")
    sync_api.expect(page.locator("#place")).to_have_text("2 of 3")
    page.reload()
    sync_api.expect(page.locator("#place")).to_have_text("2 of 3")
    sync_api.expect(page.locator("#answers li")).to_have_count(2)
    page.keyboard.press("c")
    sync_api.expect(page.locator("#done")).to_have_text("1 reviewed")
    assert page.locator("#doubt option[value=disagree]").is_disabled()  # asked once: nothing can disagree


def test_hostile_answers_stay_text(context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = '"><img src=x onerror="document.title=1"><script>document.title=1</script>'
    with (
        scripted(tmp_path, monkeypatch, lambda request: evil) as workspace,
        ReviewServer(review_of(workspace)) as server,
    ):
        page = opened_page(context, server.url)
        assert page.input_value("#field-colour") == evil
        page.locator("#row-colour summary").click()
        sync_api.expect(page.locator("#row-colour pre").first).to_have_text(evil)
        page.wait_for_timeout(200)
        assert page.title() != "1"
        assert page.locator("#answers img, #answers script").count() == 0


def test_two_tabs_tell_each_other(context: Any, server: ReviewServer, review: Review) -> None:
    one, other = opened_page(context, server.url), opened_page(context, server.url)
    one.fill(RIM, "smooth")
    one.keyboard.press("Enter")
    status(one, "Saved")
    other.fill(RIM, "ribbed")
    other.keyboard.press("Enter")
    status(other, "Somebody else has written here meanwhile; yours was: ribbed")
    sync_api.expect(other.locator(RIM)).to_have_value("smooth")
    assert written(review) == {"rim_edge": "smooth"}
    other.fill(RIM, "ribbed")  # having seen it
    other.keyboard.press("Enter")
    status(other, "Saved")
    assert written(review) == {"rim_edge": "ribbed"}
    context.complaints[:] = [said for said in context.complaints if "409" not in said]


def test_a_workspace_at_work_is_waited_for(
    page: Any, context: Any, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with lock(review.workspace.root):
        page.fill(RIM, "smooth")
        page.keyboard.press("Enter")
        status(page, "Not saved yet: another fgvr-kit is at work")
        page.fill("#field-motif", "a map")  # going on is allowed
        page.keyboard.press("Enter")
        assert written(review) == {}
    status(page, "Saved")
    assert written(review) == {"rim_edge": "smooth", "motif": "a map"}
    context.complaints[:] = [said for said in context.complaints if "423" not in said]


def test_a_server_that_dies_and_comes_back_gets_what_was_not_saved(context: Any, review: Review) -> None:
    with ReviewServer(review) as server:
        page = opened_page(context, server.url)
        port, token = server._http.server_address[1], server.token
    page.fill(RIM, "smooth")
    page.keyboard.press("Enter")
    status(page, "1 not saved: fgvr-kit does not answer")
    page.keyboard.press("Escape")
    again = ReviewServer(review, port)
    again._http.token = token  # as if it had only been away; one that is started anew has another word
    with again:
        status(page, "Saved")
        assert written(review) == {"rim_edge": "smooth"}
    context.complaints.clear()


def test_a_new_server_on_the_old_port_is_not_taken_for_the_old_one(context: Any, review: Review) -> None:
    with ReviewServer(review) as server:
        page = opened_page(context, server.url)
        port = server._http.server_address[1]
    with ReviewServer(review, port):
        page.fill(RIM, "smooth")
        page.keyboard.press("Enter")
        status(page, "this page is of an earlier session")
        assert written(review) == {}
    context.complaints.clear()


def test_a_picture_that_is_gone_is_told(page: Any, context: Any, review: Review) -> None:
    last = list(review.images.values())[-1]
    review.workspace.ref_of(last).path.unlink()
    page.goto(page.url.partition("#")[0] + f"#{last.id}")
    page.reload()
    sync_api.expect(page.locator("#no-picture")).to_have_text(
        "the file is gone, or a link that leads nowhere"
    )
    context.complaints[:] = [said for said in context.complaints if "410" not in said]


def test_every_control_has_a_name_and_texts_have_contrast(page: Any) -> None:
    """WCAG 2.2: names (4.1.2) and 4.5 : 1 (1.4.3), light and dark."""
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, textarea')].filter((e) => !(e.ariaLabel ||"
        " e.textContent.trim() || (e.labels && e.labels.length))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    page.fill(RIM, "smooth")
    page.keyboard.press("Enter")
    status(page, "Saved")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        low = [one for one in page.evaluate(CONTRASTS) if one["ratio"] < 4.5]
        assert low == []


CONTRASTS = """() => {
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.disabled
    && !e.matches('option, .skip')
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).map((e) => {
      const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
      return { text: e.textContent.trim().slice(0, 30), ratio: (a + .05) / (b + .05) }; });
}"""


def test_samples_that_disagree_are_marked(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = lambda request: f"{request.attribute} {request.sample if request.attribute == 'rim' else ''}"  # noqa: E731
    with (
        scripted(tmp_path, monkeypatch, say, "extract.samples=2") as workspace,
        ReviewServer(review_of(workspace)) as server,
    ):
        page = opened_page(context, server.url)
        sync_api.expect(page.locator("#row-rim")).to_contain_text("asked again, it said: rim 1")
        assert "doubt" in page.locator("#row-rim").get_attribute("class")
        page.click("#fold")
        page.select_option("#attribute", "colour")
        page.select_option("#doubt", "disagree")
        status(page, "No picture is like that")
        assert page.locator("#answers li").count() == 0


def test_what_was_corrected_in_the_browser_survives_extraction(page: Any, review: Review) -> None:
    page.fill(RIM, "smooth")
    page.keyboard.press("Enter")
    status(page, "Saved")
    image = next(iter(review.images))
    with opened(review.workspace.root) as workspace:
        extract(workspace)
        assert workspace.store.answers()[image]["rim_edge"] == "smooth"
        assert GENERAL in workspace.store.answers()[image]
