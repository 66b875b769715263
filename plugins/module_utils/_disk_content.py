# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generated disk shall hold, and the mark in ``VDI.other_config`` by which it is known again without being read.

The mark is ``<kind> <identity>``: the kind says which module made the disk, the identity is a hash of all that the
content was made *from*. While the disk is being written it begins with ``unfinished`` (driver-operations §0).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ._lookup import Record
from ._render_devices import CONTENT, UNFINISHED

if TYPE_CHECKING:
    from ._extent import Extent


class Content(NamedTuple):
    """The content of one disk. ``extents`` makes it, when it is asked for.

    ``disposable``: nothing on the disk is a loss, as with swap, so other inputs simply make it anew.
    """

    kind: str
    identity: str
    size: int
    extents: Callable[[], Iterable[Extent]]
    disposable: bool = False

    @property
    def mark(self) -> str:
        return f"{self.kind} {self.identity}"


def identity_of(inputs: Mapping[str, Any]) -> str:
    """The hash of inputs that are no secrets."""
    return f"sha256:{hashlib.sha256(canonical(inputs)).hexdigest()}"


def secret_identity_of(inputs: Mapping[str, Any], salt: str) -> str:
    """The hash of inputs that may hold passwords. Everybody who may read the pool sees it, so guessing has to cost time."""
    return f"scrypt:{hashlib.scrypt(canonical(inputs), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()}"


def canonical(inputs: Mapping[str, Any]) -> bytes:
    """The same bytes for the same inputs, in whatever order they came."""
    return json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()


def mark_of(record: Record) -> str:
    """The mark of a disk, without the word that it is unfinished; empty for disks of others."""
    return str(record["other_config"].get(CONTENT, "")).removeprefix(UNFINISHED).strip()


def kind_of(record: Record) -> str:
    """Which module made what is on a disk; empty for disks of others."""
    return mark_of(record).partition(" ")[0]


def is_unfinished(record: Record) -> bool:
    """Whether the content was not written to its end."""
    return str(record["other_config"].get(CONTENT, "")).startswith(UNFINISHED)
