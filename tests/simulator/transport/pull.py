# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM.import: the host itself gets an archive from a URL (X/xapi_vm.ml import_inner)."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import aiohttp

from ..behaviour._vm_import_objects import Wanted
from ..engine.core import Engine
from ..engine.failure import Failure, internal_error
from .disk_streams import Ended
from .imports import receive

REDIRECTS_MOST = 5
PIECE = 1 << 16


class Download:
    """The body of an answer, piece by piece."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._piece = b""

    async def some(self) -> bytes:
        if not self._piece:
            self._piece = await self._content.read(PIECE)
        if not self._piece:
            raise Ended
        return self._piece

    async def take(self, length: int) -> bytes:
        pieces = []
        while length > 0:
            piece = (await self.some())[:length]
            self._piece = self._piece[len(piece) :]
            length -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)


async def pull(engine: Engine, host: str, url: str, wanted: Wanted) -> list[str]:
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        for _unused in range(REDIRECTS_MOST + 1):
            _require_web(url)
            try:
                # xapi checks no certificate here.
                async with client.get(url, allow_redirects=False, ssl=False) as answer:
                    if answer.status == 200:
                        return await receive(engine, host, Download(answer.content), wanted)
                    if answer.status // 100 != 3:
                        raise Failure("IMPORT_ERROR", f"{answer.status} {answer.reason}")
                    if "location" not in answer.headers:
                        raise Failure("IMPORT_ERROR", "Redirect with no new location")
                    url = _joined(url, answer.headers["location"])
            except aiohttp.ClientConnectionError as error:
                raise internal_error('Unix.Unix_error(Unix.ECONNREFUSED, "connect", "")') from error
            except aiohttp.ClientError as error:
                raise Failure("IMPORT_ERROR", str(error)) from None
    raise Failure("IMPORT_ERROR", "Maximum redirect limit reached")


def _require_web(url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise internal_error(f'Failure("{f"Unsupported URI scheme: {scheme}" if scheme else f"Failed to parse URI: {url}"}")')


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location
