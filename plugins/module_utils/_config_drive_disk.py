# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config drive of a VM: its options, checked, and the disk that comes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from . import _fat_image, _iso_image
from ._config_drive import SEED_BYTES, Contents, nocloud_files, openstack_files
from ._config_drive_seed import kept_seed
from ._device_job import Job
from ._device_steps import Wanted
from ._disk_content import Content, secret_identity_of
from ._disk_new import owner_of
from ._errors import XenError
from ._extent import Extent, file_extents, trimmed
from ._network_data import as_cloud_init, as_openstack

CONFIG_DRIVE_OPTIONS: dict[str, dict[str, Any]] = {
    "format": {"type": "str", "choices": ["openstack", "nocloud"], "default": "openstack"},
    "filesystem": {"type": "str", "choices": ["iso9660", "vfat"], "default": "iso9660"},
    "attach_as": {"type": "str", "choices": ["cd", "disk"], "default": "cd"},
    "instance_id": {"type": "str"},
    "guest_hostname": {"type": "str"},
    "meta": {"type": "dict"},
    "user_data": {"type": "raw", "no_log": True},
    "vendor_data": {"type": "dict"},
    "vendor_data2": {"type": "dict"},
    "network": {"type": "dict"},
    "network_template": {"type": "str"},
    "public_keys": {"type": "dict", "no_log": False},
    "admin_password": {"type": "str", "no_log": True},
    "files": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "no_log": True},
            "src": {"type": "path"},
        },
        "mutually_exclusive": [("content", "src")],
        "required_one_of": [("content", "src")],
    },
    "availability_zone": {"type": "str"},
    "project_id": {"type": "str"},
    "launch_index": {"type": "int", "default": 0},
    "devices": {"type": "list", "elements": "dict"},
}
MIB = 1024**2
# The old driver's size of a config drive; a larger tree gets a larger ISO image.
SIZE = 64 * MIB
STEP = 4 * MIB
SECTOR = 2048
# What an image needs beside its files: descriptors, path tables, folders.
MARGIN = MIB
LABELS = {"openstack": "config-2", "nocloud": "cidata"}
# Another layout of the same options is another content.
LAYOUT = 1


def config_drives(job: Job) -> list[Wanted]:
    """The one config drive of the VM."""
    params, number = job.params, job.params["userdevice"]
    if params["filesystem"] == "vfat" and params["attach_as"] == "cd":
        raise XenError("a CD holds ISO 9660, not vfat; set attach_as to disk, or leave filesystem out")
    label = LABELS[params["format"]]
    _iso_image.check_library() if params["filesystem"] == "iso9660" else _fat_image.check_tools()
    contents = contents_of(job)
    tree = _tree(params["format"], contents, bytes(SEED_BYTES))
    size = _size(tree, params["filesystem"])
    inputs = {**asdict(contents), "files": [[path, data.hex()] for path, data in contents.files]}
    inputs["user_data"] = None if contents.user_data is None else contents.user_data.hex()
    shape = {"layout": LAYOUT, "format": params["format"], "filesystem": params["filesystem"]}

    seed = kept_seed(job, number)

    def extents() -> Iterable[Extent]:
        # NoCloud has no place for a seed, so none has to be read back for it.
        files = _tree(params["format"], contents, seed() if params["format"] == "openstack" else b"")
        if params["filesystem"] == "iso9660":
            yield from trimmed(0, _iso_image.iso_image(files, label))
            return
        with _fat_image.fat_image(files, label, size) as path:
            yield from file_extents(path)

    content = Content("configdrive", secret_identity_of({**inputs, **shape}, job.vm["uuid"]), size, extents, disposable=True)
    return [Wanted(number, drive_name(job, number), "configdrive", content, cd=params["attach_as"] == "cd", read_only=True)]


def drive_name(job: Job, _number: int) -> str:
    """Config drives are called as their volume (driver-operations §2)."""
    return str(job.params["name"] or LABELS[job.params["format"]])


def contents_of(job: Job) -> Contents:
    """The options, with what the VM says where they are left out."""
    params = job.params
    nocloud = params["format"] == "nocloud"
    if nocloud:
        unknown = [name for name in ("vendor_data2", "network_template", "devices", "project_id", "availability_zone") if params[name] is not None]
        if unknown:
            raise XenError(f"{' and '.join(unknown)} cannot be told by format nocloud; leave it out, or use format openstack")
    contents = Contents(
        instance_id=params["instance_id"] or owner_of(job),
        hostname=params["guest_hostname"] or job.vm["name_label"],
        name=job.vm["name_label"],
        meta=params["meta"] or {},
        public_keys=_keys(params["public_keys"] or {}),
        files=tuple((item["path"], _bytes(item)) for item in params["files"] or []),
        user_data=_user_data(params["user_data"]),
        vendor_data=params["vendor_data"] or {},
        network_template=params["network_template"],
        password=params["admin_password"],
        launch_index=params["launch_index"],
    )
    if params["network"] is not None:
        contents = replace(contents, network=(as_cloud_init if nocloud else as_openstack)(params["network"]))
    if nocloud:
        return contents
    return replace(
        contents,
        vendor_data2=params["vendor_data2"] or {},
        availability_zone=params["availability_zone"],
        project_id=params["project_id"],
        devices=tuple(params["devices"] or []),
    )


def _tree(form: str, contents: Contents, seed: bytes) -> dict[str, bytes]:
    return openstack_files(contents, seed) if form == "openstack" else nocloud_files(contents)


def _size(tree: dict[str, bytes], filesystem: str) -> int:
    """What the old driver took, or more for an ISO image whose files need it."""
    needed = sum(len(data) + -len(data) % SECTOR + SECTOR for data in tree.values()) + MARGIN
    if needed <= SIZE:
        return SIZE
    if filesystem == "vfat":
        raise XenError(f"the files of the config drive take {needed} bytes, and a vfat drive has {SIZE}; use filesystem iso9660, or make them smaller")
    return needed + -needed % STEP


def _keys(keys: dict[str, Any]) -> dict[str, str]:
    for name, key in keys.items():
        if not isinstance(key, str) or len(key.split()) < 2 or "\n" in key.strip():
            raise XenError(f"public_keys {name!r} is no public SSH key; write one line such as 'ssh-ed25519 AAAA… name'")
    return {str(name): key.strip() for name, key in keys.items()}


def _user_data(text: Any) -> bytes | None:
    # The option is raw: Ansible would make a text of a mapping, but one that no guest understands.
    if text is not None and not isinstance(text, str):
        what = "a mapping" if isinstance(text, dict) else "a list" if isinstance(text, list) else "a number or a truth value"
        raise XenError(f"user_data is {what} and no text; write a text whose first line is #cloud-config, or make one with the filter to_nice_yaml")
    return None if text is None else text.encode()


def _bytes(item: dict[str, Any]) -> bytes:
    if not item["path"].startswith("/"):
        raise XenError(f"files: path {item['path']!r} is not absolute; write where the guest shall have the file, as /etc/motd")
    if item["src"] is None:
        return str(item["content"]).encode()
    try:
        with open(item["src"], "rb") as file:
            return file.read()
    except OSError as error:
        raise XenError(f"files: src {item['src']!r} cannot be read: {error.strerror or error}") from error
