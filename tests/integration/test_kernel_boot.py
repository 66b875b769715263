# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kernel turns the swap on and mounts the disks that the modules made. Skipped, with the reason, where a tool is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT
from .initramfs import boot, busybox, installed_kernel, program

MIB = 1024**2
NAMES = ["a-swap", "b-ephemeral", "c-configdrive", "d-vfat", "e-blank"]
# Each answer on a line of its own; what fails has none, and the kernel's complaints come last.
SCRIPT = """
swapon /dev/vda1 && echo "REPORT swap $(awk '$1 == "/dev/vda1" {print $3}' /proc/swaps)"
mkdir /mnt/ephemeral /mnt/iso /mnt/vfat /mnt/blank
mount -t ext4 /dev/vdb1 /mnt/ephemeral && echo "REPORT ephemeral $(df -k /mnt/ephemeral | awk 'END {print $2}')"
dd if=/dev/urandom of=/mnt/ephemeral/data bs=1M count=16 2>/dev/null
SUM=$(md5sum < /mnt/ephemeral/data)
umount /mnt/ephemeral && mount -t ext4 /dev/vdb1 /mnt/ephemeral
[ "$SUM" = "$(md5sum < /mnt/ephemeral/data)" ] && echo "REPORT written yes"
mount -t iso9660 -o ro /dev/vdc /mnt/iso && echo "REPORT meta $(tr -d '\\n' < /mnt/iso/openstack/latest/meta_data.json)"
echo "REPORT user $(tail -n 1 /mnt/iso/openstack/2018-08-27/user_data)"
mount -t vfat -o ro /dev/vdd /mnt/vfat && echo "REPORT nocloud $(tr -d '\\n' < /mnt/vfat/meta-data)"
mount -t xfs /dev/vde1 /mnt/blank && touch /mnt/blank/file && echo "REPORT blank yes"
umount /mnt/blank /mnt/vfat /mnt/iso /mnt/ephemeral && swapoff /dev/vda1 && echo "REPORT released yes"
dmesg | grep -iE 'ext4-fs (error|warning)|corrupt|i/o error|xfs.*(error|metadata)|fat-fs.*error' | sed 's/^/REPORT complaint /'
"""


@pytest.fixture(scope="module")
def said(connection: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the machine reported, after the playbook made its disks and exported them."""
    installed_kernel()
    busybox()
    for name, package in (("qemu-system-x86_64", "qemu-system-x86"), ("mcopy", "mtools")):
        program(name, package)
    folder = tmp_path_factory.mktemp("kernel")
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "LC_ALL": "C.UTF-8",
    }
    playbook = [str(Path(sys.executable).with_name("ansible-playbook")), str(Path(__file__).with_name("kernel_boot.yml")), "-e", f"folder={folder}"]
    done = subprocess.run(playbook, env={**os.environ, **connection, **settings}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    output = boot(folder, SCRIPT, [folder / f"{name}.raw" for name in NAMES])
    lines = [line.partition("REPORT ")[2] for line in output.splitlines() if "REPORT " in line]
    assert lines, f"the machine reported nothing:\n{output}"
    return dict(line.split(" ", 1) for line in lines)


def test_swap_is_turned_on_whole(said: dict[str, str]) -> None:
    # In KiB; the first MiB is the partition table's, and the first page of a swap area is its header.
    assert int(said["swap"]) == (256 * MIB - MIB) // 1024 - 4


def test_ephemeral_disk_keeps_what_is_written(said: dict[str, str]) -> None:
    assert 450 * MIB < int(said["ephemeral"]) * 1024 < 512 * MIB
    assert said["written"] == "yes"


def test_config_drive_tells_what_was_put_in(said: dict[str, str]) -> None:
    meta = json.loads(said["meta"])
    assert meta["hostname"] == "xapi-test-kernel"
    assert meta["keys"][0]["data"].startswith("ssh-ed25519 AAAA")
    assert said["user"] == "packages: [nginx]"


def test_config_drive_on_vfat_tells_the_same(said: dict[str, str]) -> None:
    assert json.loads(said["nocloud"])["local-hostname"] == "xapi-test-kernel"


def test_blank_disk_can_be_used(said: dict[str, str]) -> None:
    assert said["blank"] == "yes"


def test_kernel_gives_all_back_and_complains_of_nothing(said: dict[str, str]) -> None:
    assert said["released"] == "yes"
    assert "complaint" not in said
