# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed files front to back: gzip and xz by Python, zstd by its own tool. Memory is bounded whatever is claimed."""

from __future__ import annotations

import lzma
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from ._errors import XenError
from ._tool import Tool, find_tool

Read = Callable[[int], bytes]

MAGICS = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
ZSTD = Tool("zstd", "zstd", "zstd")
INPUT = 256 * 1024
OUTPUT = 4 * 1024 * 1024
# What xz -9 needs is 65 MiB.
XZ_MEMORY = 100 * 1024 * 1024


def packed_as(head: bytes) -> str | None:
    """The name of the compression by the first bytes, or None."""
    return next((name for magic, name in MAGICS.items() if head.startswith(magic)), None)


def unpacker(kind: str, read: Read) -> Read:
    """A function that reads the unpacked bytes; gzip and xz only."""
    return _Unpacker(kind, read)


class _Unpacker:
    """Any number of compressed streams one behind the other, as the tools read them."""

    def __init__(self, kind: str, read: Read) -> None:
        self._kind, self._read = kind, read
        self._input, self._inside = b"", False
        self._object = self._new()

    def _new(self) -> Any:
        if self._kind == "gzip":
            return zlib.decompressobj(31)
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def __call__(self, most: int) -> bytes:
        while True:
            if not self._input and self._hungry:
                self._refill()
            starving = not self._input and self._hungry
            if starving and not self._inside:
                return b""
            try:
                data = self._step(min(most, OUTPUT))
            except (zlib.error, lzma.LZMAError) as error:
                raise XenError(f"the {self._kind} file is broken: {error}") from None
            if data:
                return data
            if starving and self._inside:
                raise XenError(f"the {self._kind} file ends in the middle; it was cut, get it again")

    @property
    def _hungry(self) -> bool:
        """Whether more input is needed: xz keeps what it could not put out, gzip hands it back."""
        return not self._inside or self._kind == "gzip" or bool(self._object.needs_input)

    def _refill(self) -> None:
        self._input = self._read(INPUT)
        while self._input and not self._inside and not self._input.strip(b"\0"):  # Zeros may follow, as padding.
            self._input = self._read(INPUT)
        if not self._inside:
            self._input = self._input.lstrip(b"\0")

    def _step(self, most: int) -> bytes:
        self._inside = True
        data: bytes = self._object.decompress(self._input, most)
        if self._object.eof:
            self._input = self._object.unused_data.lstrip(b"\0")
            self._object, self._inside = self._new(), False
        else:
            self._input = self._object.unconsumed_tail if self._kind == "gzip" else b""
        return data


@contextmanager
def unpacked_by_zstd(file: IO[bytes]) -> Iterator[Read]:
    """The unpacked bytes of a file, from the program zstd."""
    arguments = [find_tool(ZSTD), "-dcq"]
    with subprocess.Popen(arguments, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603  # no shell
        try:
            yield _Piped(process)
        finally:
            process.kill()


class _Piped:
    """Reads the output of a program; its end counts only when the program says so."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __call__(self, most: int) -> bytes:
        data = self._process.stdout.read(min(most, OUTPUT)) if self._process.stdout else b""
        if not data and self._process.wait():
            reason = self._process.stderr.read(4096).decode("utf-8", "replace").strip().splitlines() if self._process.stderr else []
            raise XenError(f"the zstd file is broken: {reason[-1] if reason else 'zstd failed'}")
        return data
