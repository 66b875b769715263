# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The random seed of a config drive: made once, and kept when the drive is made anew of other inputs (driver-operations §6.5).

It is kept where it is, on the drive that is replaced. A record of the pool would show it to everybody who may read the pool.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
from collections.abc import Callable

from ._config_drive import SEED_BYTES
from ._device_job import Job, find_number
from ._disk_content import is_unfinished, kind_of
from ._disk_read import exported
from ._errors import XenError
from ._iso_image import read_iso

META_DATA = "openstack/latest/meta_data.json"
# A drive that somebody filled up is not read back for the sake of a seed.
MOST = 256 * 1024**2


def kept_seed(job: Job, number: int) -> Callable[[], bytes]:
    """A function that reads the seed from the drive at the device, or makes a new one where there is none to be read."""
    found = find_number(job, number)
    record = job.view.record("VDI", found[1]["VDI"]) if found else None
    if not found or not record or kind_of(record) != "configdrive" or is_unfinished(record) or record["virtual_size"] > MOST:
        return lambda: os.urandom(SEED_BYTES)
    ref, size = found[1]["VDI"], record["virtual_size"]

    def read() -> bytes:
        try:
            return _seed_in(_content(job, ref, size))
        except (XenError, KeyError, ValueError, binascii.Error):  # vfat, NoCloud, or a drive that a guest could write to.
            return os.urandom(SEED_BYTES)

    return read


def _content(job: Job, ref: str, size: int) -> bytes:
    content = io.BytesIO()
    with exported(job.session, ref, "raw", label="the config drive", timeout=float(job.params["timeout"])) as pieces:
        while content.tell() < size and (data := pieces(size - content.tell())):
            content.write(data)
    return content.getvalue()


def _seed_in(image: bytes) -> bytes:
    seed = base64.b64decode(json.loads(read_iso(image)[META_DATA])["random_seed"], validate=True)
    if len(seed) != SEED_BYTES:
        raise ValueError("another length")
    return seed
