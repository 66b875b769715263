# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a config drive, in OpenStack's layout and in that of cloud-init's NoCloud (driver-operations §6.5)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FOLSOM, GRIZZLY, HAVANA, LIBERTY = "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15"
NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY = "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27"
# "latest" sorts behind every date.
OPENSTACK_VERSIONS = (FOLSOM, GRIZZLY, HAVANA, LIBERTY, NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY, "latest")
EC2_VERSIONS = ("2009-04-04", "latest")
SEED_BYTES = 512


@dataclass(frozen=True)
class Contents:
    """What the guest shall be told. ``files`` are (path in the guest, content); ``network`` is in the form that the layout takes."""

    instance_id: str
    hostname: str
    name: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    public_keys: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    user_data: bytes | None = None
    vendor_data: Mapping[str, Any] = field(default_factory=dict)
    vendor_data2: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None
    network_template: str | None = None
    password: str | None = None
    availability_zone: str | None = None
    project_id: str | None = None
    launch_index: int = 0
    devices: tuple[Mapping[str, Any], ...] = ()


def openstack_files(contents: Contents, seed: bytes) -> dict[str, bytes]:
    """All versions of OpenStack's layout, and the paths of EC2."""
    files: dict[str, bytes] = {}
    for version in EC2_VERSIONS:
        files[f"ec2/{version}/meta-data.json"] = _json(_ec2(contents))
        if contents.user_data is not None:
            files[f"ec2/{version}/user-data"] = contents.user_data
    for version in OPENSTACK_VERSIONS:
        files |= {f"openstack/{version}/{name}": data for name, data in _openstack(contents, version, seed).items()}
    for number, data in enumerate(_attached(contents)):
        files[f"openstack/content/{number:04d}"] = data
    return files


def _openstack(contents: Contents, version: str, seed: bytes) -> dict[str, bytes]:
    files = {"meta_data.json": _json(_meta_data(contents, version, seed))}
    if contents.user_data is not None:
        files["user_data"] = contents.user_data
    if version >= HAVANA:
        files["vendor_data.json"] = _json(contents.vendor_data)
    if version >= LIBERTY and contents.network is not None:
        files["network_data.json"] = _json(contents.network)
    if version >= NEWTON_TWO:
        files["vendor_data2.json"] = _json(contents.vendor_data2)
    return files


def _attached(contents: Contents) -> list[bytes]:
    """The files under ``content``: the template of the network, then those of the user in their order."""
    template = [contents.network_template.encode()] if contents.network_template is not None else []
    return [*template, *(data for _path, data in contents.files)]


def _meta_data(contents: Contents, version: str, seed: bytes) -> dict[str, Any]:
    """As nova's ``_metadata_as_json`` writes it, key by key."""
    data: dict[str, Any] = {"uuid": contents.instance_id}
    if contents.meta:
        data["meta"] = {key: value if isinstance(value, str) else json.dumps(value) for key, value in contents.meta.items()}
    first = 0 if contents.network_template is None else 1
    if contents.files:
        data["files"] = [{"path": path, "content_path": f"/content/{number:04d}"} for number, (path, _data) in enumerate(contents.files, first)]
    if contents.password is not None:
        data["admin_pass"] = contents.password
    if contents.network_template is not None:
        data["network_config"] = {"name": "network_config", "content_path": "/content/0000"}
    if contents.public_keys:
        data["public_keys"] = dict(contents.public_keys)
        data["keys"] = [{"name": name, "type": "ssh", "data": key} for name, key in contents.public_keys.items()]
    data |= {"hostname": contents.hostname, "name": contents.name, "launch_index": contents.launch_index}
    data["availability_zone"] = contents.availability_zone
    if version >= GRIZZLY:
        data["random_seed"] = base64.b64encode(seed).decode()
    if version >= LIBERTY:
        data["project_id"] = contents.project_id
    if version >= NEWTON_ONE:
        data["devices"] = list(contents.devices)
    return data


def _ec2(contents: Contents) -> dict[str, Any]:
    """What of EC2's meta data is known here; the numbers that EC2 gives to instances are not."""
    data: dict[str, Any] = {
        "instance-id": contents.instance_id,
        "ami-launch-index": contents.launch_index,
        **dict.fromkeys(("hostname", "local-hostname", "public-hostname"), contents.hostname),
        "placement": {"availability-zone": contents.availability_zone},
    }
    if contents.public_keys:
        data["public-keys"] = {str(number): {"openssh-key": key} for number, key in enumerate(contents.public_keys.values())}
    return data


def nocloud_files(contents: Contents) -> dict[str, bytes]:
    """The four files of NoCloud. It has no place for files and a password, so cloud-init gets these as vendor data."""
    meta = {**contents.meta, "instance-id": contents.instance_id, "local-hostname": contents.hostname}
    if contents.public_keys:
        meta["public-keys"] = list(contents.public_keys.values())
    files = {"meta-data": _json(meta), "user-data": contents.user_data or b""}
    vendor = _cloud_config(contents)
    if vendor:
        files["vendor-data"] = b"#cloud-config\n" + _json(vendor)
    if contents.network is not None:
        files["network-config"] = _json(contents.network)
    return files


def _cloud_config(contents: Contents) -> dict[str, Any]:
    """JSON is YAML, so this is a cloud-config as it stands."""
    config = dict(contents.vendor_data)
    if contents.files:
        written = [{"path": path, "encoding": "b64", "content": base64.b64encode(data).decode()} for path, data in contents.files]
        config["write_files"] = [*config.get("write_files", []), *written]
    if contents.password is not None:
        config |= {"password": contents.password, "chpasswd": {**config.get("chpasswd", {}), "expire": False}}
    return config


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, default=dict).encode()
