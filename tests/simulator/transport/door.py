# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one host lets clients in, and shuts in one moment: nobody is left standing between the accept and the end of the TLS handshake.

asyncio's own servers know a client only when its handshake is over: one that connects while its host stops would wait for its own time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

# H/http_svr.ml: connections that the kernel holds until they are accepted.
BACKLOG = 128
# Seconds until the next try when the process may open no more files.
PAUSE = 1.0


class Door:
    """A listening socket, and the clients that are on their way in."""

    def __init__(self, address: str, port: int, protocol: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext | None) -> None:
        self._protocol, self._context = protocol, context
        self._socket = socket.create_server((address, port), backlog=BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._entering: dict[asyncio.Task[None], socket.socket] = {}
        self._accepting = asyncio.ensure_future(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _address = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            entering = asyncio.ensure_future(self._enter(client))
            self._entering[entering] = client
            entering.add_done_callback(self._entering.pop)

    async def _enter(self, client: socket.socket) -> None:
        # Who does not speak TLS, or not to the end, is gone again.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, client, ssl=self._context)

    async def close(self) -> None:
        """Refuse whoever comes, and cut off those who are not in yet."""
        entering = dict(self._entering)
        jobs = [self._accepting, *entering]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        self._socket.close()
        # Of those whose turn had not even come.
        for client in entering.values():
            client.close()
