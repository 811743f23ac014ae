"""What the review page's server answers, and whom: asked over a socket, as any program on this machine could."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fgvr_kit.report import review as module
from fgvr_kit.report.review import Review
from fgvr_kit.report.review_server import ReviewServer, _Handler
from fgvr_kit.types import Finding
from fgvr_kit.workspace import busy as lock
from tests.report.reviewing import answered, review_of

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"


class Site:
    """Asks a server; headers are those of the page itself unless a test changes them."""

    def __init__(self, server: ReviewServer) -> None:
        self.place, _, rest = server.url.removeprefix("http://").partition("/")
        self.base = f"/{rest}"

    def ask(
        self, path: str, body: Any = None, *, raw: str | None = None, without: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """raw: the whole path instead. without: a header that is not sent."""
        sent = {"Host": self.place}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent |= {"Origin": f"http://{self.place}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent.pop(without, None)
        connection = http.client.HTTPConnection(self.place, timeout=30)
        connection.putrequest("POST" if data is not None else "GET", raw or self.base + path, skip_host=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        reply = connection.getresponse()
        found = reply.status, dict(reply.getheaders()), reply.read()
        connection.close()
        return found

    def told(self, path: str, body: Any = None) -> Any:
        status, _, text = self.ask(path, body)
        assert status == 200, text
        return json.loads(text)


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return review_of(answered(tmp_path))


@pytest.fixture
def site(review: Review) -> Iterator[Site]:
    with ReviewServer(review) as server:
        yield Site(server)


def correction(image: int, value: str | None = "smooth", **more: Any) -> dict[str, Any]:
    return {"image": image, "changes": {"rim_edge": value}, "was": {"rim_edge": None}, **more}


def value_of(site: Site, image: int) -> str | None:
    return next(a["value"] for a in site.told(f"image/{image}")["answers"] if a["name"] == "rim_edge")


def test_a_correction_is_written_and_told(site: Site, review: Review) -> None:
    image = site.told("images")["ids"][0]
    told = site.told("answers", correction(image, was={"rim_edge": value_of(site, image)}))
    assert told["ids"] == [image]
    assert next(a["value"] for a in told["image"]["answers"] if a["name"] == "rim_edge") == "smooth"
    assert list(review.workspace.store.corrections().values()) == ["smooth"]
    site.told("answers", correction(image, None, was={"rim_edge": "smooth"}))
    assert review.workspace.store.corrections() == {}


def test_the_server_listens_on_this_machine_alone(review: Review) -> None:
    with ReviewServer(review) as server:
        assert server._http.server_address[0] == "127.0.0.1"
        assert server.url.startswith("http://127.0.0.1:")


def test_each_server_has_its_own_word(review: Review) -> None:
    with ReviewServer(review) as one, ReviewServer(review) as other:
        assert one.token != other.token
        assert len(one.token) >= 32


@pytest.mark.parametrize(
    "raw", ["/", "/page", "/images", "/wrong-token/page", "/wrong-token/", "//page", "/é/page"]
)
def test_who_lacks_the_word_gets_nothing(site: Site, raw: str) -> None:
    status, _, text = site.ask("", raw=quote(raw))
    assert (status, list(json.loads(text))) == (403, ["error"])


def test_a_post_without_the_word_writes_nothing(site: Site, review: Review) -> None:
    assert site.ask("", correction(1), raw="/wrong/answers")[0] == 403
    assert review.workspace.store.corrections() == {}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "0.0.0.0:1"]
)
def test_a_name_that_was_bent_to_this_machine_is_refused(site: Site, host: str) -> None:
    """DNS rebinding: the browser believes that evil.example lies at 127.0.0.1."""
    assert site.ask("page", Host=host)[0] == 403
    assert site.ask("answers", correction(1), Host=host, Origin=f"http://{host}")[0] == 403


@pytest.mark.parametrize("host", ["[", "[::1", "127.0.0.1]:80"])
def test_a_host_that_is_none_is_told(site: Site, host: str, caplog: pytest.LogCaptureFixture) -> None:
    assert site.ask("page", Host=host)[0] == 400
    assert site.ask("", raw="http://[/")[0] == 400
    assert caplog.records == []


def test_a_browser_that_goes_away_while_it_is_told_of_an_error_is_no_failure(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(_Handler, "_send", gone)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            site.ask("image/99999")
    assert site.ask("page")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_fault_of_ours_is_still_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(_Handler, "_send", broken)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            site.ask("image/99999")
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_forwarded_port_is_this_machine_too(site: Site) -> None:
    assert site.ask("page", Host="localhost:9999")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},  # another port is another site
        {"Content_Type": "text/plain"},  # what a form of another site may send without asking
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_site_cannot_write(site: Site, review: Review, headers: dict[str, str]) -> None:
    image = next(iter(review.images))
    assert site.ask("answers", correction(image), **headers)[0] in (403, 415)
    assert review.workspace.store.corrections() == {}


@pytest.mark.parametrize("header", ["Origin", "Content-Type"])
def test_a_write_must_tell_where_it_comes_from(site: Site, review: Review, header: str) -> None:
    assert site.ask("answers", correction(1), without=header)[0] in (403, 415)
    assert review.workspace.store.corrections() == {}


def test_another_site_cannot_read(site: Site) -> None:
    assert site.ask("picture/1", Sec_Fetch_Site="cross-site")[0] == 403


@pytest.mark.parametrize(
    "path",
    ["picture/../../fgvr.toml", "picture/..%2f..%2ffgvr.toml", "picture//etc/passwd", "../fgvr.toml",
     "picture/1.jpg", "picture/-1", "picture/0", "picture/99999", "picture/9999999999999999999999", "image/1/2",
     "reply/x", "picture/%31", "picture/\u0661", ".fgvr/fgvr.db", "fgvr.toml", "image/"],
)  # fmt: skip
def test_images_are_named_by_number_only(site: Site, path: str) -> None:
    status, _, text = site.ask("", raw=site.base + quote(path, safe="/%.:"))
    assert status == 404
    assert b"[extract]" not in text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"image": 1}',
     b'{"image": "1", "changes": {"rim_edge": "x"}, "was": {"rim_edge": null}}',
     b'{"image": 1, "changes": {}, "was": {}}', b'{"image": 1, "changes": {"rim_edge": 3}, "was": {"rim_edge": null}}',
     b'{"image": 1, "changes": {"rim_edge": "x"}, "was": {"rim_edge": null}, "within": 3}',
     b'{"image": 1, "changes": {"rim_edge": "x"}, "was": {}}',  # it would overwrite what it has not seen
     b'{"image": 1, "changes": {"rim_edge": "x", "motif": "y"}, "was": {"rim_edge": null}}',
     b"\xff\xfe", b"[" * 30_000],
)  # fmt: skip
def test_what_is_no_correction_is_refused(site: Site, review: Review, body: bytes) -> None:
    assert site.ask("answers", body)[0] == 400
    assert site.ask("page")[0] == 200
    assert review.workspace.store.corrections() == {}


def test_a_body_without_end_is_not_read(site: Site) -> None:
    assert site.ask("answers", b"x" * (64 * 1024 + 1))[0] == 413


def test_values_that_cannot_be_are_told(site: Site) -> None:
    status, _, text = site.ask("answers", correction(1, "x" * 500))
    assert (status, json.loads(text)["code"]) == (422, "review-value")
    assert site.ask("answers", {"image": 1, "changes": {"no such": "x"}, "was": {"no such": None}})[0] == 422
    assert site.ask("answers", correction(4711))[0] == 404


def test_a_half_pair_in_json_does_not_reach_the_store(site: Site, review: Review) -> None:
    body = b'{"image": 1, "changes": {"rim_edge": "a \\ud83d b"}, "was": {"rim_edge": null}}'
    assert site.ask("answers", body)[0] == 422
    assert review.workspace.store.corrections() == {}


def test_two_tabs_do_not_overwrite_each_other(site: Site) -> None:
    image = site.told("images")["ids"][0]
    seen = value_of(site, image)
    site.told("answers", correction(image, "smooth", was={"rim_edge": seen}))
    status, _, text = site.ask("answers", correction(image, "ribbed", was={"rim_edge": seen}))
    told = json.loads(text)
    assert (status, told["conflict"]) == (409, ["rim_edge"])
    assert next(a["value"] for a in told["image"]["answers"] if a["name"] == "rim_edge") == "smooth"


def test_a_workspace_at_work_is_told_and_reading_goes_on(
    site: Site, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    seen = {"rim_edge": value_of(site, 1)}
    with lock(review.workspace.root):
        status, _, text = site.ask("answers", correction(1, was=seen))
        assert (status, json.loads(text)["code"]) == (423, "workspace-busy")
        assert site.ask("image/1")[0] == 200
    assert site.ask("answers", correction(1, was=seen))[0] == 200


def test_many_tabs_write_at_once(site: Site, review: Review) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def write(job: tuple[int, str]) -> int:
        """As a person does who is told that somebody was faster: look, and write again."""
        while True:
            status = site.ask("answers", correction(*job, was={"rim_edge": value_of(site, job[0])}))[0]
            if status != 409:
                return status

    jobs = [(image, f"value {n}") for image in review.images for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(write, jobs))
    assert set(done) == {200}
    assert len(review.workspace.store.corrections()) == len(review.images)


def test_hostile_names_and_answers_are_text(site: Site, review: Review) -> None:
    """Nothing of the dataset stands in the page itself; what comes later is JSON, which no browser takes for a page."""
    store = review.workspace.store
    image = next(iter(review.images.values()))
    seen = {"rim_edge": value_of(site, image.id)}
    site.told("answers", correction(image.id, HOSTILE.rstrip("\u202e"), was=seen))
    store.put_findings([Finding(HOSTILE, "note", "x", image.path)])
    status, headers, page = site.ask("")
    assert status == 200
    assert b"onerror=alert" not in page
    for path in (f"image/{image.id}?class=1", "page", "images"):
        _, headers, text = site.ask(path)
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "\u202e" not in text.decode()
    assert b"onerror=alert" in site.ask(f"image/{image.id}")[2]


def test_the_page_loads_nothing_from_elsewhere(site: Site) -> None:
    _, headers, page = site.ask("")
    rules = headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules
    assert "unsafe" not in rules
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert b"http://" not in page
    assert b"https://" not in page
    assert b"<script src" not in page
    assert site.ask("")[1]["Content-Security-Policy"] != rules  # a new word for each page


def test_pictures_and_replies_come_by_number(site: Site, review: Review) -> None:
    status, headers, picture = site.ask("picture/1")
    assert (status, headers["Content-Type"], picture[:2]) == (200, "image/jpeg", b"\xff\xd8")
    answer = next(a for a in site.told("image/1")["answers"] if a["name"] == "rim_edge")
    reply = site.told(f"reply/{answer['reply']}")
    assert reply["text"] == answer["value"]
    assert "rim" in reply["prompt"]
    review.workspace.ref_of(review.images[2]).path.unlink()
    status, _, text = site.ask("picture/2")
    assert (status, json.loads(text)["error"]) == (410, "the file is gone, or a link that leads nowhere")


@pytest.mark.parametrize("query", ["doubt=x", "class=99", "class=x", "below=x", "attribute=no_such"])
def test_filters_that_do_not_exist_are_told(site: Site, query: str) -> None:
    assert site.ask(f"images?{query}")[0] in (400, 404, 422)


def test_a_class_is_filtered_by_its_place(site: Site, review: Review) -> None:
    place = site.told("page")["classes"].index("20_cent")
    assert site.told(f"images?class={place}")["ids"] == [
        i.id for i in review.images.values() if i.class_name == "20_cent"
    ]
