# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of an image, from a local file or a URL: read once front to back, and compared with a checksum at their end."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ._errors import XenError

MIB = 1024 * 1024
PIECE = 4 * MIB
DIGESTS = {"sha256": 64, "sha512": 128}
FOOTER = 512


@dataclass(frozen=True)
class Origin:
    """Where an image is. A URL is shown without what may be secret in it: user, password and query."""

    place: str
    checksum: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_path: str | None = None

    def __post_init__(self) -> None:
        if self.checksum is not None:
            algorithm, _colon, digits = self.checksum.partition(":")
            if len(digits) != DIGESTS.get(algorithm) or not re.fullmatch("[0-9a-f]+", digits):
                raise XenError(f"checksum {self.checksum!r} is none; write sha256: or sha512: and then the hexadecimal digits in lower case")
        scheme, there, _rest = self.place.partition("://")
        if there and not self.is_url and scheme.isalnum():
            raise XenError(f"image {self.place.rpartition('@')[2]!r} cannot be fetched by {scheme}; give an address of http or https, or a local path")
        if self.is_url and urlsplit(self.place).username is not None:
            raise XenError(f"the URL {self.shown} holds a user name; give it in url_headers, as Authorization")

    @property
    def is_url(self) -> bool:
        return self.place.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """The place in messages and labels."""
        if not self.is_url:
            return self.place
        parts = urlsplit(self.place)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def name(self) -> str:
        return posixpath.basename(urlsplit(self.place).path if self.is_url else self.place) or "image"


def file_facts(path: str) -> tuple[Any, ...]:
    """What is cheap to know of a local file, and differs when somebody writes to it."""
    with opened_file(path) as file:
        status = os.fstat(file.fileno())
        tail = max(status.st_size - MIB, 0)
        return status.st_size, status.st_mtime_ns, os.pread(file.fileno(), MIB, 0), os.pread(file.fileno(), MIB, tail)


class Bytes:
    """Bytes front to back, with a look ahead. ``size`` is known beforehand, or None."""

    def __init__(self, read: Callable[[int], bytes], size: int | None = None) -> None:
        self._read, self.size = read, size
        self._ahead = b""

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._ahead) < count:
            data = self._read(count - len(self._ahead))
            if not data:
                break
            self._ahead += data
        return self._ahead[:count]

    def read(self, most: int) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:most], self._ahead[most:]
            return data
        return self._read(most)

    def fill(self, count: int) -> bytes:
        """As many bytes, fewer only at the end."""
        parts, left = [], count
        while left > 0:
            data = self.read(left)
            if not data:
                break
            parts.append(data)
            left -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drain(self) -> None:
        while self.read(PIECE):
            pass


@contextmanager
def opened_file(path: str) -> Iterator[BinaryIO]:
    """A local regular file that holds something."""
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    except FileNotFoundError:
        raise XenError(f"image {path!r} does not exist on the machine where the module runs; check the path, or copy it there") from None
    except OSError as error:
        raise XenError(f"image {path!r} cannot be read: {error.strerror or error}") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise XenError(f"image {path!r} is no regular file")
        if not status.st_size:
            raise XenError(f"image {path!r} is empty; fetch it anew")
        yield file


class Comparison:
    """The checksum of a local file, computed beside the upload. ``end()`` waits for it and refuses another one."""

    def __init__(self, path: str, checksum: str | None) -> None:
        self._path, self._checksum = path, checksum
        self._digest = hashlib.new(checksum.partition(":")[0]) if checksum else None
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: OSError | None = None
        if self._digest:
            self._thread.start()

    def _run(self) -> None:
        digest = self._digest
        try:
            with open(self._path, "rb", buffering=0) as file:
                while digest and not self._stop and (data := file.read(PIECE)):
                    digest.update(data)
        except OSError as error:
            self._error = error

    def end(self) -> None:
        if self._digest:
            self._thread.join()
            if self._error:
                raise XenError(f"image {self._path!r} cannot be read: {self._error.strerror or self._error}")
            compare(self._path, self._checksum, self._digest)

    def stop(self) -> None:
        self._stop = True


def compare(shown: str, checksum: str | None, digest: Any) -> None:
    """Refuse an image with another checksum."""
    if checksum and digest.hexdigest() != checksum.partition(":")[2]:
        algorithm = checksum.partition(":")[0]
        raise XenError(f"image {shown} has the checksum {algorithm}:{digest.hexdigest()}, not {checksum}; it was changed or damaged on its way")
