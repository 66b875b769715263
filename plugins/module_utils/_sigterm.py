# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM as an exception, so that what a module has begun is ended in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(BaseException):
    """SIGTERM arrived. Unwinds like Ctrl-C does, so that the session is closed; AWX cancels jobs with it."""


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Make SIGTERM an exception inside the block; afterwards the signal has its earlier effect, once more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    terminated = False

    def unwind(_number: int, _frame: Any) -> None:
        nonlocal terminated
        terminated = True  # Whatever becomes of the exception: clean-up that it interrupts may raise one of its own.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # A second one must not interrupt the logout.
        raise Terminated

    previous = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        if terminated:
            os.kill(os.getpid(), signal.SIGTERM)
