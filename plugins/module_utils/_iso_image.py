# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ISO 9660 images with Rock Ridge and Joliet names, made and read by pycdlib (the only file that imports it)."""

from __future__ import annotations

import io
import re
import struct
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible.module_utils.basic import missing_required_lib

from ._errors import XenError

try:
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException
except ImportError:
    pycdlib = None  # type: ignore[assignment]
    PyCdlibException = ValueError  # type: ignore[misc, assignment]
    MISSING: str | None = traceback.format_exc()
else:
    MISSING = None

# What pycdlib raises for images that are none: its own errors, and what it stumbles over.
BROKEN = (PyCdlibException, OSError, ValueError, LookupError, struct.error, RecursionError)
SECTOR, DESCRIPTOR = 2048, 16 * 2048
PUBLISHER = "xapi.xenserver"
# What ISO 9660 itself can call a file at level 3; systems that know neither Rock Ridge nor Joliet see these names.
PLAIN_LENGTH = 26


class Boot(NamedTuple):
    """Files by which a PC boots from the image: the loader, and where the catalogue shall be (El Torito)."""

    loader: str
    catalogue: str


def check_library() -> None:
    """Refuse before anything is created when pycdlib is missing."""
    if MISSING:
        raise XenError(f"{missing_required_lib('pycdlib', url='https://pypi.org/project/pycdlib/')} Debian and RPM systems have it as package python3-pycdlib.")


def iso_image(files: Mapping[str, bytes], label: str, boot: Boot | None = None) -> bytes:
    """An image with these files by path, without a leading slash, called ``label``."""
    check_library()
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", sys_ident="LINUX", vol_ident=label, pub_ident_str=PUBLISHER)
    try:
        plain = _Names()
        folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
        for folder in sorted(folders):
            iso.add_directory(plain.of(folder), rr_name=folder.rpartition("/")[2], joliet_path=f"/{folder}")
        for path, data in files.items():
            iso.add_fp(io.BytesIO(data), len(data), f"{plain.of(path)};1", rr_name=path.rpartition("/")[2], joliet_path=f"/{path}")
        if boot:
            catalogue = boot.catalogue.rpartition("/")[2]
            iso.add_eltorito(
                f"{plain.of(boot.loader)};1",
                bootcatfile=f"{plain.of(boot.catalogue)};1",
                rr_bootcatname=catalogue,
                joliet_bootcatfile=f"/{boot.catalogue}",
                boot_load_size=4,
                boot_info_table=True,
            )
        out = io.BytesIO()
        iso.write_fp(out)
    except PyCdlibException as error:
        raise XenError(f"the ISO image {label!r} cannot be made: {error}") from error
    finally:
        iso.close()
    return out.getvalue()


def read_iso(source: str | bytes) -> dict[str, bytes]:
    """The files of an image, given by its path or as it is, by the best names that it has."""
    check_library()
    iso = pycdlib.PyCdlib()
    path = source if isinstance(source, str) else "content"
    try:
        _refuse_truncated(source)
        iso.open(source) if isinstance(source, str) else iso.open_fp(io.BytesIO(source))
    except BROKEN as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise XenError(f"{path!r} cannot be read as an ISO image: {reason}") from error
    try:
        best = next((key for key, has in (("rr_path", iso.has_rock_ridge()), ("joliet_path", iso.has_joliet())) if has), "iso_path")
        return {_name(best, full): _content(iso, best, full) for full in _walk(iso, best)}
    except BROKEN as error:
        raise XenError(f"{path!r} is a broken ISO image: {error}") from error
    finally:
        iso.close()


def _refuse_truncated(source: str | bytes) -> None:
    """pycdlib reads the files of a cut image as shorter ones. The primary descriptor, at sector 16, says the size (ECMA-119, 8.4.8)."""
    with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
        file.seek(DESCRIPTOR)
        sectors = struct.unpack_from("<I", file.read(SECTOR), 80)[0]
        has = file.seek(0, io.SEEK_END)
    if sectors * SECTOR > has:
        raise ValueError(f"it has {has} of its {sectors * SECTOR} bytes; get it again")


def _walk(iso: Any, kind: str) -> list[str]:
    return [f"{folder.rstrip('/')}/{name}" for folder, _folders, names in iso.walk(**{kind: "/"}) for name in names]


def _name(kind: str, full: str) -> str:
    """Without the slash in front; names of ISO 9660 itself are in capitals and have a version."""
    return full.strip("/") if kind != "iso_path" else full.strip("/").partition(";")[0].rstrip(".").lower()


def _content(iso: Any, kind: str, full: str) -> bytes:
    out = io.BytesIO()
    iso.get_file_from_iso_fp(out, **{kind: full})
    return out.getvalue()


class _Names:
    """Paths as ISO 9660 itself has them: capitals, digits and underlines, each only once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {"": ""}
        self._taken: set[str] = set()

    def of(self, path: str) -> str:
        if path not in self._known:
            folder, _slash, name = path.rpartition("/")
            self._known[path] = self._free(self.of(folder), name)
        return self._known[path]

    def _free(self, folder: str, name: str) -> str:
        stem, _dot, extension = name.rpartition(".") if "." in name.strip(".") else (name, "", "")
        stem, extension = _plain(stem)[:PLAIN_LENGTH] or "_", _plain(extension)[:3]
        for number in range(100_000):
            chosen = f"{stem[: PLAIN_LENGTH - 6]}{number}" if number else stem[: PLAIN_LENGTH - len(extension)]
            full = f"{folder}/{chosen}" + (f".{extension}" if extension else "")
            if full not in self._taken:
                self._taken.add(full)
                return full
        raise XenError(f"too many files are called {name!r}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())
