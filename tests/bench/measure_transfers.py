# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's disks over HTTP, against a plain server of the same library that stores and sends files (at least half as fast)."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode, urlsplit

import trustme
from aiohttp import web

from simulator import Simulator

MIB = 2**20
SIZE = 256 * MIB
ROUNDS = 3
BOUND = 0.5
Address = tuple[str, int]


def connection(address: Address, trust: ssl.SSLContext | None) -> http.client.HTTPConnection:
    return http.client.HTTPSConnection(*address, context=trust) if trust else http.client.HTTPConnection(*address)


def upload(address: Address, path: str, trust: ssl.SSLContext | None) -> float:
    """Seconds that an upload takes."""
    piece, client = os.urandom(MIB), connection(address, trust)
    client.putrequest("PUT", path)
    client.putheader("Content-Length", str(SIZE))
    client.endheaders()
    began = time.perf_counter()
    for _unused in range(SIZE // MIB):
        client.send(piece)
    client.getresponse().read()
    client.close()
    return time.perf_counter() - began


def download(address: Address, path: str, trust: ssl.SSLContext | None) -> float:
    client, buffer, came = connection(address, trust), bytearray(MIB), 0
    began = time.perf_counter()
    client.request("GET", path)
    response = client.getresponse()
    while count := response.readinto(buffer):
        came += count
    seconds = time.perf_counter() - began
    client.close()
    if came != SIZE:
        raise RuntimeError(f"{came} bytes came from {path} instead of {SIZE}")
    return seconds


@contextmanager
def plain_server(folder: Path, context: ssl.SSLContext | None) -> Iterator[Address]:
    """A server that stores what is put, and sends files from a folder."""
    loop = asyncio.new_event_loop()

    async def put(request: web.Request) -> web.Response:
        with (folder / "stored").open("wb") as file:
            async for data in request.content.iter_any():
                file.write(data)
        return web.Response()

    async def start() -> tuple[web.AppRunner, int]:
        application = web.Application()
        application.router.add_put("/stored", put)
        application.router.add_static("/files", folder)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return runner, int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield "127.0.0.1", port
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def compare(name: str, plain: Callable[[], float], ours: Callable[[], float]) -> bool:
    """Print the best of some rounds of both; whether ours is within the bound."""
    pairs = [(plain(), ours()) for _unused in range(ROUNDS)]
    best, own = (SIZE / MIB / min(times) for times in zip(*pairs, strict=True))
    print(f"{name:<16}{best:>12.0f}{own:>12.0f}{own / best:>9.2f}")
    return bool(own / best >= BOUND)


def measure(folder: Path, *, tls: bool) -> bool:
    kind = "TLS" if tls else "plain"
    with Simulator("one_host") as simulator:
        server, session = simulator.serve(tls=tls, http=not tls), simulator.session()
        record = {"SR": session.SR.get_by_name_label("Local storage")[0], "virtual_size": SIZE, "type": "user", "sharable": False}
        vdi = session.VDI.create({"name_label": "bench", **record, "read_only": False, "other_config": {}})
        url = urlsplit(server.url if tls else server.http_url)
        ours, query = (url.hostname or "", url.port or 0), urlencode({"session_id": session.ref, "vdi": vdi})
        context, trust = None, None
        if tls:
            authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trust = ssl.create_default_context(cafile=str(server.ca_path))
            authority.configure_trust(trust)
            authority.issue_cert("127.0.0.1").configure_cert(context)
        with plain_server(folder, context) as plain:
            up = compare(f"{kind}, in", lambda: upload(plain, "/stored", trust), lambda: upload(ours, f"/import_raw_vdi?{query}", trust))
            down = compare(f"{kind}, out", lambda: download(plain, "/files/stored", trust), lambda: download(ours, f"/export_raw_vdi?{query}", trust))
    return up and down


def main() -> bool:
    print(f"{'MiB/s':<16}{'plain server':>12}{'simulator':>12}{'ratio':>9}   (at least {BOUND})")
    with TemporaryDirectory(prefix="bench-") as folder:
        results = [measure(Path(folder), tls=tls) for tls in (False, True)]
    return all(results)
