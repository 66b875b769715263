# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start state says is on its disks: `{"file": "/images/root.raw"}` (the bytes of a file) or `{"text": "…"}`, from the first byte on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .layer import BLOCK
from .volume import Volume

FORMS = '{"file": a path} or {"text": "…"}'


def problem(description: Any, size: int) -> str:
    """What is wrong with the description of a disk of `size` bytes; empty when nothing is."""
    if not isinstance(description, Mapping) or len(description) != 1 or not all(isinstance(value, str) for value in description.values()):
        return f"{description!r} does not tell what is on a disk: {FORMS}"
    (form,) = description
    if form not in ("file", "text"):
        return f"a disk has no {form!r}: {FORMS}"
    if form == "file" and not Path(description["file"]).is_file():
        return f"there is no file {description['file']}"
    length = Path(description["file"]).stat().st_size if form == "file" else len(description["text"].encode())
    return f"{length} bytes do not fit on a disk of {size}" if length > size else ""


def pour(volume: Volume, description: Mapping[str, str]) -> None:
    for number, piece in enumerate(_pieces(description)):
        volume.write(number * BLOCK, piece)


def _pieces(description: Mapping[str, str]) -> Iterator[bytes]:
    if "text" in description:
        data = description["text"].encode()
        yield from (data[at : at + BLOCK] for at in range(0, len(data), BLOCK))
        return
    with Path(description["file"]).open("rb") as file:
        while piece := file.read(BLOCK):
            yield piece
