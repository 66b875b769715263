# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put clients that strangers wrote into .build/strangers, as they wrote them and in the version that is pinned here.

`make test` calls it; it does nothing when they are there. Without npm there is no xen-api, and its tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STRANGERS = HERE.parents[1] / ".build" / "strangers"
NODE = STRANGERS / "node"
COLLECTIONS = STRANGERS / "ansible"  # the folder above ansible_collections
COLLECTION = "ansible_collections/community/general/"


def install_xen_api(npm: str) -> None:
    """Exactly what package-lock.json says; none of the packages may run anything here."""
    NODE.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NODE)
    subprocess.run([npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NODE, check=True)


def install_community_general() -> None:
    """The one collection out of the package that has a hundred: unpacked whole it is fifty times as large."""
    with tempfile.TemporaryDirectory(dir=STRANGERS) as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*download, "--require-hashes", "--dest", folder, "--requirement", str(HERE / "requirements.txt")], check=True)
        (wheel,) = Path(folder).glob("ansible-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(COLLECTIONS, [name for name in archive.namelist() if name.startswith(COLLECTION)])


def stale(folder: Path, *pins: Path) -> bool:
    """Whether the folder is not of these pins; it is emptied then."""
    wanted = "".join(pin.read_text(encoding="utf-8") for pin in pins)
    stamp = folder.with_suffix(".pinned")
    if folder.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def done(folder: Path, *pins: Path) -> None:
    """Written last, so that what was interrupted is begun again."""
    folder.with_suffix(".pinned").write_text("".join(pin.read_text(encoding="utf-8") for pin in pins), encoding="utf-8")


def main() -> None:
    STRANGERS.mkdir(parents=True, exist_ok=True)
    requirements, lock = HERE / "requirements.txt", HERE / "package-lock.json"
    if stale(COLLECTIONS, requirements):
        print("Unpacking community.general into .build/strangers")
        install_community_general()
        done(COLLECTIONS, requirements)
    npm = shutil.which("npm")
    if npm and stale(NODE, lock):
        print("Installing xen-api into .build/strangers")
        install_xen_api(npm)
        done(NODE, lock)


if __name__ == "__main__":
    main()
