# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud-init's own readers on the files of a drive. Run by the Python that Debian's package cloud-init belongs to.

``cloud_init_reader.py <folder> ConfigDrive|NoCloud`` prints what the data source found, as JSON.
"""

from __future__ import annotations

import base64
import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

SEEDS = {"ConfigDrive": "config_drive", "NoCloud": "nocloud"}


def text(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def main(folder: str, kind: str) -> None:
    from cloudinit import distros, helpers  # type: ignore[import-not-found]
    from cloudinit.sources import DataSourceConfigDrive, DataSourceNoCloud  # type: ignore[import-not-found]
    from cloudinit.sources.helpers import openstack  # type: ignore[import-not-found]

    classes = {"ConfigDrive": DataSourceConfigDrive.DataSourceConfigDrive, "NoCloud": DataSourceNoCloud.DataSourceNoCloud}
    with tempfile.TemporaryDirectory() as root:
        paths = helpers.Paths({"cloud_dir": root, "run_dir": root})
        seed = Path(paths.seed_dir, SEEDS[kind])
        seed.parent.mkdir(parents=True)
        seed.symlink_to(folder)
        distro = distros.fetch("debian")("debian", {}, paths)
        source = classes[kind]({"datasource": {kind: {"dsmode": "pass"}}}, distro, paths)
        network_config = None
        found = source.get_data()
        if kind == "NoCloud":
            network_config = source.network_config
        elif source.network_json:
            # The machine of the test has no such cards, which cloud-init would look for.
            cards = {link["ethernet_mac_address"]: f"eth{number}" for number, link in enumerate(source.network_json["links"])}
            network_config = openstack.convert_net_json(copy.deepcopy(source.network_json), known_macs=cards)
        print(
            json.dumps(
                {
                    "found": found,
                    "instance_id": source.get_instance_id(),
                    "hostname": getattr(source.get_hostname(), "hostname", source.get_hostname()),
                    "keys": source.get_public_ssh_keys(),
                    "user_data": text(source.get_userdata_raw()),
                    "vendor_data": text(source.get_vendordata_raw()),
                    "metadata": source.metadata,
                    "files": {path: text(data) for path, data in (getattr(source, "files", None) or {}).items()},
                    "network_json": getattr(source, "network_json", None),
                    "network_config": network_config,
                },
                default=text,
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
