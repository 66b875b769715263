# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images behind a URL: fetched once front to back, or kept in a temporary file when their format needs it."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from ._errors import XenError
from ._image_bytes import FOOTER, PIECE, Bytes, Origin, compare, file_facts
from ._private import new_file, private_folder
from ._transfer import Deadline

TIMEOUT = 60.0  # seconds for one answer or piece


def identity(origin: Origin) -> str:
    """By what an image is known again: its checksum, else what is cheap to know (see the documentation of xen_image)."""
    if origin.checksum:
        return origin.checksum
    facts = _url_facts(origin) if origin.is_url else file_facts(origin.place)
    # The two MiB of a local file are hashed as they are: written out they would be eight.
    seen = hashlib.sha256()
    for fact in facts:
        seen.update(hashlib.sha256(fact if isinstance(fact, bytes) else repr(fact).encode()).digest())
    return f"seen:{seen.hexdigest()}"


def _url_facts(origin: Origin) -> tuple[Any, ...]:
    with _answer(origin) as answer:
        facts = answer.headers.get("ETag"), answer.headers.get("Last-Modified"), answer.headers.get("Content-Length")
    if facts[0] is None and facts[1] is None:
        raise XenError(f"{origin.shown} says neither by ETag nor by Last-Modified whether it changed; give its checksum, or set cache to false")
    return origin.place, *facts


@contextmanager
def _answer(origin: Origin, **extra: str) -> Iterator[Any]:
    headers = {**origin.headers, **extra}
    try:
        # What may be a secret is not sent on to where the server redirects; nothing is unpacked behind our back.
        private = {"unredirected_headers": list(origin.headers), "decompress": False}
        from ansible.module_utils.urls import open_url  # costs more to compile than all of ours

        answer = open_url(origin.place, headers=headers, timeout=TIMEOUT, ca_path=origin.ca_path, http_agent="xapi.xenserver", **private)
    except urllib.error.HTTPError as error:
        error.close()
        raise XenError(f"{origin.shown} cannot be fetched: the server answered {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        why = getattr(reason, "strerror", None) or reason  # without the number of the error
        raise XenError(f"{origin.shown} cannot be fetched: {why}; check the address, and that its server can be reached from here") from None
    with answer:
        yield answer


@contextmanager
def opened_url(origin: Origin, deadline: Deadline) -> Iterator[tuple[Bytes, Callable[[], None]]]:
    """The bytes behind a URL, and a function to call at their end: it refuses a cut or changed image."""
    with _answer(origin) as answer:
        body = _Body(origin, answer, deadline)
        yield Bytes(body.read, body.size), body.end


class _Body:
    def __init__(self, origin: Origin, answer: Any, deadline: Deadline) -> None:
        self._origin, self._answer, self._deadline = origin, answer, deadline
        length = answer.headers.get("Content-Length", "")
        self.size = int(length) if length.isdigit() else None
        if self.size == 0:
            raise XenError(f"{origin.shown} is empty; check the address and what the server has there")
        self._received = 0
        self._digest = hashlib.new(origin.checksum.partition(":")[0]) if origin.checksum else None

    def read(self, most: int) -> bytes:
        data = self._some(min(most, PIECE))
        self._received += len(data)
        if self._digest:
            self._digest.update(data)
        if not data and self.size is not None and self._received < self.size:
            raise XenError(f"{self._origin.shown} broke off after {self._received} of {self.size} bytes; run the task again")
        return data

    def _some(self, most: int) -> bytes:
        """As many bytes, fewer only at the end. The time is looked at with every packet: a server may send one byte a minute."""
        parts, left = [], most
        try:
            while left and (data := self._answer.read1(left)):
                self._deadline.check()
                parts.append(data)
                left -= len(data)
        except (OSError, HTTPException) as error:
            raise XenError(f"{self._origin.shown} broke off after {self._received} bytes: {error or type(error).__name__}; run the task again") from None
        return b"".join(parts)

    def end(self) -> None:
        while self.read(PIECE):
            pass
        if self._digest:
            compare(self._origin.shown, self._origin.checksum, self._digest)


def last_bytes(origin: Origin) -> bytes:
    """The last 512 bytes behind a URL, or none when its server does not give parts."""
    with _answer(origin, Range=f"bytes=-{FOOTER}") as answer:
        return bytes(answer.read(FOOTER)) if answer.status == 206 else b""


@contextmanager
def spooled(origin: Origin, source: Bytes, end: Callable[[], None]) -> Iterator[str]:
    """The path of a temporary file with the bytes, for formats that cannot be read front to back."""
    with private_folder() as folder:
        free = shutil.disk_usage(folder).free
        if source.size is not None and source.size > free:
            raise XenError(f"{origin.shown} has {source.size} bytes and has to be fetched to {folder}, where {free} are free; set TMPDIR to a larger place")
        path = folder / "image"
        try:
            with new_file(path) as file:
                while data := source.read(PIECE):
                    file.write(data)
        except OSError as error:
            raise XenError(f"{origin.shown} cannot be kept in {folder}: {error.strerror or error}; set TMPDIR to a larger place") from error
        end()
        yield str(path)
