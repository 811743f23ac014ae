"""The review page as a small server for this machine alone.

It listens on 127.0.0.1, and answers only who knows the random word in the address it was started with. `Host` and
`Origin` are checked, so that no page from elsewhere can read or write through a browser. No part of a request is ever
taken for a path: images, replies and attributes are looked up in the workspace's tables.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import sys
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, urlsplit

from fgvr_kit import shipped
from fgvr_kit.errors import FgvrError, ImageError, WorkspaceError
from fgvr_kit.report.render import template
from fgvr_kit.report.review import Conflict, Review
from fgvr_kit.report.review_filters import UNSURE, Filters

HOST = "127.0.0.1"
_OURS = {"127.0.0.1", "localhost"}
_LARGEST = 64 * 1024  # bytes of a request's body
_SECONDS = 30.0  # that a silent connection is kept
_KEPT = 24  # pictures that are not scaled twice

log = logging.getLogger(__name__)


class ReviewServer:
    """Serves a review in a thread of its own. Use as a context manager, or call close()."""

    def __init__(self, review: Review, port: int = 0) -> None:
        """port: 0 for any that is free. Raises OSError when it cannot be had."""
        self.token = secrets.token_urlsafe(24)
        self._http = _Http((HOST, port), _Handler)
        self._http.review, self._http.token = review, self.token
        self._http.picture = lru_cache(maxsize=_KEPT)(review.picture)
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._http.server_address[1]}/{self.token}/"

    def wait(self) -> None:
        """Until KeyboardInterrupt; a wait without end would not be interrupted everywhere."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Finish what is being answered, and stop: a browser keeps its connections open for what comes next."""
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()  # waits for the threads

    def __enter__(self) -> ReviewServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_address = True
    review: Review
    token: str
    picture: Any

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may go away at any time, also while it is told of an error: nothing of ours has failed."""
        if isinstance(sys.exc_info()[1], ConnectionError):
            log.debug("the browser went away")
        else:
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Hear no more requests; replies still go out."""
        for connection in list(self._open):
            with suppress(OSError):  # the other side was faster
                connection.shutdown(socket.SHUT_RD)


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "fgvr-kit", ""
    timeout = _SECONDS

    @property
    def _ours(self) -> _Http:
        return cast(_Http, self.server)

    def do_GET(self) -> None:
        self._answer(self._read)

    def do_POST(self) -> None:
        self._answer(self._write)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug(
            "%s %s", self.command, args[1] if len(args) > 1 else ""
        )  # never the address: it holds the token

    # --- what is asked --------------------------------------------------------------------------------------

    def _read(self, words: list[str], query: dict[str, str]) -> None:
        review = self._ours.review
        match words:
            case [""]:
                self._send_page()
            case ["page"]:
                self._send_json(review.page())
            case ["images"]:
                self._send_json(review.listed(_filters(review, query)))
            case ["image", number]:
                self._send_json(review.shown(_number(number), with_class=query.get("class") == "1"))
            case ["reply", number]:
                self._send_json(review.reply(_number(number)))
            case ["picture", number]:
                self._send(HTTPStatus.OK, "image/jpeg", self._ours.picture(_number(number)))
            case _:
                raise _Refused(HTTPStatus.NOT_FOUND, "nothing is here")

    def _write(self, words: list[str], query: dict[str, str]) -> None:
        if words != ["answers"]:
            raise _Refused(HTTPStatus.NOT_FOUND, "nothing is here")
        body = self._body()
        image: Any = body.get("image")
        changes: Any = body.get("changes")
        was: Any = body.get("was")
        within: Any = body.get("within")
        if not (
            isinstance(image, int) and _is_values(changes) and changes and _is_values(was)
            and changes.keys() <= was.keys()  # else what another tab has written would be overwritten unseen
            and (within is None or isinstance(within, str))
        ):  # fmt: skip
            raise _Refused(HTTPStatus.BAD_REQUEST, "not a correction")
        try:
            self._send_json(self._ours.review.write(image, changes, was, within))
        except Conflict as conflict:
            fresh = self._ours.review.shown(image)
            self._send_json({"conflict": conflict.names, "image": fresh}, HTTPStatus.CONFLICT)

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST:
            self.close_connection = True  # what is not read must not be taken for the next request
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long, or of unknown length")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "not JSON") from error
        if not isinstance(body, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST, "not a JSON object")
        return body

    # --- who asks -------------------------------------------------------------------------------------------

    def _answer(self, answer: Any) -> None:
        try:
            self._refuse_strangers()
            parts = self._parts()
            token, _, rest = parts.path.removeprefix("/").partition("/")
            if not secrets.compare_digest(token.encode(), self._ours.token.encode()):
                raise _Refused(HTTPStatus.FORBIDDEN, "this address lacks the word that fgvr-kit printed")
            answer(rest.split("/"), {name: values[-1] for name, values in parse_qs(parts.query).items()})
        except _Refused as refused:
            self.close_connection = self.close_connection or self.command == "POST"
            self._send_json({"error": str(refused)}, refused.status)
        except KeyError:
            self._send_json({"error": "this is not in the workspace"}, HTTPStatus.NOT_FOUND)
        except FgvrError as error:
            self._send_json(
                {"error": error.message, "code": error.code, "hint": error.hint}, _status_of(error)
            )
        except ConnectionError:  # the browser went away
            self.close_connection = True
        except Exception:
            log.exception("the review page asked for something that failed")
            self.close_connection = True
            self._send_json(
                {"error": "this failed; the terminal tells why"}, HTTPStatus.INTERNAL_SERVER_ERROR
            )

    def _parts(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError as error:  # "//["
            raise _Refused(HTTPStatus.BAD_REQUEST, "not an address") from error

    def _refuse_strangers(self) -> None:
        """A page of another site must not speak through the browser, whatever name it gives this machine."""
        host = self.headers.get("Host", "")
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError as error:  # "[": an address that does not end
            raise _Refused(HTTPStatus.BAD_REQUEST, "not a host") from error
        if name not in _OURS:
            raise _Refused(HTTPStatus.FORBIDDEN, "another host is asked for")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _Refused(HTTPStatus.FORBIDDEN, "another site asks")
        if self.command == "GET":
            return
        if self.headers.get("Origin") != f"http://{host}":
            raise _Refused(HTTPStatus.FORBIDDEN, "another site asks")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not JSON")

    # --- what is said ---------------------------------------------------------------------------------------

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        html = review_page(self._ours.review, nonce)
        rules = (
            "default-src 'none'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
            f" frame-ancestors 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
        )
        self._send(
            HTTPStatus.OK, "text/html; charset=utf-8", html.encode(), {"Content-Security-Policy": rules}
        )

    def _send_json(self, told: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        text = json.dumps(told, ensure_ascii=True)
        self._send(status, "application/json", text.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin", **(more or {}),
        }  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def review_page(review: Review, nonce: str) -> str:
    """The page as text; everything about the images comes to it later."""
    from markupsafe import Markup

    script = (shipped.folder("templates") / "documents" / "review.js").read_text(encoding="utf-8")
    page = template("review.html", review.workspace.root)
    return str(page.render(title=review.workspace.root.name, nonce=nonce, script=Markup(script)))


def _filters(review: Review, query: dict[str, str]) -> Filters:
    """Filters from an address; what it gets wrong is refused. The class is named by its place among all."""
    try:
        below = float(query.get("below", UNSURE))
        place = query.get("class", "")
        class_name = review.class_names[_number(place)] if place else None
    except (ValueError, IndexError) as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, "not a filter") from error
    return Filters(
        query.get("doubt", ""), below, query.get("attribute", ""), class_name, query.get("finding", ""),
        query.get("seed"),
    )  # fmt: skip


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise _Refused(HTTPStatus.NOT_FOUND, "nothing is here")
    return int(text)


def _is_values(found: Any) -> bool:
    """An object of texts and nulls."""
    return isinstance(found, dict) and all(
        value is None or isinstance(value, str) for value in found.values()
    )


def _status_of(error: FgvrError) -> HTTPStatus:
    if isinstance(error, WorkspaceError) and error.code == "workspace-busy":
        return HTTPStatus.LOCKED
    return HTTPStatus.GONE if isinstance(error, ImageError) else HTTPStatus.UNPROCESSABLE_ENTITY
