# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small HTML pages xapi answers with when HTTP itself goes wrong (H/http_svr.ml, facts 1.1)."""

from __future__ import annotations

from html import escape

from .wire import NO_CACHE, Answer, Page, Redirect

# Status → reason, heading, text.
PAGES = {
    400: ("Bad Request", "HTTP 400 bad request", "The HTTP request was malformed. Please correct and retry."),
    401: ("Unauthorised", "HTTP 401 unauthorised", "Please check your credentials and retry."),
    403: ("Forbidden", "HTTP 403 forbidden", "Access to the requested resource is forbidden."),
    408: ("Request Timeout", "HTTP 408 request timeout", "Timed out waiting for the request."),
    431: ("Request Header Fields Too Large", "HTTP 431 request header fields too large", "Exceeded the maximum header size."),
    500: (
        "Internal Error",
        "HTTP 500 internal server error",
        "An unexpected error occurred; please wait a while and try again. If the problem persists, please contact your support representative.",
    ),
    501: ("Method not implemented", "HTTP 501 Method Not Implemented", ""),
    503: ("Service Unavailable", "HTTP 503 service unavailable", "The service is unavailable."),
}
KNOWN_METHODS = ("GET", "POST", "PUT", "CONNECT", "OPTIONS")


class Refused(Exception):
    """A handler refuses the request with a page."""

    def __init__(self, page: Page) -> None:
        super().__init__(page.status)
        self.page = page


def encoded(text: str) -> bytes:
    """The page's bytes; what the client sent in no encoding at all goes back as it came."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def page(status: int, detail: str = "", realm: str = "", method: str = "", *, verbatim: bool = False) -> Page:
    """`detail` is the "additional information" of a 500, `realm` the handler of a 401, `method` the verb of a 501.

    `verbatim`: a refusal of the API is a Generic_error, which Http_svr does not escape; the other exceptions' texts are escaped.
    """
    reason, heading, text = PAGES[status]
    if method:
        name = method if method in KNOWN_METHODS else f"Unknown {method}"
        text += f"<p>{escape(name)} not supported.<br /></p>"
    if detail:
        # xapi's own escaping: html.escape but for the apostrophe.
        text += "<h1> Additional information </h1>" + (detail if verbatim else escape(detail).replace("&#x27;", "&apos;"))
    headers = {"content-type": "text/html", "connection": "close", "cache-control": NO_CACHE}
    if realm:
        headers["WWW-Authenticate"] = f'Basic realm="{realm}"'
    return Page(status, reason, headers, encoded(f"<html><body><h1>{heading}</h1>{text}</body></html>"))


def missing(path: str) -> Page:
    """No such file (X/fileserver.ml)."""
    text = (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"> <html><head> <title>404 Not Found</title> </head><body> <h1>Not Found</h1> '
        f"<p>The requested URL {escape(path).replace('&#x27;', '&apos;')} was not found on this server.</p> "
        "<hr><address>Xapi Server</address></body></html>"
    )
    return Page(404, "Not Found", {"connection": "close", "cache-control": NO_CACHE}, encoded(text))


def moved(location: str) -> Answer:
    """What a file is answered with over plain HTTP: go to HTTPS."""
    return Redirect(301, "Moved Permanently", {"location": location})
